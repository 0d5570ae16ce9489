"""Twin: a population's or a person's model, with its verbs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd
import torch
from torch import Tensor

from hybridtwin.ahead import check_question, future_of, since
from hybridtwin.assimilation.misses import Misses, Said, spread_sd_mg_dl
from hybridtwin.belief import Belief
from hybridtwin.climatology import climatology
from hybridtwin.dynamics import Walk, walk
from hybridtwin.events import Profile
from hybridtwin.forecast import Forecast
from hybridtwin.history import HISTORY_STEPS, History, join
from hybridtwin.hybrid import HybridModel, People, Present, usual_basal_u_min
from hybridtwin.members import MEMBERS, ensemble
from hybridtwin.neural.spread import KNOTS_MIN
from hybridtwin.output_statistics import (
    EXPECTED,
    Correction,
    OutputStatistics,
    no_correction,
    predictors,
)
from hybridtwin.paths import correlation_factor, paths, standard_noise, unexplained
from hybridtwin.physiology.covariates import beta_cells, prior_scores
from hybridtwin.plan import Plan
from hybridtwin.record import Record
from hybridtwin.sensor_faults.doubt import doubt, said, trusted
from hybridtwin.sensor_faults.settings import FaultSettings
from hybridtwin.timeline import to_timeline
from hybridtwin.trust import check_history, judge
from hybridtwin.twin_config import TwinConfig
from hybridtwin.units import STEP_MIN, steps

AS_USUAL = Plan()
_STEP = pd.Timedelta(minutes=STEP_MIN)


@dataclass(frozen=True)
class Twin:
    """A model of one person, or of nobody in particular.

    Attributes:
        config: What it is.
        model: Shared weights.
        person: One row: embedding and parameter scores.
        walk: How it takes steps: by torch, or by machine code, where many forecasts follow.
        statistics: What open forecasts of anybody miss; None where that was not learnt.
        misses: What those of its person missed lately, see `kept_current`; None where that was not
            learnt.
        faults: What is held likely of sensors: readings in doubt are then unknown to a belief.
            None, the default, believes every reading.
    """

    config: TwinConfig
    model: HybridModel
    person: People
    walk: Walk = walk
    statistics: OutputStatistics | None = None
    misses: Misses | None = None
    faults: FaultSettings | None = None

    def believe(
        self,
        record: Record,
        now: pd.Timestamp | None = None,
        members: int = MEMBERS,
        seed: int = 0,
    ) -> Belief:
        """What the twin holds true at `now`, from a record alone.

        Args:
            record: History; what lies after `now` is not looked at.
            now: The present; the last reading's time if None.
            members: Size of the ensemble.
            seed: Of the ensemble's draw.

        Raises:
            HistoryError: The history is empty, too short or too old.
        """
        if now is not None:
            record = record.before(now)
        elif not record.glucose.empty:
            now = record.glucose["time"].iloc[-1]
        now = now if now is not None else pd.Timestamp.now("UTC")
        check_history(record, now)
        arrived, found = record, None
        if self.faults is not None:
            found = doubt(arrived, self.faults)
            record = trusted(arrived, found, now)
        timeline = to_timeline(record)
        person = self.person_for(record.profile)
        anchor = len(timeline) - 1
        with torch.inference_mode():
            grid = join([timeline])
            history = grid.history(torch.tensor([anchor + HISTORY_STEPS]))
            present = self.model.begin(history, person)
            basal = usual_basal_u_min(history, person.values())
            usual = climatology(timeline, torch.tensor([anchor]))
            read = self.predictors(history, present, basal, usual)
            correction = self.correction(history, person, present, read)
            present = ensemble(present, members, self.config.score_sd, seed)
        time = timeline.time(anchor)
        return Belief(
            time=time,
            now=now,
            timeline=timeline,
            profile=record.profile,
            present=present,
            usual_basal_u_min=basal.expand(members),
            predictors=read,
            correction=correction,
            since=since(record, time),
            last_reading_mg_dl=float(record.glucose["mg_dl"].iloc[-1]),
            last_reading_time=record.glucose["time"].iloc[-1],
            trust=judge(
                arrived,
                timeline,
                now,
                self.config.fitted,
                said(found, self.faults, record is not arrived) if found and self.faults else (),
            ),
        )

    def predictors(
        self,
        history: History,
        present: Present,
        usual_basal_u_min: Tensor,
        usual: Tensor,
    ) -> Tensor:
        """(B, F) what output statistics read of B windows; NaN where not known.

        Args:
            history: B.
            present: Where they stand.
            usual_basal_u_min: (B,).
            usual: (B, C) their climatology.
        """
        return predictors(self.model, history, present, usual_basal_u_min, usual, self.walk)

    def correction(
        self, history: History, people: People, present: Present, read: Tensor
    ) -> Correction:
        """What is put right in the open forecasts of B windows.

        Args:
            history: B.
            people: Who they are, B rows.
            present: Where they stand.
            read: Their predictors.
        """
        usual = self.usual_correction(people, read)
        if self.misses is None:
            return usual
        return usual.then(self.misses.correction(self.said(history, present, read, usual)))

    def usual_correction(self, people: People, read: Tensor) -> Correction:
        """What everyone's forecasts miss.

        Statistics of people without insulin of their own say nothing of others: these are left as
        they are.

        Args:
            people: Who they are, B rows.
            read: Their predictors.
        """
        nothing = no_correction(len(read))
        if self.statistics is None:
            return nothing
        found = self.statistics.correct(read)
        like_them = (people.beta_cells == 0).unsqueeze(-1)
        return Correction(
            torch.where(like_them, found.shift_mg_dl, nothing.shift_mg_dl),
            torch.where(like_them, found.widening, nothing.widening),
        )

    def said(
        self, history: History, present: Present, read: Tensor, correction: Correction
    ) -> Said:
        """What the open forecasts of B windows say after a correction."""
        minutes = torch.tensor(KNOTS_MIN, dtype=torch.float32)
        expected = correction.moved(read[:, EXPECTED], minutes)
        quantiles = self.model.log_quantiles(present, torch.ones(len(read)), minutes)
        return Said(
            expected_mg_dl=expected,
            sd_mg_dl=spread_sd_mg_dl(expected, correction.widened(quantiles, minutes)),
            last_mg_dl=history.glucose_mg_dl[:, -1],
            minute_of_day=history.minute_of_day,
            standard=self.model.encoder.standard(present.read),
        )

    def forecast(
        self, belief: Belief, plan: Plan = AS_USUAL, horizon_min: int = 240, seed: int = 0
    ) -> Forecast:
        """What will happen under one plan."""
        return self.forecasts(belief, [plan], horizon_min, seed)[0]

    def forecasts(
        self, belief: Belief, plans: Sequence[Plan], horizon_min: int = 240, seed: int = 0
    ) -> list[Forecast]:
        """What will happen under several plans, member by member with the same chance.

        Args:
            belief: Where to start.
            plans: Their names must differ.
            horizon_min: From the last reading, minutes, a step to 12 hours.
            seed: Of the sampled paths.

        Raises:
            PlanError: A plan is impossible, two share a name, or the horizon is too long.
        """
        check_question(plans, belief, horizon_min)
        count = steps(horizon_min)
        minutes = STEP_MIN * torch.arange(1.0, count + 1)
        modes = sorted({plan.mode for plan in plans})
        known: list[tuple[Plan, Tensor]] = []
        with torch.inference_mode():

            def trajectory(plan: Plan) -> Tensor:
                plan = plan.model_copy(update={"name": AS_USUAL.name})
                for same, rolled in known:  # as usual is asked for most often, and needed anyway
                    if same == plan:
                        return rolled
                future = future_of(plan, belief, count)
                rolled = self.model.roll(belief.present, future, self.walk)
                if plan.mode == "open":
                    rolled = belief.correction.moved(rolled, minutes)
                known.append((plan, rolled))
                return rolled

            noise = {
                mode: self._noise(belief, trajectory(Plan(name=mode, mode=mode)), mode, seed)
                for mode in modes
            }
            trajectories = [trajectory(plan) for plan in plans]
            return [
                Forecast(
                    participant=belief.profile.participant,
                    plan=plan.name,
                    issued=belief.now,
                    start=belief.time,
                    last_reading_mg_dl=belief.last_reading_mg_dl,
                    last_reading_time=belief.last_reading_time,
                    time_zone=belief.profile.time_zone,
                    expected_mg_dl=path[0],
                    paths_mg_dl=paths(path, noise[plan.mode]),
                    trust=belief.trust,
                )
                for plan, path in zip(plans, trajectories, strict=True)
            ]

    def _noise(self, belief: Belief, trajectories: Tensor, mode: str, seed: int) -> Tensor:
        """(M, H) log ratios of paths to trajectories.

        They follow from the eventless plan, so that a plan's doses and meals move every path
        through physiology alone.
        """
        members, count = trajectories.shape
        minutes = STEP_MIN * torch.arange(1.0, count + 1)
        central = _first(belief.present)
        quantiles = self.model.log_quantiles(
            central, torch.tensor([float(mode == "open")]), minutes
        )
        if mode == "open":
            quantiles = belief.correction.widened(quantiles, minutes)
        config = self.config
        factor = correlation_factor(count, config.error_log_decay, config.error_memory_min)
        normal = standard_noise(factor, members, torch.Generator().manual_seed(seed))
        return unexplained(trajectories, quantiles[0], normal)

    def person_for(self, profile: Profile) -> People:
        """Who the profile says they are; a fitted person's covariates are in the fit."""
        weight = profile.weight_kg
        own = prior_scores(profile)
        return replace(
            self.person,
            scores=self.person.scores if self.config.fitted else self.person.scores + own,
            weight_kg=self.person.weight_kg if weight is None else torch.tensor([float(weight)]),
            beta_cells=torch.tensor([beta_cells(profile)]),
        )


def _first(present: Present) -> Present:
    """The central member alone."""
    return present.rows(torch.tensor([0]))
