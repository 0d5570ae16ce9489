"""The report's pictures, in a reader's unit and clock."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from hybridtwin.forecast import ForecastReport
from hybridtwin.glycemia.episodes import HIGH_MG_DL, LOW_MG_DL, VERY_HIGH_MG_DL
from hybridtwin.units import from_mg_dl
from serving.clinic import charts
from serving.clinic.weeks import THIN_MIN, Weeks, values
from serving.reader import Reader

INK, FAINT, LOW = "#1d2733", "#55606d", "#a3211b"
_CURVE, _TARGET = "#1b5583", "#e5f0e8"
_HISTORY_H: Final = 9
_TICK_H: Final = 3
_DATES: Final = 4


def profile(axes: Axes, weeks: Weeks, reader: Reader) -> None:
    """The ambulatory glucose profile over the day."""
    lowest, low, median, high, highest = (
        from_mg_dl(np.append(curve, curve[0]), reader.unit) for curve in map(values, weeks.profile)
    )
    hours = np.arange(len(median)) * THIN_MIN / 60
    _ground(axes, reader)
    axes.fill_between(hours, lowest, highest, color=_CURVE, alpha=0.16, linewidth=0)
    axes.fill_between(hours, low, high, color=_CURVE, alpha=0.32, linewidth=0)
    axes.plot(hours, median, color=_CURVE, linewidth=2)
    axes.set_xlim(0, 24)
    marks = range(0, 24, _TICK_H)
    axes.set_xticks(marks, [reader.o_clock(at) for at in marks])


def days(axes: Axes, weeks: Weeks, reader: Reader) -> None:
    """Each day, side by side."""
    _ground(axes, reader)
    glucose = from_mg_dl(np.concatenate([values(day.mg_dl) for day in weeks.days]), reader.unit)
    axes.plot(glucose, color=INK, linewidth=0.7)
    length, top = len(glucose) // len(weeks.days), axes.get_ylim()[1]
    for number, day in enumerate(weeks.days):
        axes.axvline(number * length, color=FAINT, linewidth=0.4)
        middle = (number + 0.5) * length
        axes.text(middle, top, reader.date(day.date), ha="center", fontsize=6, color=FAINT)
    axes.set_xlim(0, len(glucose))
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_ylabel("")


def fan(
    axes: Axes,
    forecast: ForecastReport,
    night: tuple[datetime, datetime],
    weeks: Weeks | None,
    reader: Reader,
    zone: str,
) -> None:
    """A forecast in mg/dL over the night, and the hours before."""
    start = forecast.last_reading_time.astimezone(UTC)

    def hours(at: datetime) -> float:
        return (at.astimezone(UTC) - start) / timedelta(hours=1)

    _ground(axes, reader)
    ahead = [hours(at) for at in forecast.times]
    rows = [from_mg_dl(np.array(row), reader.unit) for row in forecast.quantiles]
    quantiles = dict(zip(forecast.levels, rows, strict=True))
    for low, high in ((0.05, 0.95), (0.25, 0.75)):
        edges = quantiles[low], quantiles[high]
        axes.fill_between(ahead, *edges, color=_CURVE, alpha=0.2, linewidth=0)
    axes.plot(ahead, quantiles[0.5], "--", color=_CURVE, linewidth=1.5)
    if weeks:
        past, glucose = _history(weeks, zone, hours)
        axes.plot(past, from_mg_dl(glucose, reader.unit), color=INK, linewidth=1.5)
    axes.axvspan(hours(night[0]), hours(night[1]), color=INK, alpha=0.07, linewidth=0)
    axes.axvline(0, color=FAINT, linewidth=0.8)
    axes.set_xlim(-_HISTORY_H, ahead[-1])
    marks = _clock_marks(start, forecast.times[-1], zone)
    axes.set_xticks([hours(at) for at in marks], [reader.time(at, zone) for at in marks])


def levels(axes: Axes, found: pd.DataFrame, reader: Reader) -> None:
    """Factors by date with their bands, in per cent."""
    dates = list(found.index)
    low, middle, high = (100 * found[name].to_numpy() for name in ("low", "value", "high"))
    axes.fill_between(dates, low, high, color=_CURVE, alpha=0.2, linewidth=0)
    axes.plot(dates, middle, color=_CURVE, linewidth=1.5)
    axes.axhline(100, color=FAINT, linewidth=0.8)
    shown = dates[:: -(-len(dates) // _DATES)]
    axes.set_xticks(shown, [reader.date(day) for day in shown])
    _plain(axes)


def _history(
    weeks: Weeks, zone: str, hours: Callable[[datetime], float]
) -> tuple[list[float], Any]:
    """The last two days' glucose in mg/dL, and when, in hours from the forecast's start."""
    shown = weeks.days[-2:]
    begun = [datetime.combine(day.date, time(), ZoneInfo(zone)) for day in shown]
    after = [timedelta(minutes=THIN_MIN * step) for step in range(len(shown[0].mg_dl))]
    at = [hours(begin + each) for begin in begun for each in after]
    return at, np.concatenate([values(day.mg_dl) for day in shown])


def _clock_marks(start: datetime, end: datetime, zone: str) -> Sequence[datetime]:
    """Every third hour of the clock."""
    begin = start.replace(minute=0, second=0, microsecond=0) - timedelta(hours=_HISTORY_H - 1)
    count = int((end - begin) / timedelta(hours=1)) + 1
    every = (begin + timedelta(hours=hour) for hour in range(count))
    return [at for at in every if at.astimezone(ZoneInfo(zone)).hour % _TICK_H == 0]


def _ground(axes: Axes, reader: Reader) -> None:
    bottom, low, high, very_high, top = (
        from_mg_dl(at, reader.unit)
        for at in (
            charts.PROFILE.bottom,
            LOW_MG_DL,
            HIGH_MG_DL,
            VERY_HIGH_MG_DL,
            charts.PROFILE.top,
        )
    )
    axes.axhspan(low, high, color=_TARGET, linewidth=0)
    axes.axhline(low, color=LOW, linewidth=0.8, linestyle=":")
    marks = (LOW_MG_DL, HIGH_MG_DL, VERY_HIGH_MG_DL)
    axes.set_yticks([low, high, very_high], [reader.glucose(at) for at in marks])
    axes.set_ylim(bottom, top)
    axes.set_ylabel(reader.unit, fontsize=7.5, color=INK)
    _plain(axes)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#c5ccd3")
    axes.tick_params(labelsize=7.5, colors=INK, length=2)
