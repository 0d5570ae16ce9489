"""What the weeks before a visit show: the glucose profile, its figures, and patterns."""

from datetime import date, datetime
from typing import Final

import numpy as np
import pandas as pd
from pydantic import AwareDatetime

from hybridtwin.errors import HistoryError
from hybridtwin.glycemia.agp import glucose_profile
from hybridtwin.glycemia.summary import AGP_DAYS, Glycemia, glycemia, recent_trace
from hybridtwin.glycemia.trace import Floats
from hybridtwin.patterns.pattern import Pattern
from hybridtwin.patterns.registry import find_patterns
from hybridtwin.patterns.settings import PatternSettings
from hybridtwin.record import Record
from hybridtwin.units import STEP_MIN
from serving.clinic.summary import Part

DAYS: Final = PatternSettings().days
"""How far back patterns are looked for."""
_THIN: Final = 3
THIN_MIN: Final = _THIN * STEP_MIN
"""Between two values of a day or a profile."""
_Curve = list[float | None]


class Day(Part):
    """One local day.

    Attributes:
        date: Which.
        mg_dl: Glucose every 15 minutes from midnight; None where it is not known.
    """

    date: date
    mg_dl: _Curve


class Weeks(Part):
    """What a record's last weeks show.

    Attributes:
        end: Up to when.
        glycemia: The consensus' figures of the last 14 days; None where too little is known.
        profile: The ambulatory glucose profile's five percentiles every 15 minutes; None where too
            few days are known.
        days: The last 14, in order.
        patterns: What was looked for in the last 28 days, found or not.
    """

    end: AwareDatetime
    glycemia: Glycemia | None
    profile: list[_Curve]
    days: list[Day]
    patterns: list[Pattern]


def weeks(record: Record, end: datetime) -> Weeks | None:
    """What the weeks up to an instant show; None if they hold no reading."""
    until = pd.Timestamp(end)
    try:
        trace = recent_trace(record, until)
        patterns = find_patterns(record, until)
    except HistoryError:
        return None
    try:
        figures = glycemia(record, until)
    except HistoryError:
        figures = None
    by_day = list(zip(trace.dates(), trace.by_day(trace.mg_dl), strict=True))
    return Weeks(
        end=end,
        glycemia=figures,
        profile=[_curve(row) for row in glucose_profile(trace).mg_dl],
        days=[Day(date=day.date(), mg_dl=_curve(row)) for day, row in by_day[-AGP_DAYS:]],
        patterns=patterns,
    )


def values(curve: _Curve) -> Floats:
    """(96,) a curve, NaN where it is not known."""
    return np.array(curve, dtype=np.float64)


def _curve(mg_dl: Floats) -> _Curve:
    return [None if np.isnan(value) else round(float(value), 1) for value in mg_dl[::_THIN]]
