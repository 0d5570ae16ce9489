"""Trace: a person's glucose on the 5-minute grid, with the local clock and day of every point.

All that clinicians measure is counted on it, so that a reading every 15 minutes weighs as much
time as three of every 5, two sensors worn at once count once, and a gap counts as nothing.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybridtwin.climatology import joined
from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.timeline import Timeline
from hybridtwin.units import STEP_MIN, steps

Floats = NDArray[np.float64]
Index = NDArray[np.int64]

DAY_STEPS: Final = steps(MINUTES_PER_DAY)
_STEP: Final = pd.Timedelta(minutes=STEP_MIN)
_HALF_DAY_MIN: Final = MINUTES_PER_DAY // 2


@dataclass(frozen=True)
class Trace:
    """Glucose on the grid.

    Attributes:
        start: Instant of grid point 0, UTC.
        time_zone: In which clock and days are.
        mg_dl: (T,) readings, joined by lines where they lie 15 minutes apart or less; else NaN.
        minute: (T,) local minute of the day.
        day: (T,) local days since that of the first point.
    """

    start: pd.Timestamp
    time_zone: str
    mg_dl: Floats
    minute: Index
    day: Index

    def __len__(self) -> int:
        return len(self.mg_dl)

    def time(self, point: int) -> pd.Timestamp:
        """Local instant of a grid point."""
        return (self.start + point * _STEP).tz_convert(self.time_zone)

    def by_day(self, values: Floats) -> Floats:
        """(D, 288) values (T,) by local day and clock; NaN where there is none.

        The hour that autumn has twice holds the mean of both; the one that spring leaves out, NaN.
        """
        days = int(self.day[-1]) + 1
        at = self.day * DAY_STEPS + self.minute // STEP_MIN
        known = ~np.isnan(values)
        total, count = (
            np.bincount(at[known], weights, minlength=days * DAY_STEPS)
            for weights in (values[known], None)
        )
        mean: Floats = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
        return mean.reshape(days, DAY_STEPS)

    def dates(self) -> pd.DatetimeIndex:
        """(D,) local midnights of the days, without a zone."""
        first = self.time(0).tz_localize(None).normalize()
        return pd.date_range(first, periods=int(self.day[-1]) + 1, freq="D")


def to_trace(timeline: Timeline, time_zone: str) -> Trace:
    """The glucose of a timeline, whose clock is that of `time_zone`."""
    minute = timeline.minute_of_day.long().numpy()
    # A clock that is put back does not begin a new day.
    midnight = np.diff(minute, prepend=minute[:1]) < -_HALF_DAY_MIN
    return Trace(
        start=timeline.start,
        time_zone=time_zone,
        mg_dl=joined(timeline),
        minute=minute,
        day=np.cumsum(midnight),
    )
