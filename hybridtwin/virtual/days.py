"""What is settled before a person lives their days: meals, basal profile, insulin sensitivity."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.units import STEP_MIN
from hybridtwin.virtual.habits import Habits, Traits
from hybridtwin.virtual.patients import Array, Patients
from hybridtwin.virtual.uva_padova import basal_u_min

_STEP = pd.Timedelta(minutes=STEP_MIN)
_OVERDOSE_MINUTES = (20 * 60 + 30, 22 * 60 + 30)
_OVERDOSE_FACTOR = (1.6, 2.4)
_NIGHT_MINUTES = (22 * 60, 5 * 60)
_LEAST_SENSITIVE_MINUTE = 6 * 60
_PUMP_RATE_STEP_U_H = 0.025
_DAY_KNOT_MIN, _HOUR_KNOT_MIN = MINUTES_PER_DAY, 180


@dataclass(frozen=True)
class Days:
    """One person's days on the 5-minute grid, each (T,).

    Attributes:
        carbs_g: Put on the table.
        counted_g: What the person takes it for when they bolus, at the time of the bolus.
        logged_g: What they write down, at the time of the meal.
        overdose: Factor of an overdosed correction given then; 0 for none.
        basal_u_h: Pump basal.
        sensitivity: Factor on insulin's action.
        arrives: Share of the pump's insulin that arrives in the body.
        awake: Whether the person is awake.
    """

    carbs_g: Array
    counted_g: Array
    logged_g: Array
    overdose: Array
    basal_u_h: Array
    sensitivity: Array
    arrives: Array
    awake: NDArray[np.bool_]


def draw_days(
    patient: Patients,
    traits: Traits,
    habits: Habits,
    grid: pd.DatetimeIndex,
    rng: np.random.Generator,
) -> Days:
    """Draw the days of one patient over a grid of local times."""
    minute = np.asarray(grid.hour * 60 + grid.minute)
    carbs, counted, logged = _draw_meals(patient, traits, habits, grid, rng)
    night = (minute >= _NIGHT_MINUTES[0]) | (minute < _NIGHT_MINUTES[1])
    # The pump's profile has one rate per hour and knows most of the daily wave.
    profile = np.exp(-habits.clock_known * _clock(traits.clock_depth, minute // 60 * 60))
    steady = 60 * float(basal_u_min(patient)[0])
    basal = steady * traits.basal_factor * profile * np.where(night, traits.night_factor, 1)
    variation = _wander(len(grid), _DAY_KNOT_MIN, habits.day_spread, rng) + _wander(
        len(grid), _HOUR_KNOT_MIN, habits.hour_spread, rng
    )
    factor = np.ones(len(grid))
    for instant, change in traits.sensitivity_from:
        factor[grid >= instant] *= change
    return Days(
        carbs_g=carbs,
        counted_g=counted,
        logged_g=logged,
        overdose=_draw_overdoses(traits, grid, rng),
        basal_u_h=np.round(basal / _PUMP_RATE_STEP_U_H) * _PUMP_RATE_STEP_U_H,
        sensitivity=factor * np.exp(_clock(traits.clock_depth, minute) + variation),
        arrives=np.ones(len(grid)),
        awake=(minute >= habits.awake_from_min) & (minute < habits.awake_until_min),
    )


def _draw_meals(
    patient: Patients,
    traits: Traits,
    habits: Habits,
    grid: pd.DatetimeIndex,
    rng: np.random.Generator,
) -> tuple[Array, Array, Array]:
    dates = _dates(grid)
    carbs, counted, logged = np.zeros((3, len(grid)))
    weekend = np.where(dates.day_of_week >= 5, habits.weekend_later_min, 0)
    for meal in habits.meals:
        happens = rng.random(len(dates)) < meal.chance
        usual = meal.share * habits.carbs_g_day[patient.group[0]]
        grams = np.round(usual * rng.lognormal(0, habits.meal_size_spread, len(dates)))
        minute = meal.minute + weekend + rng.normal(0, meal.spread_min, len(dates))
        delay = rng.normal(-habits.bolus_early_min, habits.bolus_spread_min, len(dates))
        late = rng.random(len(dates)) < habits.late_chance
        delay = np.where(late, rng.uniform(*habits.late_min, len(dates)), delay)
        forgets = 1 - habits.snack_bolused if meal.snack else traits.forgets
        boluses = rng.random(len(dates)) >= forgets
        logs = boluses | (rng.random(len(dates)) < habits.unbolused_logged)
        misjudged = traits.counting_bias * rng.lognormal(0, habits.counting_spread, len(dates))
        guess = np.round(grams * misjudged)

        at = _steps(dates, minute, grid)
        _put(carbs, at[happens], grams[happens])
        _put(logged, at[happens & logs], guess[happens & logs])
        bolus_at = _steps(dates, minute + delay, grid)
        _put(counted, bolus_at[happens & boluses], guess[happens & boluses])
    return carbs, counted, logged


def _draw_overdoses(traits: Traits, grid: pd.DatetimeIndex, rng: np.random.Generator) -> Array:
    dates = _dates(grid)
    happens = rng.random(len(dates)) < traits.overdose
    at = _steps(dates, rng.uniform(*_OVERDOSE_MINUTES, len(dates)), grid)
    overdose = np.zeros(len(grid))
    _put(overdose, at[happens], rng.uniform(*_OVERDOSE_FACTOR, len(dates))[happens])
    for instant in traits.overdoses_at:
        step = (instant - grid[0]) // _STEP
        _put(overdose, np.array([step]), np.array([_OVERDOSE_FACTOR[1]]))
    return overdose


def _dates(grid: pd.DatetimeIndex) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(grid.tz_localize(None).normalize().unique())


def _steps(dates: pd.DatetimeIndex, minute: Array, grid: pd.DatetimeIndex) -> NDArray[np.intp]:
    """Grid steps of local wall-clock minutes, daylight saving included."""
    local = dates + pd.to_timedelta(np.round(minute), unit="min")
    instants = local.tz_localize(
        grid.tz, ambiguous=np.ones(len(dates), dtype=bool), nonexistent="shift_forward"
    )
    return np.asarray((instants - grid[0]) // _STEP, dtype=np.intp)


def _put(target: Array, at: NDArray[np.intp], amount: Array) -> None:
    inside = (at >= 0) & (at < len(target))
    np.add.at(target, at[inside], amount[inside])


def _clock(depth: float, minute: NDArray[np.int64]) -> Array:
    """The daily wave of the logarithm of insulin sensitivity at local minutes of the day."""
    angle: Array = 2 * np.pi * (minute - _LEAST_SENSITIVE_MINUTE) / MINUTES_PER_DAY
    return -depth * np.cos(angle)


def _wander(count: int, knot_min: int, spread: float, rng: np.random.Generator) -> Array:
    """(count,) a smooth course of mean 0: independent normal values, joined by lines."""
    knots = np.arange(0, count * STEP_MIN + 2 * knot_min, knot_min)
    values = rng.normal(0, spread, len(knots))
    phase = rng.uniform(0, knot_min)
    course: Array = np.interp(np.arange(count) * STEP_MIN + phase, knots, values)
    return course
