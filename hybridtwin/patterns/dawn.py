"""Dawn phenomenon: glucose that rises before breakfast by itself, and whether it gets worse.

A mean rise above 20 mg/dL is the usual threshold (Monnier et al. 2013, Diabetes Care 36:4057).
"""

from typing import Final

import numpy as np

from hybridtwin.glycemia.episodes import LOW_MG_DL
from hybridtwin.patterns.chance import coefficient, mean_above
from hybridtwin.patterns.pattern import Pattern, unknown
from hybridtwin.patterns.settings import PatternSettings
from hybridtwin.patterns.weeks import Weeks
from hybridtwin.units import steps

KIND: Final = "dawn phenomenon"
TREND: Final = "trend"
_AROUND: Final = steps(10)
_HOUR: Final = steps(60)
_WEEK_DAYS: Final = 7


def dawn(weeks: Weeks, settings: PatternSettings) -> list[Pattern]:
    """One look at the rise, one at its trend."""
    found = _rises(weeks, settings)
    if len(found) < settings.least_times:
        reason = (
            f"only {len(found)} nights are known to be free of food, boluses and lows from three on"
        )
        return [unknown(KIND, reason), unknown(KIND, reason, TREND)]
    days, points, rises, steeper = (
        np.array(column, dtype=float) for column in zip(*found, strict=True)
    )
    limit = settings.dawn.rise_mg_dl
    mean, interval, chance = mean_above(rises, 0.0)
    # Where glucose rises as much before, that is basal insulin, not dawn.
    _, _, as_before = mean_above(steeper, 0.0)
    is_dawn = mean > limit and as_before < settings.dawn.as_before_chance
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


def _rises(weeks: Weeks, settings: PatternSettings) -> list[tuple[int, int, float, float]]:
    """Of every clear night: day, grid point and size of the rise, how much steeper than before."""
    found = []
    earliest, latest = (steps(minute) for minute in settings.dawn.to_min)
    glucose = weeks.trace.mg_dl
    for day, midnight in enumerate(weeks.midnights.tolist()):
        begin = midnight + steps(settings.dawn.from_min)
        if midnight < 0 or midnight + latest > len(weeks):
            continue
        taken = (
            weeks.bolus_u[midnight : midnight + latest]
            + weeks.carbs_g[midnight : midnight + latest]
        )
        first = np.flatnonzero(taken)
        fasting = int(first[0]) if len(first) else latest
        end = midnight + fasting
        logged = weeks.bolus_known & weeks.carbs_known
        if fasting < earliest or not weeks.is_known(logged, midnight, end):
            continue
        night = glucose[midnight:end]
        if weeks.share_known(begin, end) < settings.least_known or np.nanmin(night) < LOW_MG_DL:
            continue
        before, after = glucose[begin - _AROUND : begin + _AROUND], glucose[end - 2 * _AROUND : end]
        if not np.isnan(before).all() and not np.isnan(after).all():
            rise = float(np.nanmean(after) - np.nanmean(before))
            evening = glucose[max(midnight - _AROUND, 0) : midnight + _AROUND]
            if not np.isnan(evening).all():
                hours = (end - begin) / _HOUR, (begin - midnight) / _HOUR
                earlier = float(np.nanmean(before) - np.nanmean(evening))
                found.append((day, begin, rise, rise / hours[0] - earlier / hours[1]))
    return found
