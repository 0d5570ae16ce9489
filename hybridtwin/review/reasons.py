"""Reasons: why a low is likely tonight, each with its share, computed by the twin itself.

A share is the forecast less the forecast with one driver taken away. Taking a driver away changes
two things: what is still on its way in the body, and where glucose would be by now. For the second,
the hours before are lived again by the body's equations, with the driver and without.

What the twin concluded of the person from their trace stays, as do its output statistics and the
errors of its sample paths: doses and meals act through physiology alone, backwards as forwards. For
the same reason effects are those of a complete plan, whose residual flux does not read glucose: how
people would have answered another glucose is no part of what a dose does.

Shares are of the night's lowest point. What they leave over of the difference to a usual night is
shown too: drivers that weaken or strengthen each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Final

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from hybridtwin.ahead import future_of
from hybridtwin.belief import Belief
from hybridtwin.climatology import CLIMATOLOGY, CLIMATOLOGY_DAYS, climatology
from hybridtwin.glycemia.episodes import LOW_MG_DL, lasts
from hybridtwin.history import HISTORY_STEPS, Grid, History, join, stretches
from hybridtwin.hybrid import (
    People,
    anchor_of,
    driven_so_far,
    settled,
    usual_basal_u_min,
)
from hybridtwin.inputs import Future, acting_inputs, modulators
from hybridtwin.neural.encoder import Start
from hybridtwin.neural.features import features
from hybridtwin.output_statistics import EXPECTED
from hybridtwin.physiology.exercise import exertion
from hybridtwin.physiology.parameters import NAMES
from hybridtwin.plan import Plan
from hybridtwin.record import Record
from hybridtwin.review.drivers import TAKEN_AWAY, Driver, Past
from hybridtwin.review.night import Night
from hybridtwin.review.usual import DAY, Usual, usual
from hybridtwin.timeline import CHANNEL, Timeline, to_timeline
from hybridtwin.twin import Twin
from hybridtwin.units import (
    GLUCOSE_MAX_MG_DL,
    GLUCOSE_MIN_MG_DL,
    STEP_MIN,
    GlucoseUnit,
    from_mg_dl,
    steps,
)

_LIVED_AGAIN_MIN: Final = 480
_SENSITIVITY: Final = [
    NAMES.index(name) for name in ("uptake_sensitivity", "liver_half_insulin", "basal_need_u_h")
]
_CLIMATOLOGY: Final = slice(EXPECTED.start - CLIMATOLOGY, EXPECTED.start)
_COMPLETE: Final = Plan(mode="complete")
_FIRST: Final = torch.tensor([0])
_HEART: Final = CHANNEL["heart_rate_bpm"]


class Share(BaseModel):
    """What something does to the night."""

    model_config = ConfigDict(frozen=True)

    nadir: float = Field(description="By how much it moves the lowest point, in the unit.")
    below_70: float = Field(description="And the probability of a low, -1 to 1.")

    def in_unit(self, unit: GlucoseUnit) -> "Share":
        """From mg/dL in another unit."""
        return self.model_copy(update={"nadir": round(from_mg_dl(self.nadir, unit), 2)})


class Reason(Share):
    """One driver's share."""

    driver: Driver = Field(description="What is other than usual.")


class Explanation(BaseModel):
    """Why the night is expected to be other than usual."""

    model_config = ConfigDict(frozen=True)

    reasons: list[Reason] = Field(description="Those that lower the night most first.")
    residual: Share = Field(description="What they leave over of the difference to a usual night.")

    def in_unit(self, unit: GlucoseUnit) -> "Explanation":
        """From mg/dL in another unit."""
        return Explanation(
            reasons=[
                reason.model_copy(update=reason.in_unit(unit).model_dump(include={"nadir"}))
                for reason in self.reasons
            ],
            residual=self.residual.in_unit(unit),
        )


def explain(twin: Twin, record: Record, night: Night) -> Explanation:
    """Why a night is expected to be as it is.

    Args:
        twin: The patient's.
        record: Theirs.
        night: As forecast from this record by this twin.
    """
    with torch.inference_mode():
        timeline = to_timeline(record.before(night.belief.now))
        without = effects(twin, timeline, night.belief, night.horizon_min)
        paths = night.forecast.paths_mg_dl
        inside = night.within
        nadir, low = _of(paths[:, inside])
        shares = {}
        for name, effect in without.items():
            otherwise = (paths - effect).clamp(GLUCOSE_MIN_MG_DL, GLUCOSE_MAX_MG_DL)
            other_nadir, other_low = _of(otherwise[:, inside])
            shares[name] = (nadir - other_nadir, low - other_low)
    whole = shares.pop(None)
    reasons = [
        Reason(driver=driver, nadir=round(share[0], 1), below_70=round(share[1], 4))
        for driver, share in shares.items()
        if driver is not None
    ]
    left = [total - sum(share[i] for share in shares.values()) for i, total in enumerate(whole)]
    return Explanation(
        reasons=sorted(reasons, key=lambda reason: (reason.nadir, reason.below_70)),
        residual=Share(nadir=round(left[0], 1), below_70=round(left[1], 4)),
    )


