"""Habits, illness and faults planted into virtual people's days, to test what should find them.

A plant changes what a person does or what their body does to insulin, never what is measured: how
their glucose then runs is left to the independent equations. Everybody logs some bouts of exercise;
only where exercise is the plant do they change anything. How strong plants are is our choice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.units import STEP_MIN, steps
from hybridtwin.virtual.days import Days
from hybridtwin.virtual.habits import Habits, Traits, draw_traits
from hybridtwin.virtual.life import VirtualPerson, live
from hybridtwin.virtual.patients import Array, Patients


class PlantKind(StrEnum):
    """What is planted."""

    EARLY_NIGHT_LOWS = "early night lows"
    """Overdosed corrections at bedtime."""
    LATE_NIGHT_LOWS = "late night lows"
    """Overdosed corrections in the small hours."""
    DAWN = "dawn phenomenon"
    """Insulin does less towards the morning, and basal does not know it."""
    MISSED_BOLUSES = "missed boluses"
    """One of the day's meals often goes without its bolus."""
    LATE_BOLUSES = "late boluses"
    """One of the day's meals often gets its bolus long after it began."""
    REBOUND_HIGHS = "rebound highs"
    """Lows, which are treated with too much."""
    FALLING_SENSITIVITY = "falling sensitivity"
    """Insulin does less over the last days, as in an infection."""
    RISING_SENSITIVITY = "rising sensitivity"
    """Insulin does more over the last days."""
    SITE_PROBLEMS = "site problems"
    """Some hours, several times, in which the pump's insulin does not arrive."""
    AEROBIC_EXERCISE = "aerobic exercise"
    """Insulin does more during exercise and for hours after."""
    ANAEROBIC_EXERCISE = "anaerobic exercise"
    """Insulin does less during exercise and shortly after."""


@dataclass(frozen=True)
class Strengths:
    """How strong plants are.

    Attributes:
        overdose_chance: Of a correction that makes a low of the night, in each.
        overdose_factor: Of what would have been right, from and to.
        dawn_factor: Of insulin's action, where it is least, between `dawn_min`.
        dawn_min: Local minutes between which it falls and rises again.
        missed_chance: Of a bolus, on each day.
        late_chance: Of a bolus, on each day.
        late_min: After the usual time.
        rebound_basal_factor: Of all basal, so that there are lows.
        rebound_rescue_factor: Of the carbohydrate against a low.
        falling_factor: Of insulin's action after `changed_days`.
        rising_factor: Of insulin's action after `changed_days`.
        changed_days: How many days before the end the change begins, from and to; it takes one.
        site_failures: How many.
        site_hours: How long each, from and to.
        site_arrives: Share of the insulin that still does.
        bouts_per_week: Of exercise.
        bout_min: How long each, from and to.
        aerobic_factor: Of insulin's action during exercise and for the hour after.
        aerobic_after_factor: Of insulin's action for eight hours after.
        anaerobic_factor: Of insulin's action during exercise and for the hour after.
    """

    overdose_chance: float = 0.7
    overdose_factor: tuple[float, float] = (1.8, 2.6)
    dawn_factor: float = 0.08
    dawn_min: tuple[int, int] = (150, 9 * 60)
    missed_chance: float = 0.85
    late_chance: float = 0.85
    late_min: tuple[float, float] = (45.0, 75.0)
    rebound_basal_factor: float = 1.45
    rebound_rescue_factor: float = 5.5
    falling_factor: float = 0.4
    rising_factor: float = 3.5
    changed_days: tuple[float, float] = (6.0, 8.0)
    site_failures: int = 4
    site_hours: tuple[float, float] = (8.0, 14.0)
    site_arrives: float = 0.05
    bouts_per_week: float = 3.5
    bout_min: tuple[float, float] = (40.0, 70.0)
    aerobic_factor: float = 5.0
    aerobic_after_factor: float = 1.5
    anaerobic_factor: float = 0.3


@dataclass(frozen=True)
class PlantedPerson:
    """A virtual person, and what was planted into their days.

    Attributes:
        person: Who they are.
        kind: What was planted; None for nothing.
        part: Which meal or which time of the day, where there are several; else empty.
    """

    person: VirtualPerson
    kind: PlantKind | None
    part: str


