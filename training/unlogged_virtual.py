"""What was not logged, on virtual people: is it told, soon and rightly, and how often falsely?

New patients of the UVA/Padova equations live three weeks twice. In one life the log of some of
their larger meals is left out, and for half of these they take no bolus either. In the other meals
are logged as usual, but infusion sites fail, people exercise, forget boluses, and leave some that
they took out of the log. In both they forget as much again by themselves as people do. Their twins
are fitted to the first weeks, with all that is left out of these; in the last one it is looked.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from rich.progress import Progress

from hybridtwin.assimilation.settings import UnloggedSettings
from hybridtwin.assimilation.unlogged import Kind, Unlogged, grouped, looks
from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.record import Record
from hybridtwin.timeline import to_timeline
from hybridtwin.twin import Twin
from hybridtwin.units import STEP_MIN, steps
from hybridtwin.virtual.days import Days
from hybridtwin.virtual.drawn import draw_patients
from hybridtwin.virtual.life import VirtualPerson, live
from training.personalise import PersonalSettings, personalise

Array = NDArray[np.float64]
Change = Callable[[int, Days, pd.DatetimeIndex], Days]

_START: Final = pd.Timestamp("2024-01-15", tz="Europe/Berlin")
_DAY: Final = steps(MINUTES_PER_DAY)
_BOLUS: Final = (-steps(60), steps(75))
"""About a meal: a bolus then is the meal's."""
_SAME_MEAL_MIN: Final = 20.0
_LEAST_G: Final = 8.0
"""Where so much was eaten unlogged, a meal that is told of is no falsehood."""
_SITE_FAILS: Final = steps(6 * 60)
_EXERCISE: Final = steps(60)
_WAKING: Final = (steps(9 * 60), steps(20 * 60))
# Insulin acts so much more during a bout, and after it, fading; see `hybridtwin.virtual.planted`.
_BOUT_GAIN: Final = (1.0, 2.0)
_AFTER_GAIN: Final = (0.4, 0.8)
_FADES: Final = steps(600)


class UnloggedRule(BaseModel):
    """What is left out of the log, and what counts as told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    people: int = Field(40, ge=1)
    days: int = Field(21, ge=4)
    own_days: int = Field(14, ge=2, description="Of these, that twins are fitted to at first.")
    least_g: float = Field(30, gt=0, description="Of meals that are to be told.")
    left_out: float = Field(0.2, gt=0, lt=1, description="Share of these without a log,")
    without_bolus: float = Field(0.5, ge=0, le=1, description="and of these without a bolus.")
    sites_a_day: float = Field(0.2, ge=0, lt=1, description="Infusion sites that fail for 6 hours.")
    exercise_a_day: float = Field(0.3, ge=0, lt=1, description="Bouts of an hour.")
    missed: float = Field(0.1, ge=0, lt=1, description="Share of meals without a bolus.")
    taken: float = Field(0.1, ge=0, lt=1, description="Share of meals' boluses without a log.")
    every_min: int = Field(30, ge=STEP_MIN, description="How often is looked after these.")
    near_min: float = Field(45, gt=0, description="Told is what is told so near to its time,")
    soon_min: float = Field(120, gt=0, description="so soon after it; sites: twice both.")


@dataclass(frozen=True)
class Life:
    """A person's life, and what of it is to be told: (n, 2) steps and amounts, by kind.

    Attributes:
        record: What was logged.
        wanted: What is to be told.
        allowed: What may be told beside it, and is no falsehood.
    """

    record: Record
    wanted: dict[Kind, Array]
    allowed: dict[Kind, Array]


def unlogged_metrics(
    twin: Twin, rule: UnloggedRule, settings: UnloggedSettings, seed: int, progress: Progress
) -> tuple[list[str], dict[str, Array]]:
    """Names of P people, and (P,) of each metric, NaN where there is none.

    Of every kind, `meal`, `missed_bolus`, `site_failure` and `exercise`:
    `_told`: share that was told within `soon_min` of when it began, at a time within `near_min` of
    it. Meals are those of `least_g` or more that nobody logged.
    `_false_per_3_days`: told, though nothing of the kind happened within `near_min`; what is told
    again and again counts once. Smaller meals that were not logged are no falsehoods.
    `_after_min`: median time after which it was told first. Of meals `_error_g`, `_error_min`:
    median errors of grams and time as told last in that time, without sign; `_bias_g`: with sign.
    `meal_told_unbolused`: of meals without a bolus.
    """
    lives = [meal_lives(rule, seed), other_lives(rule, seed)]
    task = progress.add_task("what was not logged", total=2 * rule.people)
    found: dict[str, list[float]] = {}
    names = [life.record.profile.participant for life in lives[0]]
    for several in lives:
        for life, own in zip(several, own_twins(twin, several, rule), strict=True):
            for metric, value in scores(life, told_of(own, life.record, rule, settings), rule):
                found.setdefault(metric, []).append(value)
            progress.advance(task)
    return names, {metric: np.array(values) for metric, values in found.items()}


def own_twins(twin: Twin, lives: Sequence[Life], rule: UnloggedRule) -> list[Twin]:
    """Everyone's own, fitted to what was logged of their first days."""
    begin = _START + pd.Timedelta(days=rule.own_days)
    fits = personalise(twin, [life.record.before(begin) for life in lives], PersonalSettings())
    return [fit.twin for fit in fits]


