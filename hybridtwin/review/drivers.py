"""Drivers of a night: what is not as usual in a person's day, each taken away by itself.

To take a driver away is to put in its place what is usual for this person: not no insulin at all,
but what the food needs; not no dinner, but a usual one and the insulin that goes with it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np
import torch

from hybridtwin.climatology import amounts
from hybridtwin.events import Dose
from hybridtwin.plan import Plan
from hybridtwin.review.usual import DAY, Floats, Usual, exerted
from hybridtwin.timeline import BOLUS, CARBS, CHANNEL, LONG_ACTING, MODULATORS, Timeline
from hybridtwin.units import steps

_HOURS: Final = steps(360)
"""Doses and meals count for so long: so long do they act."""
# A meal is looked for so long before and after a bolus, a bolus so long about another.
_MEAL_BEFORE, _MEAL_AFTER, _BOLUS_ABOUT = steps(60), steps(90), steps(30)
_LITTLE: Final = 0.5
"""Of a usual meal: less than this is none."""
_MUCH: Final = 2.0
"""Times a usual meal: more than this was not bolused for."""
_LEAST_DAYS: Final = 3
_LEAST: Final = 1e-6


class Driver(StrEnum):
    """What may make a night other than usual."""

    INSULIN = "insulin on board"
    """Rapid insulin beyond what the food of the last six hours needs."""
    MEAL = "missed meal"
    """A meal that was bolused for, at a time when this person usually eats, and not eaten."""
    EXERCISE = "exercise"
    """Exertion of the last day above the usual at its hour."""
    ALCOHOL = "alcohol"
    """Of the last day."""
    BASAL = "basal insulin"
    """That of the last day, against the days before."""
    CONDITION = "illness or stress"
    """And short sleep, the luteal phase, a failing site: as stated."""
    SENSITIVITY = "sensitivity"
    """What the twin reads of today's response to insulin, against the same hour of days before."""
    LEVEL = "level"
    """Where glucose stands now against the usual at this hour, as far as no other driver says."""
    HABIT = "habit"
    """What this person's nights and this hour were like in the last fortnight."""


@dataclass(frozen=True)
class Past:
    """What has happened up to now.

    Attributes:
        timeline: Up to the last reading, its last grid point.
        since: What came after it.
    """

    timeline: Timeline
    since: Plan


def without_insulin(past: Past, usual: Usual) -> Past:
    """The latest boluses are taken away first: theirs is the insulin that is still on board."""
    needed_u = _needed_u(past, usual)
    if needed_u is None:
        return past
    excess_u = _given_u(past) - needed_u
    if excess_u <= _LEAST:
        return past
    kept: list[Dose] = []
    for dose in reversed(past.since.insulin):
        taken_u = min(excess_u, dose.dose_u) if dose.purpose == "bolus" else 0.0
        excess_u -= taken_u
        kept.insert(0, dose.model_copy(update={"dose_u": dose.dose_u - taken_u}))
    values = past.timeline.values.clone()
    columns = [CHANNEL[name] for name in BOLUS]
    doses = values[-1 - _HOURS : -1, columns]
    total = doses.sum(1)
    later = total.flip(0).cumsum(0).flip(0) - total
    left = (total - (excess_u - later).clamp(min=0)).clamp(min=0)
    values[-1 - _HOURS : -1, columns] = doses * (left / total.clamp(min=_LEAST)).unsqueeze(1)
    since = past.since.model_copy(update={"insulin": kept})
    return Past(replace(past.timeline, values=values), since)


def with_meal(past: Past, usual: Usual) -> Past:
    """The food that a bolus was given for, where this person usually eats and now has not."""
    missed = _missed(past, usual)
    if missed is None:
        return past
    values = past.timeline.values.clone()
    values[-1 - _HOURS + missed.step, CHANNEL[CARBS[0]]] += missed.carbs_g
    return replace(past, timeline=replace(past.timeline, values=values))


def without_exercise(past: Past, usual: Usual) -> Past:
    """With exertion as usual, and no sprints."""
    day = slice(-1 - DAY, -1)
    moved = exerted(past.timeline, day)
    as_usual = np.minimum(moved, usual.exertion[DAY - len(moved) : DAY])
    values, known = past.timeline.values.clone(), past.timeline.known.clone()
    sprint = CHANNEL["stated_sprint"]
    if (moved - as_usual).max(initial=0) <= _LEAST and not values[day, sprint].any():
        return past
    values[day, [CHANNEL["steps"], sprint]] = 0
    values[day, CHANNEL["stated_exertion"]] = torch.from_numpy(as_usual).float()
    known[day, CHANNEL["heart_rate_bpm"]] = False
    return replace(past, timeline=replace(past.timeline, values=values, known=known))