MEALS: Final = {"breakfast": (300, 630), "lunch": (660, 870), "dinner": (1050, 1260)}
"""Local minutes between which virtual people have them."""
EXERCISE_MIN: Final = {"morning": 9 * 60 + 30, "afternoon": 15 * 60, "evening": 17 * 60 + 20}
"""Local minutes around which they exercise, within a quarter of an hour."""
_BEDTIME_MIN: Final = (22 * 60 + 15 - MINUTES_PER_DAY, 23 * 60 + 15 - MINUTES_PER_DAY)
_SMALL_HOURS_MIN: Final = (90, 180)
_AFTER_AT_ONCE: Final = steps(60)
_AFTER_LONG: Final = steps(8 * 60)
_MEAL_KINDS: Final = (PlantKind.MISSED_BOLUSES, PlantKind.LATE_BOLUSES)
_EXERCISE_KINDS: Final = {
    PlantKind.AEROBIC_EXERCISE: "aerobic",
    PlantKind.ANAEROBIC_EXERCISE: "anaerobic",
}


def live_with_plants(
    patients: Patients,
    kinds: Sequence[PlantKind | None],
    days: float,
    start: pd.Timestamp,
    seed: int,
    strengths: Strengths | None = None,
    habits: Habits | None = None,
) -> list[PlantedPerson]:
    """Let patients live their days, with something planted into some of them.

    Args:
        patients: P patients.
        kinds: P plants; None for nothing.
        days: How long the records are.
        start: First instant, aware.
        seed: Fixes everything that is left to chance.
        strengths: How strong plants are.
        habits: What people have in common.
    """
    habits, strengths = habits or Habits(), strengths or Strengths()
    chances = [np.random.default_rng([seed, person, 10]) for person in range(len(patients))]
    parts = [_part(kind, rng) for kind, rng in zip(kinds, chances, strict=True)]
    traits = [
        _traits(draw_traits(np.random.default_rng([seed, person, 0]), habits), kind, strengths)
        for person, kind in enumerate(kinds)
    ]
    exercise: list[list[tuple[int, int]]] = []

    def change(person: int, lived: Days, local: pd.DatetimeIndex) -> Days:
        rng = chances[person]
        any_time = str(rng.choice(list(EXERCISE_MIN)))
        minute = EXERCISE_MIN.get(parts[person], EXERCISE_MIN[any_time])
        exercise.append(_bouts(minute, local, strengths, rng))
        planted = _Plant(lived, local, strengths, rng, parts[person], exercise[-1])
        return planted.days(kinds[person])

    people = live(patients, days, start, seed, habits, traits, change=change)
    return [
        PlantedPerson(_logging(person, bouts, kind), kind, part)
        for person, bouts, kind, part in zip(people, exercise, kinds, parts, strict=True)
    ]


def _part(kind: PlantKind | None, rng: np.random.Generator) -> str:
    if kind in _MEAL_KINDS:
        return str(rng.choice(list(MEALS)))
    return str(rng.choice(list(EXERCISE_MIN))) if kind in _EXERCISE_KINDS else ""


def _traits(traits: Traits, kind: PlantKind | None, by: Strengths) -> Traits:
    if kind is not PlantKind.REBOUND_HIGHS:
        return traits
    basal = traits.basal_factor * by.rebound_basal_factor
    return replace(traits, basal_factor=basal, rescue_factor=by.rebound_rescue_factor)


