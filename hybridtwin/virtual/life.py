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
from hybridtwin.virtual.reactions import Settings, bolus, rescue, settings
from hybridtwin.virtual.sensor import Sensor, draw_sensor, read
from hybridtwin.virtual.truth import Truth
from hybridtwin.virtual.uva_padova import (
    COMPARTMENTS,
    EATING_RATE_G_MIN,
    State,
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
    recorded = steps(days * MINUTES_PER_DAY)
    lived_days = days + hours_after * 60 / MINUTES_PER_DAY
    lives = settle(patients, lived_days, start, seed, habits, traits, time_zone, change)
    _, diary, truths = go_on(lives, at_first(lives), len(lives.grid))
    return [
        VirtualPerson(to_record(diary, person, patients, lives.grid[:recorded]), truths[person])
        for person in range(len(patients))
    ]


@dataclass(frozen=True)
class Lives:
    """What is settled of P people over T steps of 5 minutes before they live them.

    Attributes:
        patients: P patients.
        habits: What they have in common.
        by: What they go by.
        planned: Their days.
        sensors: What they wear.
        chance: (T, 4, P) uniform numbers: noticing a low, the size of its treatment, logging
            it, correcting a high.
        grid: (T,) local times.
    """

    patients: Patients
    habits: Habits
    by: Settings
    planned: Sequence[Days]
    sensors: Sequence[Sensor]
    chance: Array
    grid: pd.DatetimeIndex


@dataclass(frozen=True)
class Moment:
    """Where P people stand when a step begins: all that their going on depends on.

    Attributes:
        step: Of their lives.
        body: Their bodies.
        plate_g: (P,) what is on the table and not yet eaten.
        on_board_u: (P,) insulin of boluses that they take to be still active.
        last_rescue_min: (P,) when they last treated a low, from the first step; -inf for never.
        last_bolus_min: (P,) when they last took a bolus.
    """

    step: int
    body: State
    plate_g: Array
    on_board_u: Array
    last_rescue_min: Array
    last_bolus_min: Array


def settle(
    patients: Patients,
    days: float,
    start: pd.Timestamp,
    seed: int,
    habits: Habits | None = None,
    traits: Sequence[Traits] | None = None,
    time_zone: str = TIME_ZONE,
    change: Callable[[int, Days, pd.DatetimeIndex], Days] | None = None,
) -> Lives:
    """Draw all that is left to chance in some days; arguments as in `live`."""
    habits = habits or Habits()
    grid = pd.date_range(
        start.tz_convert("UTC").floor(_STEP),
        periods=steps(days * MINUTES_PER_DAY),
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
    return Lives(
        patients=patients,
        habits=habits,
        by=settings(patients, traits, habits),
        planned=planned,
        sensors=[draw_sensor(len(grid), rng(person, 2)) for person in everyone],
        chance=np.stack([rng(person, 3).random((len(grid), 4)) for person in everyone], axis=-1),
        grid=local,
    )


def at_first(lives: Lives) -> Moment:
    """Everybody fasting and steady, as their lives begin."""
    nothing, never = np.zeros(len(lives.patients)), np.full(len(lives.patients), -np.inf)
    return Moment(0, basal_state(lives.patients), nothing, nothing, never, never)


def go_on(lives: Lives, since: Moment, count: int) -> tuple[Moment, Diary, list[Truth]]:
    """Live some steps more, everyone at once.

    How often one stops on the way changes nothing.

    Args:
        lives: What is settled.
        since: Where they stand.
        count: How many steps.

    Returns:
        Where they stand then, what was logged in these steps, and the truth of each person.

    Raises:
        ValueError: Their lives are not settled so far.
    """
    span = slice(since.step, since.step + count)
    if span.stop > len(lives.grid):
        raise ValueError(f"{len(lives.grid)} steps are settled, not {span.stop}")
    patients, habits, by, chance = lives.patients, lives.habits, lives.by, lives.chance[span]
    carbs, counted, logged, overdose, basal_u_h, sensitivity, arrives, awake = _stack(
        lives.planned, [field.name for field in fields(Days)], span
    )
    gain, bias, works = _stack(lives.sensors, ("gain", "bias_mg_dl", "works"), span)

    size = len(patients)
    reading, glucose, dose, meal_mg, eating = np.empty((5, count, size))
    compartments = np.empty((count, len(COMPARTMENTS), size))
    eaten, given = np.empty((2, count * STEP_MIN, size))
    state, plate, on_board = since.body, since.plate_g, since.on_board_u
    last_rescue, last_bolus = since.last_rescue_min.copy(), since.last_bolus_min.copy()
    fading = np.exp(-STEP_MIN / habits.insulin_on_board_min)

    for k in range(count):
        minute = (since.step + k) * STEP_MIN
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

        now = slice(k * STEP_MIN, (k + 1) * STEP_MIN)
        for m in range(now.start, now.stop):
            eaten[m] = np.minimum(plate, EATING_RATE_G_MIN)
            plate = plate - eaten[m]
        given[now] = arrives[k] * basal_u_h[k] / 60
        given[now.start] += arrives[k] * dose[k]
        constant = np.broadcast_to(sensitivity[k], (STEP_MIN, size))
        _, state = run(state, eaten[now], given[now], patients, constant)

    truths = [
        Truth(
            patient=patients.take([person]),
            start=lives.grid[since.step].tz_convert("UTC"),
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
    then = Moment(span.stop, state, plate, on_board, last_rescue, last_bolus)
    return then, Diary(reading, dose, logged, basal_u_h), truths


def _stack(people: Sequence[object], names: Sequence[str], span: slice) -> list[NDArray[Any]]:
    """A span of the named arrays (T,) of P people, each as (T, P); copies."""
    return [np.stack([getattr(one, name)[span] for one in people], axis=-1) for name in names]
