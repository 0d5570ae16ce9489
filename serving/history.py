"""From a question to a Record: units converted, and times and values checked with their place."""

import math
import statistics
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Final

import pandas as pd

from hybridtwin.errors import PlanError, Problem, RecordError
from hybridtwin.event_tables import EVENT_TABLES
from hybridtwin.events import Event, GlucoseReading
from hybridtwin.plan import HORIZON_MAX_MIN, Plan
from hybridtwin.record import Provenance, Record, from_events
from hybridtwin.trust import CLOCK_TOLERANCE_MIN
from hybridtwin.units import (
    GLUCOSE_MAX_MG_DL,
    GLUCOSE_MIN_MG_DL,
    MMOL_L_SUSPECT_MEDIAN,
    GlucoseUnit,
    from_mg_dl,
    to_mg_dl,
)
from serving import clock
from serving.schema import MAX_DAYS, History, Reading, is_believable

_SHOWN: Final = 5
_MG_DL_SUSPECT_MEDIAN: Final = 36.0
"""A median of mmol/L at or above this is mg/dL sent as mmol/L: no sensor reads so high."""


def present(question: History) -> pd.Timestamp:
    """The moment of the question.

    Raises:
        RecordError: It lies in another century.
    """
    if question.now is None:
        return pd.Timestamp(clock.now())
    if not is_believable(question.now):
        raise RecordError.of(
            "now", f"{question.now.isoformat()} is not of this century", "Check the clock."
        )
    return pd.Timestamp(question.now).tz_convert("UTC")


def to_record(question: History, now: pd.Timestamp) -> Record:
    """What the question says of the person.

    Raises:
        RecordError: A value or a time is impossible.
    """
    unit = question.units.glucose
    problems = [
        *mistaken_unit([reading.value for reading in question.glucose], unit),
        *_few(_future_or_ancient("glucose", question.glucose, now), "glucose"),
    ]
    if not problems:
        low, high = sensor_range(unit)
        beyond = (
            _impossible(f"glucose[{i}].value", unit)
            for i, reading in enumerate(question.glucose)
            if not low <= reading.value <= high
        )
        problems += _few(beyond, "glucose")
    for name in EVENT_TABLES:
        problems += _few(_future_or_ancient(name, getattr(question, name) or (), now), name)
    if problems:
        raise RecordError(problems)
    return from_events(
        question.profile,
        [
            GlucoseReading(time=reading.time, mg_dl=to_mg_dl(reading.value, unit))
            for reading in question.glucose
        ],
        question.insulin or (),
        question.meals or (),
        question.activity or (),
        question.glucagon or (),
        question.conditions or (),
        logged=[
            channel
            for channel, events in (("bolus", question.insulin), ("meals", question.meals))
            if events is not None
        ],
        provenance=Provenance(source="request"),
    )


def check_times(plans: Sequence[Plan], now: pd.Timestamp) -> None:
    """Refuse plans whose times are nowhere near now, before anything is computed with them.

    Raises:
        PlanError: A time lies days from now.
    """
    reach = pd.Timedelta(days=MAX_DAYS)
    problems = [
        Problem(
            f"plan {plan.name!r}: {part}[{i}].time",
            f"{event.time.isoformat()} is more than {MAX_DAYS} days from now",
            f"A plan reaches at most {HORIZON_MAX_MIN // 60} hours ahead.",
        )
        for plan in plans
        for part in EVENT_TABLES
        for i, event in enumerate(getattr(plan, part))
        if not _between(now - reach, event.time, now + reach)
    ]
    if problems:
        raise PlanError(list(_few(iter(problems), "plan")))


def _between(begin: pd.Timestamp, time: datetime, end: pd.Timestamp) -> bool:
    return bool(begin.to_pydatetime() <= time <= end.to_pydatetime())


def _few(problems: Iterator[Problem], where: str) -> list[Problem]:
    """The first problems, and how many more there are."""
    shown = list(islice(problems, _SHOWN))
    more = sum(1 for _ in problems)
    if more:
        shown.append(Problem(where, f"{more} more problems of this kind", "Correct them too."))
    return shown


def _future_or_ancient(
    name: str, rows: Sequence[Reading | Event], now: pd.Timestamp
) -> Iterator[Problem]:
    latest = (now + pd.Timedelta(minutes=CLOCK_TOLERANCE_MIN)).to_pydatetime()
    earliest = (now - pd.Timedelta(days=MAX_DAYS)).to_pydatetime()
    for i, row in enumerate(rows):
        where = f"{name}[{i}].time"
        if row.time > latest:
            yield Problem(
                where,
                f"{row.time.isoformat()} lies after now, {now.isoformat(timespec='seconds')}",
                "Check the zone and the clock; what is yet to come belongs into the plan.",
            )
        elif row.time < earliest:
            yield Problem(
                where,
                f"{row.time.isoformat()} lies more than {MAX_DAYS} days before now",
                f"Send at most the last {MAX_DAYS} days; two days are enough.",
            )


def mistaken_unit(values: Sequence[float], unit: GlucoseUnit) -> list[Problem]:
    """The problem of readings that cannot be in their unit, but may be in the other one."""
    median = statistics.median(values) if values else math.nan
    if unit == "mg/dL" and median <= MMOL_L_SUSPECT_MEDIAN:
        other = "mmol/L"
    elif unit == "mmol/L" and median >= _MG_DL_SUSPECT_MEDIAN:
        other = "mg/dL"
    else:
        return []
    return [
        Problem(
            "units.glucose",
            f"the median of the readings cannot be in {unit}: this looks like {other}",
            f"State {other} in units.glucose, or convert the readings.",
        )
    ]


def sensor_range(unit: GlucoseUnit) -> tuple[float, float]:
    """The lowest and the highest value that a sensor gives."""
    return from_mg_dl(GLUCOSE_MIN_MG_DL, unit), from_mg_dl(GLUCOSE_MAX_MG_DL, unit)


def beyond_sensors(where: str, value: float, unit: GlucoseUnit) -> Problem | None:
    """The problem of a reading that no sensor gives."""
    low, high = sensor_range(unit)
    return None if low <= value <= high else _impossible(where, unit)


def _impossible(where: str, unit: GlucoseUnit) -> Problem:
    low, high = sensor_range(unit)
    return Problem(
        where,
        f"is no possible reading in {unit}",
        f"Sensors read {low:.3g} to {high:.3g} {unit}: correct it or leave it out.",
    )