def _of(night_mg_dl: Tensor) -> tuple[float, float]:
    """Median lowest point and share of paths with a low of a night (M, H)."""
    low = lasts(night_mg_dl < LOW_MG_DL).float().mean()
    return float(night_mg_dl.amin(1).median()), float(low)


@dataclass(frozen=True)
class _Standing:
    """Where somebody would stand now.

    Attributes:
        past: Which of the pasts lies behind them.
        start: What is concluded from their trace; one row.
        change_mg_dl: By how much glucose would differ from the last reading.
    """

    past: int
    start: Start
    change_mg_dl: Tensor


def effects(
    twin: Twin, timeline: Timeline, belief: Belief, horizon_min: int
) -> dict[Driver | None, Tensor]:
    """(H,) mg/dL by which each driver moves what is expected; None is all of them together.

    Args:
        twin: The patient's.
        timeline: What was known up to the last reading.
        belief: From there.
        horizon_min: How far.
    """
    as_usual = usual(timeline)
    happened = Past(timeline, belief.since)
    drivers, pasts = _pasts(happened, as_usual)
    person = twin.person_for(belief.profile)
    lives = _Lives(twin, person, pasts)
    change = lives.change_by_now_mg_dl()
    start = lives.start()
    usual_start = _usual_start(twin, person, timeline, start)
    level = torch.zeros(())
    if as_usual.level_mg_dl is not None:
        level = as_usual.level_mg_dl - lives.reading_mg_dl() - change[-1]

    standing: dict[Driver | None, _Standing] = {
        driver: _Standing(row, start, change[row]) for row, driver in enumerate(drivers, 1)
    }
    standing[Driver.SENSITIVITY] = _Standing(0, usual_start, change[0])
    standing[Driver.LEVEL] = _Standing(0, start, level)
    standing[None] = _Standing(-1, usual_start, change[-1] + level)
    ahead = lives.ahead([_Standing(0, start, change[0]), *standing.values()], belief, horizon_min)
    found = dict(zip(standing, ahead[:1] - ahead[1:], strict=True))
    found[Driver.HABIT] = _habit(twin, person, timeline, belief, ahead[:1])
    found[None] = found[None] + found[Driver.HABIT]
    return found


def _pasts(happened: Past, as_usual: Usual) -> tuple[list[Driver], list[Past]]:
    """Drivers that there are; the past as it was, without each of them, and without any."""
    found, usual_past = {}, happened
    for driver, take_away in TAKEN_AWAY.items():
        past = take_away(happened, as_usual)
        if past is not happened:
            found[driver] = past
        usual_past = take_away(usual_past, as_usual)
    return list(found), [happened, *found.values(), usual_past]


class _Lives:
    """One person's trace with several pasts behind it, the first as it was."""

    def __init__(self, twin: Twin, person: People, pasts: Sequence[Past]) -> None:
        self.twin, self.pasts = twin, pasts
        length = len(pasts[0].timeline)
        self.back = min(steps(_LIVED_AGAIN_MIN), length - 1)
        kept = slice(max(length - HISTORY_STEPS - self.back, 0), length)
        self.grid = join([_part(past.timeline, kept) for past in pasts])
        last = [*self.grid.offsets[1:], self.grid.values.shape[1] + HISTORY_STEPS]
        self.now = torch.tensor(last) - HISTORY_STEPS - 1
        self.people = person.rows(torch.zeros(len(pasts), dtype=torch.long))

    def start(self) -> Start:
        """What is concluded from the trace as it was."""
        return _start(self.twin, self.grid.history(self.now[:1]), self.people.rows(_FIRST))

    def reading_mg_dl(self) -> Tensor:
        """The last one."""
        return anchor_of(self.grid.history(self.now[:1])).reading_mg_dl[0]

    def change_by_now_mg_dl(self) -> Tensor:
        """(P,) where glucose would be now with each past, less where it would be as it was."""
        ago = self.now - self.back
        history = self.grid.history(ago)
        driven = driven_so_far(history, self.people, self.people, None)
        start = _start(self.twin, self.grid.history(ago[:1]), self.people.rows(_FIRST))
        begun = settled(anchor_of(history), self.people, driven, _rows(start, len(ago)))
        basal = usual_basal_u_min(history, self.people.values())
        lived = self.twin.model.roll(
            begun, _happened(self.grid, ago, self.back, basal), self.twin.walk
        )
        return lived[:, -1] - lived[0, -1]

    def ahead(self, standing: Sequence[_Standing], belief: Belief, horizon_min: int) -> Tensor:
        """(S, H) what is expected of those who stand so, if nothing more happens; mg/dL."""
        row = torch.tensor([each.past for each in standing]) % len(self.pasts)
        history, people = self.grid.history(self.now[row]), self.people.rows(row)
        anchor = anchor_of(history)
        moved = anchor.reading_mg_dl + torch.stack([each.change_mg_dl for each in standing])
        present = settled(
            replace(anchor, reading_mg_dl=moved.clamp(min=GLUCOSE_MIN_MG_DL)),
            people,
            driven_so_far(history, people, people, None),
            _joined([each.start for each in standing]),
        )
        basal = usual_basal_u_min(history, people.values())
        since = [self.pasts[each].since for each in row.tolist()]
        future = _future(belief, basal, since, steps(horizon_min))
        return self.twin.model.roll(present, future, self.twin.walk)