def meal_lives(rule: UnloggedRule, seed: int) -> list[Life]:
    """People whose larger meals are sometimes not logged, and sometimes not bolused for either."""
    seed = 1000 * (1 + seed) + 500

    def change(person: int, days: Days, _: pd.DatetimeIndex) -> Days:
        rng = np.random.default_rng([seed, person, 4])
        meals = np.flatnonzero(days.carbs_g >= rule.least_g)
        chosen = meals[rng.random(len(meals)) < rule.left_out]
        logged = days.logged_g.copy()
        logged[chosen] = 0
        forgot = chosen[rng.random(len(chosen)) < rule.without_bolus]
        return replace(days, logged_g=logged, counted_g=_without(days.counted_g, forgot))

    lives = []
    for one in _live(rule, seed, change):
        eaten = eaten_unlogged(one)
        large = eaten[eaten[:, 1] >= rule.least_g]
        some = eaten[eaten[:, 1] >= _LEAST_G]
        lives.append(Life(one.record, {"meal": large}, {"meal": some}))
    return lives


def other_lives(rule: UnloggedRule, seed: int) -> list[Life]:
    """People whose sites fail, who exercise, and forget boluses or to log them."""
    seed = 1000 * (1 + seed) + 700
    planted: dict[int, dict[Kind, Array]] = {}

    def change(person: int, days: Days, _: pd.DatetimeIndex) -> Days:
        rng = np.random.default_rng([seed, person, 4])

        def some(a_day: float) -> NDArray[np.int64]:
            whole = np.arange(len(days.carbs_g) // _DAY)
            chosen = whole[rng.random(len(whole)) < a_day]
            return _DAY * chosen + rng.integers(*_WAKING, len(chosen))

        sites, bouts = some(rule.sites_a_day), some(rule.exercise_a_day)
        arrives, sensitivity = days.arrives.copy(), days.sensitivity.copy()
        for site in sites:
            arrives[site : site + _SITE_FAILS] = 0
        for bout in bouts:
            since = np.arange(len(sensitivity) - bout) - _EXERCISE
            after = rng.uniform(*_AFTER_GAIN) * np.exp(-np.maximum(since, 0) / _FADES)
            sensitivity[bout:] *= 1 + np.where(since < 0, rng.uniform(*_BOUT_GAIN), after)
        planted[person] = {"site failure": _timed(sites), "exercise": _timed(bouts)}
        meals = np.flatnonzero(days.logged_g >= rule.least_g)
        forgot = meals[rng.random(len(meals)) < rule.missed]
        counted = _without(days.counted_g, forgot)
        return replace(days, arrives=arrives, sensitivity=sensitivity, counted_g=counted)

    lives = []
    for person, one in enumerate(_live(rule, seed, change)):
        rng = np.random.default_rng([seed, person, 5])
        meals = _steps(one, one.record.meals[one.record.meals["carbs_g"] >= rule.least_g])
        bolus = one.record.insulin["purpose"] == "bolus"
        given = _steps(one, one.record.insulin[bolus])
        own = (given >= meals[:, None] + _BOLUS[0]) & (given <= meals[:, None] + _BOLUS[1])
        missed = meals[~own.any(1)]
        hidden = own[rng.random(len(meals)) < rule.taken].any(0)
        kept = ~bolus.to_numpy()
        kept[bolus.to_numpy()] = ~hidden
        record = replace(one.record, insulin=one.record.insulin[kept])
        wanted = {**planted[person], "missed bolus": _timed(missed)}
        lives.append(Life(record, wanted, wanted))
    return lives


def _live(rule: UnloggedRule, seed: int, change: Change) -> list[VirtualPerson]:
    return live(draw_patients(rule.people, seed), rule.days, _START, seed, change=change)


def _without(counted_g: Array, meals: NDArray[np.int64]) -> Array:
    """What is bolused for, but for some meals."""
    counted = counted_g.copy()
    for meal in meals:
        counted[max(meal + _BOLUS[0], 0) : meal + _BOLUS[1]] = 0
    return counted


def _timed(at: NDArray[Any]) -> Array:
    return np.stack([at.astype(np.float64), np.zeros(len(at))], axis=1)


def _steps(one: VirtualPerson, rows: pd.DataFrame) -> Array:
    """(n,) steps of a table's rows."""
    since = rows["time"] - one.truth.start
    return np.asarray(since / pd.Timedelta(minutes=STEP_MIN), dtype=np.float64)


def eaten_unlogged(one: VirtualPerson) -> Array:
    """(n, 2) step and grams of everything that was eaten and not logged."""
    eats = one.truth.carbs_g_min
    edges = np.diff(np.concatenate([[0], (eats > 0).astype(int), [0]]))
    total = np.concatenate([[0.0], eats.cumsum()])
    begin, end = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    logged = _steps(one, one.record.meals) * STEP_MIN
    apart = np.abs(begin[:, None] - logged).min(axis=1, initial=np.inf)
    alone = apart > _SAME_MEAL_MIN
    return np.stack([begin[alone] / STEP_MIN, (total[end] - total[begin])[alone]], axis=1)


@dataclass(frozen=True)
class Told:
    """What was told of one person.

    Attributes:
        now: (B,) steps at which was looked.
        told: B lists.
        start: Instant of step 0.
    """

    now: NDArray[np.int64]
    told: Sequence[Sequence[Unlogged]]
    start: pd.Timestamp

    def step(self, one: Unlogged) -> float:
        """When it is told to have begun."""
        return float((pd.Timestamp(one.time) - self.start) / pd.Timedelta(minutes=STEP_MIN))


def told_of(twin: Twin, record: Record, rule: UnloggedRule, settings: UnloggedSettings) -> Told:
    """What is told of a person, look by look."""
    end = _START + pd.Timedelta(minutes=STEP_MIN * (rule.days * _DAY - 1))
    timeline = to_timeline(record, end, _START)
    now = torch.arange(rule.own_days * _DAY, len(timeline), steps(rule.every_min))
    return Told(now.numpy(), looks(twin, record, timeline, now, settings), timeline.start)


def scores(life: Life, found: Told, rule: UnloggedRule) -> list[tuple[str, float]]:
    """Of one person, by metric; see `unlogged_metrics`."""
    rows: list[tuple[str, float]] = []
    for kind, happened in life.wanted.items():
        name = kind.replace(" ", "_")
        steps_for = (2 if kind == "site failure" else 1) / STEP_MIN  # it shows slowly
        near, soon = rule.near_min * steps_for, rule.soon_min * steps_for
        in_time = (happened[:, 0] >= found.now[0]) & (happened[:, 0] + soon <= found.now[-1])
        wanted = happened[in_time]
        looks_of = [[one for one in look if one.kind == kind] for look in found.told]
        every = [
            (int(now), found.step(one), one.amount)
            for now, look in zip(found.now, looks_of, strict=True)
            for one in look
        ]
        hits = [
            [one for one in every if 0 <= one[0] - at <= soon and abs(one[1] - at) <= near]
            for at in wanted[:, 0]
        ]
        allowed = life.allowed[kind][:, 0]
        false = [
            group
            for group in grouped(looks_of)
            if not any((np.abs(allowed - found.step(one)) <= near).any() for one in group)
        ]
        told = [bool(hit) for hit in hits]
        pairs = [(hit, *event) for hit, event in zip(hits, wanted, strict=True) if hit]
        days = len(found.now) * steps(rule.every_min) / _DAY
        rows += [
            (f"{name}_told", _share(told)),
            (f"{name}_false_per_3_days", 3 * len(false) / days),
            (f"{name}_after_min", _median([STEP_MIN * (hit[0][0] - at) for hit, at, _ in pairs])),
        ]
        if kind == "meal":
            bolus = life.record.insulin[life.record.insulin["purpose"] == "bolus"]["time"]
            given = ((bolus - found.start) / pd.Timedelta(minutes=STEP_MIN)).to_numpy()
            alone = [
                not ((given >= at + _BOLUS[0]) & (given <= at + _BOLUS[1])).any()
                for at in wanted[:, 0]
            ]
            of_these = [one for one, bare in zip(told, alone, strict=True) if bare]
            off_g = [hit[-1][2] - grams for hit, _, grams in pairs]
            off_min = [STEP_MIN * (hit[-1][1] - at) for hit, at, _ in pairs]
            rows += [
                ("meal_told_unbolused", _share(of_these)),
                ("meal_error_g", _median([abs(off) for off in off_g])),
                ("meal_bias_g", _median(off_g)),
                ("meal_error_min", _median([abs(off) for off in off_min])),
            ]
    return rows


def _share(those: Sequence[bool]) -> float:
    return float(np.mean(those)) if those else np.nan


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if values else np.nan
