"""A made-up person's evening for the review."""

from dataclasses import replace
from datetime import timedelta

import pandas as pd

from hybridtwin.events import Activity, Dose
from hybridtwin.record import Record
from tests.hybridtwin.people import START, history

HOURS = 5 * 24 + 15.5
"""Five days and more: they end at 21:30 UTC, 22:30 in Madrid."""
NOW = pd.Timestamp(START + timedelta(hours=HOURS))


def evening(level_mg_dl: float = 140.0) -> Record:
    """45 g and 4 U every six hours, the last at 18:20 UTC."""
    return history(hours=HOURS, level_mg_dl=level_mg_dl)


def with_bolus(record: Record, dose_u: float, before_now_min: float = 30) -> Record:
    """One more dose."""
    dose = Dose(time=NOW - timedelta(minutes=before_now_min), dose_u=dose_u)
    return _with(record, "insulin", dose.model_dump())


def with_run(record: Record, minutes: float) -> Record:
    """Vigorous exercise in the afternoon."""
    run = Activity(
        time=NOW - timedelta(hours=5), duration_min=minutes, kind="aerobic", intensity="vigorous"
    )
    return _with(record, "activity", run.model_dump())


def without_dinner(record: Record) -> Record:
    """The last meal is not eaten."""
    return replace(record, meals=record.meals.iloc[:-1])


def _with(record: Record, name: str, row: dict[str, object]) -> Record:
    rows = pd.concat([getattr(record, name), pd.DataFrame([row])])
    rows["time"] = pd.to_datetime(rows["time"], utc=True)
    return replace(record, **{name: rows.sort_values("time", kind="stable")})
