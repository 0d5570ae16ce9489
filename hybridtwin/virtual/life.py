"""Virtual people who live their days: a Record of what they logged, and the truth behind it.

Every person eats, counts, forgets, corrects and treats lows by what the sensor shows, so that the
records have the faults of real ones, while the truth says what really happened and what would
have happened: `replay` runs the same body through the same days with other doses or meals.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.record import Record
from hybridtwin.units import STEP_MIN, steps
from hybridtwin.virtual.days import Days, draw_days
from hybridtwin.virtual.diary import Diary, to_record
from hybridtwin.virtual.habits import Habits, Traits, draw_traits
from hybridtwin.virtual.patients import Array, Patients, join
from hybridtwin.virtual.sensor import Sensor, draw_sensor, read
from hybridtwin.virtual.uva_padova import (
    COMPARTMENTS,
    EATING_RATE_G_MIN,
    State,
    basal_state,
    basal_u_min,
    glucose_mg_dl,
    simulate,
    step,
)

TIME_ZONE = "Europe/Berlin"
_STEP = pd.Timedelta(minutes=STEP_MIN)
_BOLUS_STEP_U = 0.05
_BOLUS_MAX_U = 25.0
_DEEP_LOW_MG_DL = 54.0
_LEAST_CHASED_MG_DL = 60.0


@dataclass(frozen=True)
class Truth:
    """What really happened to one person, on a grid of T steps of 5 minutes.

    Attributes:
        patient: The one patient.
        start: Instant of step 0, UTC.
        glucose_mg_dl: (T,) interstitial glucose: what a sensor without error reads.
        carbs_g_min: (5 T,) carbohydrate eaten per minute.
        insulin_u_min: (5 T,) insulin given per minute, basal and boluses.
        sensitivity: (T,) factor on insulin's action.
        compartments: (T, 13) the body's compartments.
        meal_mg: (T,) the meal being digested.
        eating: (T,) whether the minute before was spent eating.
    """

    patient: Patients
    start: pd.Timestamp
    glucose_mg_dl: Array
    carbs_g_min: Array
    insulin_u_min: Array
    sensitivity: Array
    compartments: Array
    meal_mg: Array
    eating: Array

    def __len__(self) -> int:
        return len(self.glucose_mg_dl)

    def index(self, time: pd.Timestamp) -> int:
        """The step nearest to an instant."""
        return steps((time - self.start) / pd.Timedelta(minutes=1))

    def state(self, index: int) -> State:
        """The body at a step."""
        here = slice(index, index + 1)
        return State(self.compartments[here].T, self.meal_mg[here], self.eating[here])

    def inputs(self, begin: int, minutes: int) -> tuple[Array, Array]:
        """(minutes,) carbohydrate g/min and insulin U/min from step `begin` on; copies."""
        span = slice(begin * STEP_MIN, begin * STEP_MIN + minutes)
        return self.carbs_g_min[span].copy(), self.insulin_u_min[span].copy()


@dataclass(frozen=True)
class VirtualPerson:
    """A virtual person: what was logged of them, and what is true.

    The truth may go on after the record ends.
    """

    record: Record
    truth: Truth


def live(
    patients: Patients,
    days: float,
    start: pd.Timestamp,
    seed: int,
    habits: Habits | None = None,
    traits: Sequence[Traits] | None = None,
    time_zone: str = TIME_ZONE,
    hours_after: float = 0,
) -> list[VirtualPerson]:
    """Let patients live their days.

    Args:
        patients: P patients; one that is taken twice lives as two people.
        days: How long the record is.
        start: First instant, aware; rounded down to five minutes.
        seed: Fixes everything that is left to chance; a person's days do not depend on who else
            is simulated, only on their position.
        habits: What people have in common.
        traits: What is each person's own; None draws it from the habits.
        time_zone: Where they live.
        hours_after: How long the truth goes on after the record.

    Returns:
        P people, named virtual-adult-03 and so on.
    """
    habits = habits or Habits()
    recorded = steps(days * MINUTES_PER_DAY)
    grid = pd.date_range(
        start.tz_convert("UTC").floor(_STEP),
        periods=recorded + steps(hours_after * 60),
        freq=_STEP,
        unit="ns",
    )
    local = grid.tz_convert(time_zone)

    def rng(person: int, purpose: int) -> np.random.Generator:
        return np.random.default_rng([seed, person, purpose])

    everyone = range(len(patients))
    traits = traits or [draw_traits(rng(person, 0), habits) for person in everyone]
    planned = [
        draw_days(patients.take([person]), traits[person], habits, local, rng(person, 1))
        for person in everyone
    ]
    sensors = [draw_sensor(len(grid), rng(person, 2)) for person in everyone]
    chance = np.stack([rng(person, 3).random((len(grid), 4)) for person in everyone], axis=-1)
    diary, truths = _run(patients, traits, habits, planned, sensors, chance, grid)
    return [
        VirtualPerson(to_record(diary, person, patients, local[:recorded]), truths[person])
        for person in everyone
    ]


def _run(
    patients: Patients,
    traits: Sequence[Traits],
    habits: Habits,
    planned: Sequence[Days],
    sensors: Sequence[Sensor],
    chance: Array,
    grid: pd.DatetimeIndex,
) -> tuple[Diary, list[Truth]]:
    """Live through the grid, everyone at once.

    Args:
        chance: (T, 4, P) uniform numbers: noticing a low, logging its treatment, its size,
            correcting a high.
    """
    count, size = len(grid), len(patients)
    carbs, counted, logged, overdose, basal_u_h, sensitivity, awake = (
        np.stack([getattr(days, name) for days in planned], axis=-1)
        for name in (
            "carbs_g",
            "counted_g",
            "logged_g",
            "overdose",
            "basal_u_h",
            "sensitivity",
            "awake",
        )
    )
    gain, bias, works = (
        np.stack([getattr(sensor, name) for sensor in sensors], axis=-1)
        for name in ("gain", "bias_mg_dl", "works")
    )
    ratio = np.array([one.ratio_factor for one in traits]) / patients.cr
    eager = np.array([one.corrects for one in traits])
    fall = fall_per_unit(patients)
    portion = np.array([habits.rescue_g[group] for group in patients.group])

    reading, glucose, bolus = np.empty((3, count, size))
    eaten, given = np.empty((2, count * STEP_MIN, size))
    meal_mg, eating = np.empty((2, count, size))
    compartments = np.empty((count, len(COMPARTMENTS), size))
    state = basal_state(patients)
    plate, on_board = np.zeros((2, size))
    last_rescue, last_correction = np.full((2, size), -np.inf)
    fading = np.exp(-STEP_MIN / habits.insulin_on_board_min)

    for k in range(count):
        compartments[k], meal_mg[k], eating[k] = state.compartments, state.meal_mg, state.eating
        glucose[k] = glucose_mg_dl(state, patients)
        shown = reading[k] = read(glucose[k], gain[k], bias[k], works[k])
        minute = k * STEP_MIN

        low = (shown < habits.rescue_below_mg_dl) | (
            awake[k] & (glucose[k] < habits.felt_below_mg_dl)
        )
        asleep = np.where(shown < _DEEP_LOW_MG_DL, habits.notice_asleep_deep, habits.notice_asleep)
        notices = chance[k, 0] < np.where(awake[k], habits.notice_awake, asleep)
        rescue = low & notices & (minute - last_rescue >= habits.rescue_again_min)
        last_rescue[rescue] = minute
        grams = np.where(rescue, np.round(portion * (0.8 + 0.6 * chance[k, 2])), 0)
        logged[k] += np.where(chance[k, 1] < habits.rescue_logged, grams, 0)
        plate = plate + carbs[k] + grams

        with_meal = counted[k] > 0
        high = awake[k] & (shown > habits.correct_above_mg_dl) & (chance[k, 3] < eager)
        correct = high & (minute - last_correction >= habits.correct_again_min)
        excess = np.where(np.isnan(shown), 0, shown - habits.target_mg_dl) / fall
        needed = np.maximum(excess - on_board, 0)
        dose = counted[k] * ratio + np.where(correct | with_meal, needed, 0)
        dose = np.where((shown < habits.rescue_below_mg_dl) & with_meal, dose * 0.7, dose)
        dose += overdose[k] * np.maximum(excess, _LEAST_CHASED_MG_DL / fall)
        dose = np.minimum(np.round(dose / _BOLUS_STEP_U) * _BOLUS_STEP_U, _BOLUS_MAX_U)
        last_correction[dose > 0] = minute
        on_board = on_board * fading + dose
        bolus[k] = dose

        for m in range(minute, minute + STEP_MIN):
            eaten[m] = np.minimum(plate, EATING_RATE_G_MIN)
            plate = plate - eaten[m]
            given[m] = basal_u_h[k] / 60 + (dose if m == minute else 0)
            state = step(state, eaten[m], given[m], sensitivity[k], patients)

    truths = [
        Truth(
            patient=patients.take([person]),
            start=grid[0],
            glucose_mg_dl=glucose[:, person],
            carbs_g_min=eaten[:, person],
            insulin_u_min=given[:, person],
            sensitivity=sensitivity[:, person],
            compartments=compartments[:, :, person],
            meal_mg=meal_mg[:, person],
            eating=eating[:, person],
        )
        for person in range(size)
    ]
    return Diary(reading, bolus, logged, basal_u_h), truths


def fall_per_unit(patients: Patients) -> Array:
    """(P,) mg/dL by which one unit lowers steady glucose at most: what people learn in years."""
    dose, minutes = 0.1, 480
    insulin = np.tile(basal_u_min(patients), (minutes, 1))
    insulin[0] += dose
    states = simulate(basal_state(patients), np.zeros_like(insulin), insulin, patients)
    lowest = np.min([glucose_mg_dl(state, patients) for state in states], axis=0)
    fall: Array = (patients.gpb / patients.vg - lowest) / dose
    return fall


def replay(
    truths: Sequence[Truth], begins: Sequence[int], carbs_g_min: Array, insulin_u_min: Array
) -> Array:
    """What would have happened: the same bodies and days, with other meals or doses.

    People do not react in a replay: everything they do is in the inputs, and what is not there
    (such as the treatment of a low) is not done. With the inputs that `Truth.inputs` returns,
    the glucose is exactly the true one.

    Args:
        truths: B people, the same one as often as there are futures of them.
        begins: B steps at which the futures begin.
        carbs_g_min: (B, M) carbohydrate eaten per minute, M a multiple of 5.
        insulin_u_min: (B, M) insulin given per minute, basal included.

    Returns:
        (B, M / 5 + 1) interstitial glucose in mg/dL, from the common beginning on.

    Raises:
        ValueError: A future reaches beyond what its person has lived.
    """
    count = carbs_g_min.shape[1] // STEP_MIN
    if any(
        begin < 0 or begin + count > len(truth) for truth, begin in zip(truths, begins, strict=True)
    ):
        raise ValueError(f"a future of {count} steps reaches beyond the days that were lived")
    patients = join([truth.patient for truth in truths])
    begun = [truth.state(begin) for truth, begin in zip(truths, begins, strict=True)]
    state = State(
        np.concatenate([one.compartments for one in begun], axis=1),
        np.concatenate([one.meal_mg for one in begun]),
        np.concatenate([one.eating for one in begun]),
    )
    sensitivity = np.stack(
        [
            truth.sensitivity[begin : begin + count]
            for truth, begin in zip(truths, begins, strict=True)
        ],
        axis=-1,
    ).repeat(STEP_MIN, axis=0)
    states = simulate(state, carbs_g_min.T, insulin_u_min.T, patients, sensitivity)
    on_grid = [one for minute, one in enumerate(states) if minute % STEP_MIN == 0]
    return np.stack([glucose_mg_dl(one, patients) for one in on_grid], axis=-1)
