"""The picture of a comparison: what was, both futures as fans, and below them their difference."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from hybridtwin.forecast import ForecastReport
from hybridtwin.glycemia.episodes import HIGH_MG_DL, LOW_MG_DL, VERY_HIGH_MG_DL, VERY_LOW_MG_DL
from hybridtwin.scenario import Difference
from hybridtwin.units import STEP_MIN
from serving.clinic import drawing
from serving.clinic.scenario_comparison import Comparison
from serving.reader import Reader

OUTER: Final = (0.05, 0.95)
INNER: Final = (0.25, 0.75)
MEDIAN: Final = 0.5
_LIMITS_MG_DL: Final = (VERY_LOW_MG_DL, LOW_MG_DL, HIGH_MG_DL, VERY_HIGH_MG_DL)
_ROUND_MG_DL: Final = 20
"""Axes end at a multiple of this."""
_APART_PERCENT: Final = 7.0
"""How far apart the names of two curves have to stand, of the height."""
_MOST_TICKS: Final = 8
_H: Final = timedelta(hours=1)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Mark:
    """Something written at an axis: where, in percent of its length, and what."""

    percent: float
    text: str


@dataclass(frozen=True)
class Fan:
    """A future, or a difference, as SVG paths.

    Attributes:
        outer: Where nine tenths of the paths lie.
        inner: Where half of them do.
        median: Their middle.
    """

    outer: str
    inner: str
    median: str


@dataclass(frozen=True)
class Picture:
    """Both drawings share the axis of time, whose unit is the minute.

    Attributes:
        width: Minutes from the left edge to the right one.
        now: Where the present is.
        now_percent: The same in percent.
        future_x: Where the futures begin.
        height: Of the futures' drawing, in mg/dL.
        before: The readings, as a path from the left edge.
        fans: As usual, and what if.
        limits: Lines of glucose, such as 70 mg/dL.
        range: Between which depths glucose is in range, in percent of the height.
        ends: Where the names of the fans stand, in percent of the height.
        difference: What if less as usual.
        difference_height: Of its drawing, in mg/dL.
        difference_marks: Of its axis.
        hours: Of the axis of time.
    """

    width: int
    now: float
    now_percent: float
    future_x: float
    height: int
    before: str
    fans: tuple[Fan, Fan]
    limits: list[Mark]
    range: tuple[float, float]
    ends: tuple[float, float]
    difference: Fan
    difference_height: int
    difference_marks: list[Mark]
    hours: list[Mark]


@dataclass(frozen=True)
class Row:
    """One time of the table, in mg/dL: the middle, and where nine tenths of the paths lie."""

    time: datetime
    usual: tuple[float, float, float]
    changed: tuple[float, float, float]
    difference: tuple[float, float, float]


def draw(comparison: Comparison, zone: str, reader: Reader) -> Picture:
    """The picture for a reader.

    Args:
        comparison: What to draw.
        zone: In which the patient lives.
        reader: In whose unit and clock the axes are.
    """
    usual, changed = comparison.report.forecasts
    (difference,) = comparison.report.differences
    left = comparison.origin
    future_x, now = _minutes(left, usual.times[0]), _minutes(left, usual.issued)
    width = round(_minutes(left, usual.times[-1]))
    before = np.array([np.nan if each is None else each for each in comparison.before_mg_dl])
    highest = max(np.nanmax(before), *(_row(each, OUTER[1]).max() for each in (usual, changed)))
    top = max(drawing.TOP_MG_DL, _rounded_up(highest))
    reach = _rounded_up(max(np.abs(_row(difference, level)).max() for level in OUTER))
    height = top - drawing.BOTTOM_MG_DL

    def depth(mg_dl: float) -> float:
        return min(top - mg_dl, height)

    def percent(mg_dl: float) -> float:
        return 100 * depth(mg_dl) / height

    fans = (_fan(usual, depth), _fan(changed, depth))
    return Picture(
        width=width,
        now=now,
        now_percent=100 * now / width,
        future_x=future_x,
        height=height,
        before=drawing.line(before, STEP_MIN, depth),
        fans=fans,
        limits=[Mark(percent(each), reader.glucose(each)) for each in _LIMITS_MG_DL],
        range=(percent(HIGH_MG_DL), percent(LOW_MG_DL)),
        ends=_apart(*(percent(float(_row(each, MEDIAN)[-1])) for each in (usual, changed))),
        difference=_fan(difference, lambda mg_dl: reach - mg_dl),
        difference_height=2 * reach,
        difference_marks=[
            Mark(50 - 50 * share, signed(share * reach, reader)) for share in (0.5, 0, -0.5)
        ],
        hours=_hours(left, width, zone, reader),
    )


def rows(comparison: Comparison) -> list[Row]:
    """The same in numbers, every half hour or hour."""
    usual, changed = comparison.report.forecasts
    (difference,) = comparison.report.differences
    every_min = 30 if len(usual.times) * STEP_MIN <= 6 * 60 else 60
    levels = (MEDIAN, *OUTER)

    def at(index: int, said: ForecastReport | Difference) -> tuple[float, float, float]:
        middle, low, high = (float(_row(said, level)[index]) for level in levels)
        return middle, low, high

    return [
        Row(time, at(index, usual), at(index, changed), at(index, difference))
        for index, time in enumerate(usual.times)
        if time.minute % every_min == 0
    ]


def signed(mg_dl: float, reader: Reader) -> str:
    """A difference of glucose with its sign; none where it rounds to nothing."""
    size = reader.glucose(abs(mg_dl))
    if not size.strip("0.,"):
        return size
    return ("+" if mg_dl > 0 else "\N{MINUS SIGN}") + size


def _row(said: ForecastReport | Difference, level: float) -> Floats:
    """(H,) values of one quantile."""
    return np.array(said.quantiles[said.levels.index(level)])


def _fan(said: ForecastReport | Difference, depth: Callable[[float], float]) -> Fan:
    outer, inner = (
        drawing.band(_row(said, low), _row(said, high), STEP_MIN, depth)
        for low, high in (OUTER, INNER)
    )
    return Fan(outer, inner, drawing.line(_row(said, MEDIAN), STEP_MIN, depth))


def _rounded_up(mg_dl: float) -> int:
    return _ROUND_MG_DL * max(int(np.ceil(mg_dl / _ROUND_MG_DL)), 1)


def _minutes(left: datetime, time: datetime) -> float:
    return (time - left) / timedelta(minutes=1)


def _apart(first: float, second: float) -> tuple[float, float]:
    """Both depths, moved from each other until two names can stand there."""
    lack = max(_APART_PERCENT - abs(first - second), 0) / 2
    return (first + lack, second - lack) if first > second else (first - lack, second + lack)


def _hours(left: datetime, width: int, zone: str, reader: Reader) -> list[Mark]:
    """Full hours of the patient's clock, as many as can stand side by side."""
    local = left.astimezone(ZoneInfo(zone))
    first = local.replace(minute=0, second=0, microsecond=0)
    every = 1 + width // (60 * _MOST_TICKS)
    times = [first + number * _H for number in range(1, width // 60 + 2)]
    shown = [time for time in times if time.hour % every == 0]
    marks = [Mark(100 * _minutes(left, time) / width, reader.time(time, zone)) for time in shown]
    return [mark for mark in marks if 2 <= mark.percent <= 98]