def without_alcohol(past: Past, _: Usual) -> Past:
    """With none."""
    return _without(past, ("alcohol_g",))


def without_conditions(past: Past, _: Usual) -> Past:
    """With none."""
    cured = _without(past, (*MODULATORS, "site_loss"))
    if not past.since.conditions:
        return cured
    return replace(cured, since=past.since.model_copy(update={"conditions": []}))


def with_usual_basal(past: Past, _: Usual) -> Past:
    """As much as on the days before."""
    values, changed = past.timeline.values.clone(), False
    for name in ("basal_u", *LONG_ACTING):
        series = amounts(past.timeline, (name,))
        today, before = series[-1 - DAY : -1], series[: -1 - DAY]
        if np.nansum(today) > 0 and np.nansum(before) > 0:
            factor = float(np.nanmean(before) / np.nanmean(today))
            values[-1 - DAY : -1, CHANNEL[name]] *= factor
            changed = changed or abs(factor - 1) > _LEAST
    return replace(past, timeline=replace(past.timeline, values=values)) if changed else past


TAKEN_AWAY: Final[dict[Driver, Callable[[Past, Usual], Past]]] = {
    # A meal first: the insulin that was meant for it is not too much.
    Driver.MEAL: with_meal,
    Driver.INSULIN: without_insulin,
    Driver.EXERCISE: without_exercise,
    Driver.ALCOHOL: without_alcohol,
    Driver.BASAL: with_usual_basal,
    Driver.CONDITION: without_conditions,
}
"""Those that are events; each gives the same past back where there is nothing to take away."""


@dataclass(frozen=True)
class _Missed:
    """A meal that was bolused for and not eaten.

    Attributes:
        step: When, of the last `_HOURS`.
        carbs_g: For how much was bolused, less what was eaten.
    """

    step: int
    carbs_g: float


def _missed(past: Past, usual: Usual) -> _Missed | None:
    """The largest; None if there is none, or nothing is known of usual meals."""
    if usual.bolus_u_g is None or len(usual.carbs_g) < _LEAST_DAYS:
        return None
    given = _lately(past, BOLUS)
    given[-1] += sum(dose.dose_u for dose in past.since.insulin if dose.purpose == "bolus")
    eaten = _lately(past, CARBS)
    eaten[-1] += sum(meal.carbs_g for meal in past.since.meals)
    found = None
    for step in np.flatnonzero(given):
        about = slice(max(step - _MEAL_BEFORE, 0), step + _MEAL_AFTER)
        days = usual.carbs_g[:, DAY - _HOURS :][:, about].sum(1)
        usual_g, eaten_g = float(np.median(days)), float(eaten[about].sum())
        if eaten_g >= _LITTLE * usual_g:
            continue
        dose_u = given[max(step - _BOLUS_ABOUT, 0) : step + _BOLUS_ABOUT].sum()
        carbs_g = min(_MUCH * usual_g, float(dose_u) / usual.bolus_u_g) - eaten_g
        if carbs_g > (0 if found is None else found.carbs_g):
            found = _Missed(int(step), carbs_g)
    return found


def _needed_u(past: Past, usual: Usual) -> float | None:
    """Rapid insulin for what was eaten or missed; else what is usual; None if not known."""
    if usual.bolus_u_g is not None and len(usual.carbs_g) >= _LEAST_DAYS:
        eaten_g = float(_lately(past, CARBS).sum()) + sum(meal.carbs_g for meal in past.since.meals)
        missed = _missed(past, usual)
        return usual.bolus_u_g * (eaten_g + (missed.carbs_g if missed else 0.0))
    if len(usual.bolus_u) >= _LEAST_DAYS:
        return float(np.median(usual.bolus_u[:, DAY - _HOURS : DAY].sum(1)))
    return None


def _given_u(past: Past) -> float:
    later = sum(dose.dose_u for dose in past.since.insulin if dose.purpose == "bolus")
    return float(_lately(past, BOLUS).sum()) + later


def _lately(past: Past, names: tuple[str, ...]) -> Floats:
    """(_HOURS,) several channels' amounts per step; 0 where not known."""
    part = np.nan_to_num(amounts(past.timeline, names, slice(-1 - _HOURS, -1)))
    return np.concatenate([np.zeros(_HOURS - len(part)), part])


def _without(past: Past, names: tuple[str, ...]) -> Past:
    columns = [CHANNEL[name] for name in names]
    if not past.timeline.values[:, columns].any():
        return past
    values = past.timeline.values.clone()
    values[:, columns] = 0
    return replace(past, timeline=replace(past.timeline, values=values))