@dataclass(frozen=True)
class _Plant:
    """What is needed to change a person's days."""

    lived: Days
    local: pd.DatetimeIndex
    by: Strengths
    rng: np.random.Generator
    part: str
    bouts: list[tuple[int, int]]

    def days(self, kind: PlantKind | None) -> Days:
        """The days with a plant."""
        by, lived = self.by, self.lived
        match kind:
            case PlantKind.EARLY_NIGHT_LOWS:
                return self._overdosed(_BEDTIME_MIN)
            case PlantKind.LATE_NIGHT_LOWS:
                return self._overdosed(_SMALL_HOURS_MIN)
            case PlantKind.DAWN:
                return replace(lived, sensitivity=lived.sensitivity * self._dawn())
            case PlantKind.MISSED_BOLUSES:
                return self._missed()
            case PlantKind.LATE_BOLUSES:
                return self._late()
            case PlantKind.FALLING_SENSITIVITY:
                return self._changed(by.falling_factor)
            case PlantKind.RISING_SENSITIVITY:
                return self._changed(by.rising_factor)
            case PlantKind.SITE_PROBLEMS:
                return replace(lived, arrives=self._arriving())
            case PlantKind.AEROBIC_EXERCISE:
                return self._exercised(by.aerobic_factor, by.aerobic_after_factor)
            case PlantKind.ANAEROBIC_EXERCISE:
                return self._exercised(by.anaerobic_factor, 1.0)
        return lived

    def _minute(self) -> Array:
        return np.asarray(self.local.hour * 60 + self.local.minute, dtype=float)

    def _overdosed(self, between_min: tuple[int, int]) -> Days:
        overdose = self.lived.overdose.copy()
        for midnight in np.flatnonzero(self._minute() == 0).tolist():
            at = midnight + steps(self.rng.uniform(*between_min))
            if self.rng.random() < self.by.overdose_chance and 0 <= at < len(overdose):
                overdose[at] = self.rng.uniform(*self.by.overdose_factor)
        return replace(self.lived, overdose=overdose)

    def _dawn(self) -> Array:
        begin, end = self.by.dawn_min
        share = np.clip((self._minute() - begin) / (end - begin), 0, 1)
        factor: Array = self.by.dawn_factor ** np.sin(np.pi * share)
        return factor

    def _boluses(self, chance: float) -> NDArray[np.intp]:
        """Steps of the boluses of the meal, each with a chance."""
        begin, end = MEALS[self.part]
        minute = self._minute()
        given = (self.lived.counted_g > 0) & (minute >= begin) & (minute < end)
        at = np.flatnonzero(given)
        return at[self.rng.random(len(at)) < chance]

    def _missed(self) -> Days:
        """What is forgotten is half the time not written down either."""
        counted, logged = self.lived.counted_g.copy(), self.lived.logged_g.copy()
        near = steps(45)
        for at in self._boluses(self.by.missed_chance):
            counted[at] = 0
            if self.rng.random() < 0.5:
                logged[max(at - near, 0) : at + near] = 0
        return replace(self.lived, counted_g=counted, logged_g=logged)

    def _late(self) -> Days:
        counted = self.lived.counted_g.copy()
        for at in self._boluses(self.by.late_chance):
            later = min(at + steps(self.rng.uniform(*self.by.late_min)), len(counted) - 1)
            counted[later] += self.lived.counted_g[at]
            counted[at] -= self.lived.counted_g[at]
        return replace(self.lived, counted_g=counted)

    def _changed(self, factor: float) -> Days:
        before = self.rng.uniform(*self.by.changed_days) * MINUTES_PER_DAY
        since = np.arange(len(self.local)) * STEP_MIN - (len(self.local) * STEP_MIN - before)
        course = factor ** np.clip(since / MINUTES_PER_DAY, 0, 1)
        return replace(self.lived, sensitivity=self.lived.sensitivity * course)

    def _arriving(self) -> Array:
        """Failures lie in separate parts of the time, a day or more from their borders."""
        arrives = np.ones(len(self.local))
        part, day = len(arrives) // self.by.site_failures, steps(MINUTES_PER_DAY)
        for failure in range(self.by.site_failures):
            length = steps(60 * self.rng.uniform(*self.by.site_hours))
            first = failure * part + int(self.rng.integers(day, max(part - day, day + 1)))
            arrives[first : first + length] = self.by.site_arrives
        return arrives

    def _exercised(self, factor: float, after: float) -> Days:
        course = np.ones(len(self.local))
        for begin, end in self.bouts:
            course[begin : end + _AFTER_AT_ONCE] = factor
            course[end + _AFTER_AT_ONCE : end + _AFTER_LONG] = after
        return replace(self.lived, sensitivity=self.lived.sensitivity * course)


def _bouts(
    minute: int, local: pd.DatetimeIndex, by: Strengths, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """First and last step of every bout of exercise."""
    found = []
    for at in np.flatnonzero(local.hour * 60 + local.minute == minute):
        if rng.random() < by.bouts_per_week / 7:
            begin = int(at) + int(rng.integers(-steps(15), steps(15) + 1))
            found.append((begin, begin + steps(rng.uniform(*by.bout_min))))
    return [(begin, end) for begin, end in found if begin >= 0 and end < len(local)]


def _logging(
    person: VirtualPerson, bouts: list[tuple[int, int]], kind: PlantKind | None
) -> VirtualPerson:
    """The person with their exercise written down."""
    begins = np.array([begin for begin, _ in bouts], dtype=int)
    minutes = np.array([(end - begin) * STEP_MIN for begin, end in bouts], dtype=float)
    activity = pd.DataFrame(
        {
            "time": person.truth.start + pd.to_timedelta(begins * STEP_MIN, unit="min"),
            "duration_min": minutes,
            "kind": _EXERCISE_KINDS.get(kind, "aerobic") if kind else "aerobic",
            "intensity": "moderate",
        }
    )
    return replace(person, record=replace(person.record, activity=activity))
