"""Evenings with one thing planted that leads to a low, and the same evenings without it.

A lived evening is lived again from before the planted event on, without what the person would have
done about it. The record shows what would have been logged and read.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np
import pandas as pd

from hybridtwin.events import InsulinKind
from hybridtwin.record import Record
from hybridtwin.units import STEP_MIN, steps
from hybridtwin.virtual.changes import Inputs
from hybridtwin.virtual.life import VirtualPerson
from hybridtwin.virtual.patients import Array
from hybridtwin.virtual.reactions import BOLUS_STEP_U
from hybridtwin.virtual.sensor import READ_MAX_MG_DL, READ_MIN_MG_DL
from hybridtwin.virtual.truth import Truth, replay

_STEP = pd.Timedelta(minutes=STEP_MIN)


class Planted(StrEnum):
    """What is planted."""

    BOLUS = "extra bolus"
    """A correction where none was due, of half to all of what a dinner takes."""
    RUN = "long run"
    """In the afternoon: insulin acts more strongly, for hours."""
    MEAL = "missed dinner"
    """Dinner is bolused for and not eaten."""


# Of the largest bolus of the day before.
_EXTRA_SHARE: Final = (0.5, 1.0)
_EXTRA_MINUTES: Final = (20 * 60 + 30, 22 * 60)
_RUN_MINUTES: Final = (15 * 60, 17 * 60)
_RUN_LASTS_MIN: Final = (75, 120)
# Insulin acts so much more while running, and afterwards, fading with the time constant that Dalla
# Man, Breton & Cobelli, J Diabetes Sci Technol 3:56 (2009), have for it.
_RUN_GAIN: Final = (1.0, 2.0)
_AFTER_GAIN: Final = (0.4, 0.8)
_FADES_MIN: Final = 600.0
_DINNER_MINUTES: Final = (18 * 60, 21 * 60 + 30)
_DINNER_LEAST_G: Final = 25.0
_DINNER_BOLUS_MIN: Final = (-40, 40)
_LOOKED_AT_AFTER_MIN: Final = (30, 90)
_LOOKED_AT_MINUTES: Final = (21 * 60, 22 * 60 + 30)
_NIGHT_END: Final = pd.Timedelta(hours=30)
"""After the midnight before: six in the morning."""


@dataclass(frozen=True)
class Evening:
    """A person's evening, and what of the night follows from it.

    Nothing is eaten or bolused after now; the pump's basal goes on.

    Attributes:
        record: As logged and read; it ends at now.
        now: From when the night is looked at.
        truth: The person's, with the sensitivity of this evening.
        begin: Step of the truth from which the evening was lived again.
        inputs: What is eaten and given from there to six in the morning.
    """

    record: Record
    now: pd.Timestamp
    truth: Truth
    begin: int
    inputs: Inputs

    @property
    def now_min(self) -> int:
        """Minutes from the beginning to now."""
        return STEP_MIN * (self.truth.index(self.now) - self.begin)

    def ahead_mg_dl(self, inputs: Inputs | None = None) -> Array:
        """True glucose from now on, every five minutes, with these or other inputs."""
        return self.lived_mg_dl(inputs)[steps(self.now_min) :]

    def lived_mg_dl(self, inputs: Inputs | None = None) -> Array:
        """The same from the beginning on."""
        inputs = inputs or self.inputs
        carbs, insulin = inputs.carbs_g_min[None], inputs.insulin_u_min[None]
        glucose: Array = replay([self.truth], [self.begin], carbs, insulin)[0]
        return glucose


def plant(
    person: VirtualPerson, midnight: pd.Timestamp, planted: Planted, rng: np.random.Generator
) -> tuple[Evening, Evening] | None:
    """The evening of a day with something planted, and the same evening without.

    Args:
        person: Who lived that day and the night after it.
        midnight: When the day begins, local.
        planted: What.
        rng: Chance.

    Returns:
        None where it cannot be planted: there was no dinner to miss.
    """

    def at(minute: float) -> pd.Timestamp:
        return (midnight + pd.Timedelta(minutes=minute)).floor(_STEP)

    later = pd.Timedelta(minutes=rng.uniform(*_LOOKED_AT_AFTER_MIN)).floor(_STEP)
    match planted:
        case Planted.BOLUS:
            begin = at(rng.uniform(*_EXTRA_MINUTES))
            now = begin + later
        case Planted.RUN:
            begin = at(rng.uniform(*_RUN_MINUTES))
            now = at(rng.uniform(*_LOOKED_AT_MINUTES))
        case Planted.MEAL:
            found = _dinner(person.truth, at)
            if found is None:
                return None
            begin = found[0]
            now = max(found) + later
    usual = _evening(person, begin, now, midnight + _NIGHT_END)
    match planted:
        case Planted.BOLUS:
            return _with_bolus(usual, rng), usual
        case Planted.RUN:
            return _with_run(usual, rng), usual
        case Planted.MEAL:
            return _without_dinner(usual), usual


def _evening(
    person: VirtualPerson, begin: pd.Timestamp, now: pd.Timestamp, end: pd.Timestamp
) -> Evening:
    first = person.truth.index(begin)
    carbs, insulin = person.truth.inputs(first, int((end - begin) / pd.Timedelta(minutes=1)))
    inputs = Inputs(carbs, insulin)
    after = int((now - begin) / pd.Timedelta(minutes=1))
    insulin[after:] = inputs.basal_u_min()[after:]
    carbs[after:] = 0
    return Evening(person.record.before(now), now, person.truth, first, Inputs(carbs, insulin))


def _with_bolus(usual: Evening, rng: np.random.Generator) -> Evening:
    day = slice((usual.begin - steps(24 * 60)) * STEP_MIN, usual.begin * STEP_MIN)
    largest_u = Inputs(usual.truth.carbs_g_min[day], usual.truth.insulin_u_min[day]).bolus_u().max()
    dose_u = round(largest_u * rng.uniform(*_EXTRA_SHARE) / BOLUS_STEP_U) * BOLUS_STEP_U
    insulin = usual.inputs.insulin_u_min.copy()
    insulin[0] += dose_u
    dose = {"time": _time(usual), "kind": str(InsulinKind.RAPID), "purpose": "bolus"}
    doses = _with_row(usual.record.insulin, dose | {"dose_u": dose_u, "duration_min": 0.0})
    return _lived_again(usual, replace(usual.inputs, insulin_u_min=insulin), insulin=doses)


def _with_run(usual: Evening, rng: np.random.Generator) -> Evening:
    lasts_min = round(rng.uniform(*_RUN_LASTS_MIN))
    sensitivity = usual.truth.sensitivity.copy()
    since_min = STEP_MIN * np.arange(len(sensitivity) - usual.begin) - lasts_min
    after = 1 + rng.uniform(*_AFTER_GAIN) * np.exp(-np.maximum(since_min, 0) / _FADES_MIN)
    sensitivity[usual.begin :] *= np.where(since_min < 0, 1 + rng.uniform(*_RUN_GAIN), after)
    run = {"time": _time(usual), "duration_min": float(lasts_min), "kind": "aerobic"}
    activity = _with_row(usual.record.activity, run | {"intensity": "vigorous"})
    ran = replace(usual, truth=replace(usual.truth, sensitivity=sensitivity))
    return _lived_again(ran, usual.inputs, activity=activity)


def _without_dinner(usual: Evening) -> Evening:
    carbs = usual.inputs.carbs_g_min.copy()
    carbs[: int((carbs == 0).argmax())] = 0
    meals = usual.record.meals
    logged = (meals["time"] - _time(usual)).abs() <= _STEP
    return _lived_again(usual, replace(usual.inputs, carbs_g_min=carbs), meals=meals[~logged])


def _lived_again(evening: Evening, inputs: Inputs, **logged: pd.DataFrame) -> Evening:
    """With other inputs; the sensor errs as it did."""
    lived = replace(evening, inputs=inputs)
    glucose = evening.record.glucose
    step = ((glucose["time"] - evening.truth.start) / _STEP).round().astype(int).to_numpy()
    again = step >= evening.begin
    change = (
        lived.lived_mg_dl()[step[again] - evening.begin] - evening.truth.glucose_mg_dl[step[again]]
    )
    shown = glucose["mg_dl"].to_numpy(copy=True)
    shown[again] = np.clip(np.round(shown[again] + change), READ_MIN_MG_DL, READ_MAX_MG_DL)
    record = replace(evening.record, glucose=glucose.assign(mg_dl=shown), **logged)
    return replace(lived, record=record)


def _with_row(rows: pd.DataFrame, row: dict[str, object]) -> pd.DataFrame:
    """With one more event, in order of time."""
    return pd.concat([rows, pd.DataFrame([row])]).sort_values("time", kind="stable")


def _time(evening: Evening) -> pd.Timestamp:
    return evening.truth.start + evening.begin * _STEP


def _dinner(
    truth: Truth, at: Callable[[float], pd.Timestamp]
) -> tuple[pd.Timestamp, pd.Timestamp] | None:
    """When dinner begins and when it is bolused for."""
    first, last = (truth.index(at(minute)) for minute in _DINNER_MINUTES)
    span = slice(first * STEP_MIN, last * STEP_MIN)
    eats = truth.carbs_g_min[span] > 0
    begins = np.flatnonzero(eats[1:] & ~eats[:-1]) + 1
    for begin in begins:
        stop = begin + int((~eats[begin:]).argmax())
        if truth.carbs_g_min[span][begin:stop].sum() < _DINNER_LEAST_G or begin % STEP_MIN:
            continue
        meal = span.start + begin
        around = slice(meal + _DINNER_BOLUS_MIN[0], meal + _DINNER_BOLUS_MIN[1])
        inputs = Inputs(truth.carbs_g_min[around], truth.insulin_u_min[around])
        given = np.flatnonzero(inputs.bolus_u() > 0)
        if len(given):
            minutes = (meal, around.start + given[0])
            meal_at, bolus_at = (truth.start + pd.Timedelta(minutes=int(m)) for m in minutes)
            return meal_at, bolus_at
    return None
