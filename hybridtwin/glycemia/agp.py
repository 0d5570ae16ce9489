"""Ambulatory glucose profile: how glucose spreads over the days, at every time of the day.

Johnson et al. 2019, Diabetes Technol Ther 21:S2-17; Battelino et al. 2019, Diabetes Care 42:1593:
the median, the middle half and the middle nine tenths of all days by the local clock. How curves
are smoothed they leave open; here the values of half an hour are taken together, and the
percentiles are averaged over the hour around with triangular weights, across midnight too.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from hybridtwin.glycemia.trace import DAY_STEPS, Floats, Trace
from hybridtwin.units import steps

PERCENTILES: Final = (5, 25, 50, 75, 95)
LEAST_DAYS: Final = 5
"""With fewer days at a time of the day, nothing is said of it."""
_TOGETHER: Final = steps(15)
_AROUND: Final = steps(30)


@dataclass(frozen=True)
class GlucoseProfile:
    """The spread of glucose over the day.

    Attributes:
        mg_dl: (5, 288) `PERCENTILES` at every 5 minutes of the local day; NaN where too few days
            are known.
        days: (288,) days with a value there.
    """

    mg_dl: Floats
    days: Floats


def glucose_profile(trace: Trace) -> GlucoseProfile:
    """The ambulatory glucose profile of a trace."""
    by_day = trace.by_day(trace.mg_dl)
    days = (~np.isnan(by_day)).sum(axis=0)
    clock = np.arange(DAY_STEPS)
    near = (clock[:, None] + np.arange(-_TOGETHER, _TOGETHER + 1)) % DAY_STEPS
    pooled = by_day[:, near].transpose(1, 0, 2).reshape(DAY_STEPS, -1)
    enough = days >= LEAST_DAYS
    percentiles = np.full((len(PERCENTILES), DAY_STEPS), np.nan)
    percentiles[:, enough] = np.nanpercentile(pooled[enough], PERCENTILES, axis=1)
    return GlucoseProfile(_smooth(percentiles), days.astype(float))


def _smooth(percentiles: Floats) -> Floats:
    """Means around each time of the day of those that are known; NaN stays."""
    offsets = np.arange(-_AROUND + 1, _AROUND)
    weights = _AROUND - np.abs(offsets)
    near = percentiles[:, (np.arange(DAY_STEPS)[:, None] + offsets) % DAY_STEPS]
    known = ~np.isnan(near)
    total = (np.where(known, near, 0) * weights).sum(axis=-1)
    smooth: Floats = total / np.maximum((known * weights).sum(axis=-1), 1)
    return np.where(np.isnan(percentiles), np.nan, smooth)
