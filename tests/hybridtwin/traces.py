"""Records and traces of glucose made up for tests."""

import numpy as np
import pandas as pd

from hybridtwin.events import Profile
from hybridtwin.glycemia.trace import Floats, Trace, to_trace
from hybridtwin.record import Record
from hybridtwin.timeline import to_timeline

MIDNIGHT = pd.Timestamp("2026-05-04T00:00+02:00")


def record_of(
    mg_dl: Floats,
    step_min: int = 5,
    start: pd.Timestamp = MIDNIGHT,
    zone: str = "Europe/Berlin",
) -> Record:
    """Readings at even distances; NaN for none."""
    times = start.tz_convert("UTC") + pd.to_timedelta(step_min * np.arange(len(mg_dl)), unit="min")
    rows = pd.DataFrame({"time": times, "mg_dl": mg_dl}).dropna()
    return Record(profile=Profile(participant="made-up", time_zone=zone), glucose=rows)


def trace_of(mg_dl: Floats, step_min: int = 5, start: pd.Timestamp = MIDNIGHT) -> Trace:
    """The trace of such a record."""
    record = record_of(mg_dl, step_min, start)
    return to_trace(to_timeline(record), record.profile.time_zone)


def wave(days: float, mean_mg_dl: float = 150, depth_mg_dl: float = 60) -> Floats:
    """One slow wave a day, every 5 minutes."""
    at = np.arange(round(days * 288))
    return mean_mg_dl + depth_mg_dl * np.sin(2 * np.pi * at / 288)