def _part(timeline: Timeline, kept: slice) -> Timeline:
    columns = (f.name for f in fields(Timeline) if f.name != "start")
    start = timeline.time(kept.start)
    return Timeline(start, *(getattr(timeline, name)[kept] for name in columns))


def _start(twin: Twin, history: History, people: People) -> Start:
    read = features(history, driven_so_far(history, people, people, None))
    found: Start = twin.model.encoder(read, people.embedding)
    return found


def _rows(start: Start, count: int) -> Start:
    return _joined([start] * count)


def _joined(starts: Sequence[Start]) -> Start:
    return Start(*(torch.cat([getattr(one, f.name) for one in starts]) for f in fields(Start)))


def _usual_start(twin: Twin, person: People, timeline: Timeline, start: Start) -> Start:
    """With the sensitivity that was concluded at this hour of the days before."""
    days = [len(timeline) - 1 - DAY * day for day in range(1, CLIMATOLOGY_DAYS + 1)]
    days = [day for day in days if day >= DAY]
    if not days:
        return start
    people = person.rows(torch.zeros(len(days), dtype=torch.long))
    then = _start(twin, join([timeline]).history(HISTORY_STEPS + torch.tensor(days)), people)
    scores = start.scores.clone()
    scores[:, _SENSITIVITY] = then.scores[:, _SENSITIVITY].mean(0)
    return replace(start, scores=scores)


def _habit(
    twin: Twin, person: People, timeline: Timeline, belief: Belief, expected_mg_dl: Tensor
) -> Tensor:
    """(H,) what output statistics make of the fortnight before, and what was missed lately."""
    stranger = belief.predictors.clone()
    stranger[:, _CLIMATOLOGY] = climatology(
        timeline, torch.tensor([len(timeline) - 1]), torch.tensor([0])
    )
    minutes = STEP_MIN * torch.arange(1.0, expected_mg_dl.shape[1] + 1)
    known, unknown = (
        correction.moved(expected_mg_dl, minutes)
        for correction in (belief.correction, twin.usual_correction(person, stranger))
    )
    return (known - unknown)[0]


def _happened(grid: Grid, begin: Tensor, count: int, basal_u_min: Tensor) -> Future:
    """What was done in the steps from grid points (B,) on; the basal given where not known."""
    values, known = (
        stretches(each, begin, count).movedim(0, -1) for each in (grid.values, grid.known)
    )
    moved = exertion(
        values[..., _HEART],
        known[..., _HEART],
        values[..., CHANNEL["steps"]] / STEP_MIN,
        values[..., CHANNEL["stated_exertion"]],
    )
    pumped = values[..., CHANNEL["basal_u"]] / STEP_MIN
    basal = torch.where(known[..., CHANNEL["basal_u"]], pumped, basal_u_min.unsqueeze(-1))
    return Future(
        amounts_per_min=acting_inputs(values, moved, basal).permute(1, 2, 0),
        modulators=modulators(values).permute(1, 2, 0),
        minute_of_day=stretches(grid.minute_of_day, begin, count).float().T,
        is_open=torch.zeros(len(begin)),
    )


def _future(belief: Belief, basal_u_min: Tensor, since: Sequence[Plan], count: int) -> Future:
    """What comes for each of S (S,), after what came since the last reading."""

    def after(plan: Plan) -> Future:
        own = replace(belief, usual_basal_u_min=basal_u_min, since=plan)
        return future_of(_COMPLETE, own, count)

    found = after(since[0])
    for plan in {id(each): each for each in since if each is not since[0]}.values():
        here = torch.tensor([each is plan for each in since])
        found = _where(here, after(plan), found)
    return found


def _where(here: Tensor, first: Future, second: Future) -> Future:
    """Of the first for people (S,) here, of the second for the others."""
    names = (f.name for f in fields(Future))
    return Future(*(torch.where(here, getattr(first, n), getattr(second, n)) for n in names))
