"""The patient page's pictures: curves as SVG paths, and where their axes are marked."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from hybridtwin.forecast import ForecastReport
from hybridtwin.glycemia.ranges import GOALS, PREGNANCY_GOALS, PREGNANCY_RANGES, RANGES, Goal, Range
from hybridtwin.glycemia.summary import Glycemia
from serving.clinic import drawing
from serving.clinic.panel import AHEAD_MIN, BEHIND_MIN
from serving.clinic.weeks import THIN_MIN, Weeks, values

PROFILE: Final = drawing.Scale(40, 400)
"""In mg/dL: sensors end at 400."""
_DAY_MIN: Final = 24 * 60
_TICK_H: Final = 3
_USUAL: Final = drawing.Scale(0.5, 1.5)
_DATES: Final = 4
_SHOWN: Final = (0.05, 0.5, 0.95)


@dataclass(frozen=True)
class Tick:
    """A mark on an axis.

    Attributes:
        at: From the left in % of the width, or from the top.
        value: What is there: a time, an hour, a value.
    """

    at: float
    value: Any


@dataclass(frozen=True)
class Chart:
    """A picture.

    Attributes:
        width: In the paths' own units.
        bands: Areas, the widest first.
        line: The middle.
        columns: Marks across.
        rows: Marks upwards.
    """

    width: float
    bands: tuple[str, ...]
    line: str
    columns: tuple[Tick, ...]
    rows: tuple[Tick, ...]
    height: int = drawing.HEIGHT


def hours_around(now: datetime, zone: str) -> tuple[Tick, ...]:
    """Every third hour of the clock in the hours before and after now."""
    begin, width = now - timedelta(minutes=BEHIND_MIN), BEHIND_MIN + AHEAD_MIN
    first = begin.astimezone(ZoneInfo(zone)).replace(minute=0, second=0, microsecond=0)
    found = []
    for hour in range(1, width // 60 + 1):
        time = (first.astimezone(begin.tzinfo) + timedelta(hours=hour)).astimezone(first.tzinfo)
        if time.hour % _TICK_H == 0:
            found.append(Tick(100 * ((time - begin) / timedelta(minutes=width)), time))
    return tuple(found)


def glucose_rows(marks_mg_dl: Sequence[float], scale: drawing.Scale) -> tuple[Tick, ...]:
    """Where some glucose values are."""
    return tuple(Tick(scale.y(mark), mark) for mark in marks_mg_dl)


def profile_chart(weeks: Weeks, target: Range) -> Chart:
    """The ambulatory glucose profile over the day."""
    lowest, low, median, high, highest = (
        np.append(curve, curve[0]) for curve in map(values, weeks.profile)
    )
    marks = (54.0, target.from_mg_dl, target.below_mg_dl - 1, 250.0)
    return Chart(
        width=_DAY_MIN,
        bands=(
            drawing.band(lowest, highest, THIN_MIN, PROFILE),
            drawing.band(low, high, THIN_MIN, PROFILE),
        ),
        line=drawing.line(median, THIN_MIN, PROFILE),
        columns=tuple(Tick(100 * hour / 24, hour) for hour in range(0, 24, _TICK_H)),
        rows=glucose_rows(marks, PROFILE),
    )


def day_lines(weeks: Weeks) -> list[str]:
    """Each day's glucose."""
    return [drawing.line(values(day.mg_dl), THIN_MIN, PROFILE) for day in weeks.days]


def sensitivity_hours(levels: pd.DataFrame) -> Chart:
    """Over the day."""
    around = pd.concat([levels, levels.iloc[:1]])
    columns = (Tick(100 * hour / 24, hour) for hour in range(0, 24, _TICK_H))
    return _of_levels(around, tuple(columns))


def sensitivity_days(levels: pd.DataFrame) -> Chart:
    """Over the weeks."""
    last = len(levels) - 1
    every = math.ceil(len(levels) / _DATES)
    columns = (Tick(100 * at / last, levels.index[at]) for at in range(0, last, every))
    return _of_levels(levels, tuple(columns))


def _of_levels(levels: pd.DataFrame, columns: tuple[Tick, ...]) -> Chart:
    low, middle, high = (levels[name].to_numpy() for name in ("low", "value", "high"))
    scale = drawing.Scale(
        min(_USUAL.bottom, float(np.nanmin(low))), max(_USUAL.top, float(np.nanmax(high)))
    )
    return Chart(
        width=len(levels) - 1,
        bands=(drawing.band(low, high, 1, scale),),
        line=drawing.line(middle, 1, scale),
        columns=columns,
        rows=tuple(Tick(scale.y(mark), mark) for mark in (0.75, 1.0, 1.25)),
    )


@dataclass(frozen=True)
class Hour:
    """An hour of the night to come, in mg/dL.

    Attributes:
        begin: When.
        below_70: Probability of a low in it.
        below_54: And of a very low.
        levels: What is expected at its begin: the 5, 50 and 95 % quantiles; None where the forecast
            does not tell.
    """

    begin: datetime
    below_70: float
    below_54: float
    levels: tuple[float, float, float] | None


def hours_of(risk_hours: Sequence[Any], forecast: ForecastReport | None) -> list[Hour]:
    """The night hour by hour."""
    expected: dict[datetime, tuple[float, float, float]] = {}
    if forecast:
        low, middle, high = (forecast.quantiles[forecast.levels.index(each)] for each in _SHOWN)
        for time, *levels in zip(forecast.times, low, middle, high, strict=True):
            hour = time.replace(minute=0, second=0, microsecond=0)
            expected.setdefault(hour, (levels[0], levels[1], levels[2]))
    return [
        Hour(hour.begin, hour.below_70, hour.below_54, expected.get(hour.begin))
        for hour in risk_hours
    ]


@dataclass(frozen=True)
class RangeShare:
    """Time in one range.

    Attributes:
        range: Which.
        percent: Of the time.
        goals: What the consensus asks of it, alone or with the ranges beyond.
        met: Whether these are met.
        from_top: Where it begins in a bar of 100, the highest range on top.
    """

    range: Range
    percent: float
    goals: tuple[Goal, ...]
    met: bool
    from_top: float


def ranges_of(pregnant: bool) -> tuple[Sequence[Range], Sequence[Goal]]:
    """The ranges that count, the lowest first, and their goals."""
    return (PREGNANCY_RANGES, PREGNANCY_GOALS) if pregnant else (RANGES, GOALS)


def range_shares(found: Glycemia, pregnant: bool) -> list[RangeShare]:
    """Time in ranges, the highest first."""
    ranges, goals = ranges_of(pregnant)
    percents = found.pregnancy_percents if pregnant else found.percents
    shares, from_top = [], 0.0
    for each in reversed(ranges):
        own = tuple(goal for goal in goals if _speaks_of(goal, each))
        met = all(goal.met(percents) for goal in own)
        shares.append(RangeShare(each, percents[each.name], own, met, from_top))
        from_top += percents[each.name]
    return shares


def _speaks_of(goal: Goal, each: Range) -> bool:
    """A goal of several ranges is said at the one next to the target."""
    return each.name == goal.ranges[-1 if "low" in each.name else 0]
