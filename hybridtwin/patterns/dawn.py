"""Dawn phenomenon: glucose that rises before breakfast by itself, and whether it gets worse.

A rise above 20 mg/dL from the night's lowest point is the usual threshold (Monnier et al. 2013,
Diabetes Care 36:4057). Here it is followed from a fixed hour, and counted as from a usual level:
higher glucose falls back in these hours, which would hide the rise of those whose basal insulin is
short. Basal insulin alone makes a rise that slows down as glucose nears where it will stay: one
that was more than twice as fast before is no dawn phenomenon.
"""

from typing import Final

import numpy as np

from hybridtwin.glycemia.episodes import LOW_MG_DL
from hybridtwin.patterns.chance import Floats, coefficient, mean_above
from hybridtwin.patterns.pattern import Pattern, unknown
from hybridtwin.patterns.settings import PatternSettings
from hybridtwin.patterns.weeks import Weeks
from hybridtwin.units import steps

KIND: Final = "dawn phenomenon"
TREND: Final = "trend"
_AROUND: Final = steps(10)
_HOUR: Final = steps(60)
_WEEK_DAYS: Final = 7
_HALF: Final = 0.5


def dawn(weeks: Weeks, settings: PatternSettings) -> list[Pattern]:
    """One look at the rise, one at its trend."""
    found = _rises(weeks, settings)
    if len(found) < settings.least_times:
        reason = (
            f"only {len(found)} nights are known to be free of food, boluses and lows from two on"
        )
        return [unknown(KIND, reason), unknown(KIND, reason, TREND)]
    days, points, rises, faster = (
        np.array(column, dtype=float) for column in zip(*found, strict=True)
    )
    limit = settings.dawn.rise_mg_dl
    mean, interval, chance = mean_above(rises, 0.0)
    is_dawn = mean > limit and not _slows_down(faster[~np.isnan(faster)], settings)
    above = rises > limit
    rise = Pattern(
        kind=KIND,
        count=int(above.sum()),
        looked_at=len(rises),
        counted="nights",
        times=tuple(weeks.trace.time(int(point)) for point in points[above]),
        size=mean,
        size_low=interval[0],
        size_high=interval[1],
        unit="mg/dL",
        against=limit,
        chance=chance if is_dawn else 1.0,
    )
    predictors = np.column_stack([np.ones(len(days)), days / _WEEK_DAYS])
    slope, interval, chance = coefficient(predictors, rises, 1)
    trend = Pattern(
        kind=KIND,
        part=TREND,
        looked_at=len(rises),
        counted="nights",
        size=slope,
        size_low=interval[0],
        size_high=interval[1],
        unit="mg/dL per week",
        against=0.0,
        chance=chance,
    )
    return [rise, trend]


def _slows_down(faster: Floats, settings: PatternSettings) -> bool:
    """Whether it is all but sure that glucose rose twice as fast before.

    Args:
        faster: (n,) rise less half of the rise before, of nights.
        settings: How sure.
    """
    if len(faster) < settings.least_times:
        return False
    _, _, chance = mean_above(-faster, 0.0)
    return chance < settings.dawn.slowing_chance


def _rises(weeks: Weeks, settings: PatternSettings) -> list[tuple[int, int, float, float]]:
    """Of every clear night: day, grid point and size of the rise, and how much faster it is.

    That is: than half of the rise from midnight on, mg/dL per hour; NaN where that is not known.
    """
    by = settings.dawn
    found = []
    earliest, latest = (steps(minute) for minute in by.to_min)
    glucose, taken = weeks.trace.mg_dl, weeks.bolus_u + weeks.carbs_g
    logged = weeks.bolus_known & weeks.carbs_known
    for day, midnight in enumerate(weeks.midnights.tolist()):
        begin, clear = (midnight + steps(minute) for minute in (by.from_min, by.clear_from_min))
        if midnight < 0 or midnight + latest > len(weeks):
            continue
        first = np.flatnonzero(taken[clear : midnight + latest])
        end = clear + int(first[0]) if len(first) else midnight + latest
        if end < midnight + earliest or not weeks.is_known(logged, clear, end):
            continue
        lowest = np.fmin.reduce(glucose[clear:end])
        if weeks.share_known(begin, end) < settings.least_known or lowest < LOW_MG_DL:
            continue
        at_midnight, before, after = (
            _mean(part)
            for part in (
                glucose[max(midnight - _AROUND, 0) : midnight + _AROUND],
                glucose[begin - _AROUND : begin + _AROUND],
                glucose[end - 2 * _AROUND : end],
            )
        )
        rise = after - before
        if np.isnan(rise):
            continue
        hours, hours_before = (end - begin) / _HOUR, (begin - midnight) / _HOUR
        faster = rise / hours - _HALF * (before - at_midnight) / hours_before
        found.append((day, begin, rise + by.falls_back * (before - by.usual_mg_dl), faster))
    return found


def _mean(glucose: Floats) -> float:
    """Of what is known; NaN where nothing is."""
    known = glucose[~np.isnan(glucose)]
    return float(known.mean()) if len(known) else np.nan
