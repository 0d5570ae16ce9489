"""Virtual people who live their days: a Record of what they logged, and the truth behind it.

Every person eats, counts, forgets, corrects and treats lows by what the sensor shows, so that the
records have the faults of real ones, while the truth says what really happened and what would
have happened (`truth.replay`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.record import Record
from hybridtwin.units import STEP_MIN, steps
from hybridtwin.virtual.days import Days, draw_days
from hybridtwin.virtual.diary import Diary, to_record
from hybridtwin.virtual.habits import Habits, Traits, draw_traits
from hybridtwin.virtual.native import run
from hybridtwin.virtual.patients import Array, Patients
from hybridtwin.virtual.reactions import bolus, rescue, settings
from hybridtwin.virtual.sensor import Sensor, draw_sensor, read
from hybridtwin.virtual.truth import Truth
from hybridtwin.virtual.uva_padova import (
    COMPARTMENTS,
    EATING_RATE_G_MIN,
    basal_state,
    glucose_mg_dl,
)

TIME_ZONE = "Europe/Berlin"
_STEP = pd.Timedelta(minutes=STEP_MIN)


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
    change: Callable[[int, Days, pd.DatetimeIndex], Days] | None = None,
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
        change: What else happens: a person's position, days and local times to other days.

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
    if change is not None:
        planned = [change(person, days, local) for person, days in enumerate(planned)]
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
        chance: (T, 4, P) uniform numbers: noticing a low, the size of its treatment, logging
            it, correcting a high.
    """
    count, size = len(grid), len(patients)
    carbs, counted, logged, overdose, basal_u_h, sensitivity, arrives, awake = _stack(
        planned, [field.name for field in fields(Days)]
    )
    gain, bias, works = _stack(sensors, ("gain", "bias_mg_dl", "works"))
    by = settings(patients, traits, habits)

    reading, glucose, dose, meal_mg, eating = np.empty((5, count, size))
    compartments = np.empty((count, len(COMPARTMENTS), size))
    eaten, given = np.empty((2, count * STEP_MIN, size))
    state = basal_state(patients)
    plate, on_board = np.zeros((2, size))
    last_rescue, last_bolus = np.full((2, size), -np.inf)
    fading = np.exp(-STEP_MIN / habits.insulin_on_board_min)

    for k in range(count):
        minute = k * STEP_MIN
        compartments[k], meal_mg[k], eating[k] = state.compartments, state.meal_mg, state.eating
        glucose[k] = glucose_mg_dl(state, patients)
        reading[k] = read(glucose[k], gain[k], bias[k], works[k])

        grams = rescue(
            reading[k], glucose[k], awake[k], minute - last_rescue, chance[k, :2], by, habits
        )
        last_rescue[grams > 0] = minute
        logged[k] += np.where(chance[k, 2] < habits.rescue_logged, grams, 0)
        plate = plate + carbs[k] + grams

        dose[k] = bolus(
            reading[k],
            counted[k],
            overdose[k],
            awake[k],
            minute - last_bolus,
            on_board,
            chance[k, 3],
            by,
            habits,
        )
        last_bolus[dose[k] > 0] = minute
        on_board = on_board * fading + dose[k]

        for m in range(minute, minute + STEP_MIN):
            eaten[m] = np.minimum(plate, EATING_RATE_G_MIN)
            plate = plate - eaten[m]
        now = slice(minute, minute + STEP_MIN)
        given[now] = arrives[k] * basal_u_h[k] / 60
        given[minute] += arrives[k] * dose[k]
        constant = np.broadcast_to(sensitivity[k], (STEP_MIN, size))
        _, state = run(state, eaten[now], given[now], patients, constant)

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
    return Diary(reading, dose, logged, basal_u_h), truths


def _stack(people: Sequence[object], names: Sequence[str]) -> list[NDArray[Any]]:
    """The named arrays (T,) of P people, each as (T, P)."""
    return [np.stack([getattr(one, name) for one in people], axis=-1) for name in names]
