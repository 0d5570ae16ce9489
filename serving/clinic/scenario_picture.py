"""The picture of a comparison: what was, both futures as fans, and below them their difference."""

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
    """Two drawings, `drawing.HEIGHT` high, on one axis of time, whose unit is the minute.

    Attributes:
        width: Minutes from the left edge to the right one.
        now: Where the present is.
        now_percent: The same in percent.
        future_x: Where the futures begin.
        before: The readings, as a path from the left edge.
        fans: As usual, and what if.
        limits: Lines of glucose, such as 70 mg/dL.
        range: Between which depths glucose is in range, in percent of the height.
        ends: Where the names of the fans stand, in percent of the height.
        difference: What if less as usual.
        difference_marks: Of its axis.
        hours: Of the axis of time.
    """

    width: int
    now: float
    now_percent: float
    future_x: float
    before: str
    fans: tuple[Fan, Fan]
    limits: list[Mark]
    range: tuple[float, float]
    ends: tuple[float, float]
    difference: Fan
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
    scale = drawing.Scale(
        drawing.GLUCOSE.bottom, max(drawing.GLUCOSE.top, _rounded_up(float(highest)))
    )
    reach = _rounded_up(max(float(np.abs(_row(difference, level)).max()) for level in OUTER))
    return Picture(
        width=width,
        now=now,
        now_percent=100 * now / width,
        future_x=future_x,
        before=drawing.line(before, STEP_MIN, scale),
        fans=(_fan(usual, scale), _fan(changed, scale)),
        limits=[Mark(_percent(each, scale), reader.glucose(each)) for each in _LIMITS_MG_DL],
        range=(_percent(HIGH_MG_DL, scale), _percent(LOW_MG_DL, scale)),
        ends=_apart(*(_percent(float(_row(each, MEDIAN)[-1]), scale) for each in (usual, changed))),
        difference=_fan(difference, drawing.Scale(-reach, reach)),
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


def _fan(said: ForecastReport | Difference, scale: drawing.Scale) -> Fan:
    outer, inner = (
        drawing.band(_row(said, low), _row(said, high), STEP_MIN, scale)
        for low, high in (OUTER, INNER)
    )
    return Fan(outer, inner, drawing.line(_row(said, MEDIAN), STEP_MIN, scale))


def _rounded_up(mg_dl: float) -> int:
    return _ROUND_MG_DL * max(int(np.ceil(mg_dl / _ROUND_MG_DL)), 1)


def _percent(mg_dl: float, scale: drawing.Scale) -> float:
    return 100 * scale.y(mg_dl) / drawing.HEIGHT


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
