"""The ambulatory glucose profile as a picture, in the consensus' layout.

One page: figures, time in ranges as a stacked bar, the percentile curves, and every day small.
Johnson et al. 2019, Diabetes Technol Ther 21:S2-17; Battelino et al. 2019, Diabetes Care 42:1593,
figure 2. In the place of red and green stand colours that the colour-blind tell apart (Okabe and
Ito), and every range carries its words.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.glycemia.agp import LEAST_DAYS, PERCENTILES, glucose_profile
from hybridtwin.glycemia.episodes import VERY_HIGH_MG_DL, VERY_LOW_MG_DL
from hybridtwin.glycemia.metrics import STABLE_CV_PERCENT
from hybridtwin.glycemia.ranges import (
    GOALS,
    PREGNANCY_GOALS,
    PREGNANCY_RANGES,
    RANGES,
    Goal,
    Range,
)
from hybridtwin.glycemia.summary import AGP_DAYS, Glycemia, glycemia, recent_trace
from hybridtwin.glycemia.trace import DAY_STEPS, Floats, Trace
from hybridtwin.record import Record
from hybridtwin.units import STEP_MIN, GlucoseUnit, from_mg_dl

_SIZE_IN: Final = (8.27, 10.4)
_DPI: Final = 130
_INK: Final = "#26323f"
_FAINT: Final = "#5b6570"
_WARNING: Final = "#b3261e"
COLORS: Final = {
    "very_low": "#882255",
    "low": "#D55E00",
    "target": "#009E73",
    "high": "#F0C419",
    "very_high": "#C77F00",
}
_WORDS: Final = {
    "very_low": "Very low",
    "low": "Low",
    "target": "Target",
    "high": "High",
    "very_high": "Very high",
}
_CURVE: Final = "#1f4e79"
_TOP_MG_DL: Final = 400.0
_LABEL_ROOM_PERCENT: Final = 9.0
_DAYS_A_ROW: Final = 7
_HOURS: Final = np.arange(DAY_STEPS) * STEP_MIN / 60


def agp_chart(
    record: Record, end: pd.Timestamp | None = None, unit: GlucoseUnit = "mg/dL"
) -> Figure:
    """The profile of a record's last fourteen days, on one page.

    Args:
        record: Of whom; a pregnant person's goals are those of pregnancy.
        end: First instant that does not count; None for just after the last reading.
        unit: Of every glucose value.

    Raises:
        HistoryError: Less than a day's worth of readings is known.
    """
    found = glycemia(record, end)
    trace = recent_trace(record, end)
    pregnant = record.profile.pregnancy_week is not None
    ranges, goals = (PREGNANCY_RANGES, PREGNANCY_GOALS) if pregnant else (RANGES, GOALS)
    percents = found.pregnancy_percents if pregnant else found.percents
    figure = Figure(figsize=_SIZE_IN, dpi=_DPI, layout="constrained")
    rows = -(-min(int(trace.day[-1]) + 1, AGP_DAYS) // _DAYS_A_ROW)
    parts = figure.subfigures(3, 1, squeeze=False, height_ratios=(3.4, 3.6, 0.4 + 1.05 * rows))
    figure.suptitle(
        f"Ambulatory glucose profile: {found.participant}",
        x=0.01,
        ha="left",
        fontsize=13,
        fontweight="bold",
        color=_INK,
    )
    head, curves, days = parts[:, 0]
    figures, bar = head.subplots(1, 2, width_ratios=(1.0, 1.2))
    _figures(figures, found, unit)
    _bar(bar, ranges, goals, percents, unit)
    target = next(each for each in ranges if each.name == "target")
    _curves(curves.subplots(), trace, target, unit)
    _days(days, trace, rows, target, unit)
    return figure


def _digits(value_mg_dl: float, unit: GlucoseUnit) -> str:
    value = from_mg_dl(value_mg_dl, unit)
    return f"{value:.0f}" if unit == "mg/dL" else f"{value:.1f}"


def _figures(axes: Axes, found: Glycemia, unit: GlucoseUnit) -> None:
    axes.set_axis_off()
    _title(axes, "Figures")
    lines = (
        ("Days", f"{found.begin:%d %b} to {found.end:%d %b %Y}, {found.days:.0f} days"),
        ("Glucose known", f"{found.worn_percent:.0f} % of the time"),
        ("Mean glucose", f"{_digits(found.mean_mg_dl, unit)} {unit}"),
        ("GMI (read as HbA1c)", f"{found.gmi_percent:.1f} %"),
        (
            "Coefficient of variation",
            f"{found.cv_percent:.0f} %  (goal: at most {STABLE_CV_PERCENT:.0f} %)",
        ),
        ("Standard deviation", f"{_digits(found.sd_mg_dl, unit)} {unit}"),
        ("Glycemia risk index", f"{found.risk_index:.0f}, zone {found.risk_zone}"),
        (
            "   of lows, of highs",
            f"{found.risk_hypoglycemia:.1f}, {found.risk_hyperglycemia:.1f}",
        ),
        (
            "Lows, very low ones",
            f"{found.episodes['below_70']}, {found.episodes['below_54']}",
        ),
    )
    for row, (name, value) in enumerate(lines):
        at = 0.94 - 0.094 * row
        axes.text(0, at, name, fontsize=9, color=_INK, transform=axes.transAxes)
        axes.text(0.54, at, value, fontsize=9, color=_INK, transform=axes.transAxes)
    if found.lacking:
        said = "Not to be trusted:\n" + "\n".join(found.lacking)
        axes.text(0, -0.02, said, fontsize=9, color=_WARNING, va="bottom", transform=axes.transAxes)


def _bar(
    axes: Axes,
    ranges: Sequence[Range],
    goals: Sequence[Goal],
    percents: dict[str, float],
    unit: GlucoseUnit,
) -> None:
    """Time in ranges, the low ones at the bottom; words stay apart where ranges are thin."""
    _title(axes, "Time in ranges")
    bottom = 0.0
    middles = []
    for each in ranges:
        height = percents[each.name]
        axes.bar(0, height, 0.5, bottom, color=COLORS[each.name], edgecolor="white", linewidth=1)
        middles.append(bottom + height / 2)
        bottom += height
    for each, at, middle in zip(ranges, _apart(middles), middles, strict=True):
        limits = each.mg_dl if unit == "mg/dL" else each.mmol_l
        axes.plot([0.26, 0.36], [middle, at], color=_FAINT, linewidth=0.7)
        bold = "bold" if each.name == "target" else "normal"
        words = f"{_WORDS[each.name]}  {limits} {unit}"
        axes.text(0.4, at, words, va="center", fontsize=9, color=_INK, fontweight=bold)
        share = f"{percents[each.name]:.{1 if percents[each.name] < 10 else 0}f} %"
        axes.text(2.3, at, share, va="center", ha="right", fontsize=9.5, color=_INK, weight=bold)
        axes.text(2.38, at, _said(goals, each), va="center", fontsize=8, color=_FAINT)
    axes.set_xlim(-0.3, 3.15)
    axes.set_ylim(-2, 102)
    axes.set_axis_off()


def _said(goals: Sequence[Goal], each: Range) -> str:
    """The goals that speak of a range, and perhaps of one beyond it."""
    own = [goal for goal in goals if goal.ranges[-1] == each.name and "low" in each.name]
    own += [goal for goal in goals if goal.ranges[0] == each.name and "low" not in each.name]
    words = []
    for goal in own:
        with_beyond = " with " + _beyond(goal, each) if len(goal.ranges) > 1 else ""
        words.append(f"goal {'>' if goal.at_least else '<'}{goal.percent:.0f} %{with_beyond}")
    return "\n".join(words)


def _beyond(goal: Goal, each: Range) -> str:
    return ", ".join(_WORDS[name].lower() for name in goal.ranges if name != each.name)


def _apart(middles: Sequence[float]) -> Floats:
    """Places for words, in the same order, none nearer to another than a line of text."""
    at = np.array(middles)
    for index in range(1, len(at)):
        at[index] = max(at[index], at[index - 1] + _LABEL_ROOM_PERCENT)
    at[-1] = min(at[-1], 98)
    for index in range(len(at) - 2, -1, -1):
        at[index] = min(at[index], at[index + 1] - _LABEL_ROOM_PERCENT)
    return at


def _curves(axes: Axes, trace: Trace, target: Range, unit: GlucoseUnit) -> None:
    profile = glucose_profile(trace)
    lowest, low, median, high, highest = (
        np.append(row, row[0]) for row in _converted(profile.mg_dl, unit)
    )
    hours = np.append(_HOURS, 24)
    _ground(axes, target, unit)
    axes.fill_between(hours, lowest, highest, color=_CURVE, alpha=0.16, linewidth=0)
    axes.fill_between(hours, low, high, color=_CURVE, alpha=0.34, linewidth=0)
    for edge in (lowest, highest):
        axes.plot(hours, edge, color=_CURVE, linewidth=0.8, linestyle="--")
    axes.plot(hours, median, color=_CURVE, linewidth=2.4)
    for row, percentile in zip((lowest, low, median, high, highest), PERCENTILES, strict=True):
        axes.annotate(
            f"{percentile} %",
            (24.1, row[-1]),
            fontsize=7.5,
            color=_CURVE,
            va="center",
            annotation_clip=False,
        )
    axes.set_xlim(0, 24)
    axes.set_xticks(range(0, 25, 3), [f"{hour:02d}:00" for hour in range(0, 25, 3)])
    marks = (target.from_mg_dl, target.below_mg_dl - 1, VERY_HIGH_MG_DL, _TOP_MG_DL)
    axes.set_yticks([from_mg_dl(at, unit) for at in marks], [_digits(at, unit) for at in marks])
    axes.annotate(
        _digits(VERY_LOW_MG_DL, unit),
        (0.1, from_mg_dl(VERY_LOW_MG_DL, unit)),
        fontsize=7.5,
        color=_FAINT,
        va="top",
    )
    axes.set_ylim(0, from_mg_dl(_TOP_MG_DL, unit))
    axes.set_ylabel(f"glucose, {unit}", fontsize=9, color=_INK)
    axes.tick_params(labelsize=8.5, colors=_INK)
    less = "" if profile.days.min() >= LEAST_DAYS else f"; left out where under {LEAST_DAYS} days"
    _title(axes, f"Median, middle half and middle nine tenths of all days by local time{less}")


def _title(axes: Axes, words: str) -> None:
    axes.set_title(words, loc="left", fontsize=10, fontweight="bold", color=_INK)


def _converted(values_mg_dl: Floats, unit: GlucoseUnit) -> Floats:
    return values_mg_dl * from_mg_dl(1.0, unit)


def _ground(axes: Axes, target: Range, unit: GlucoseUnit) -> None:
    for at in (target.from_mg_dl, target.below_mg_dl - 1):
        axes.axhline(from_mg_dl(at, unit), color=COLORS["target"], linewidth=1.3)
    axes.axhline(from_mg_dl(VERY_LOW_MG_DL, unit), color=_FAINT, linewidth=0.8, linestyle=":")
    axes.axhline(from_mg_dl(VERY_HIGH_MG_DL, unit), color=_FAINT, linewidth=0.8, linestyle=":")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#c5ccd3")


def _days(figure: SubFigure, trace: Trace, rows: int, target: Range, unit: GlucoseUnit) -> None:
    """The last days, each small: what is below the target and above it is filled."""
    figure.suptitle(
        "The last days, midnight to midnight",
        x=0.01,
        ha="left",
        fontsize=10,
        fontweight="bold",
        color=_INK,
    )
    grid = figure.subplots(rows, _DAYS_A_ROW, sharex=True, sharey=True, squeeze=False)
    limits = (target.from_mg_dl, target.below_mg_dl - 1)
    low, high = (from_mg_dl(at, unit) for at in limits)
    days = _converted(trace.by_day(trace.mg_dl), unit)
    shown = list(zip(days, trace.dates(), strict=True))[-AGP_DAYS:]
    for axes, (day, date) in zip(grid.flat, shown, strict=False):
        _ground(axes, target, unit)
        axes.fill_between(_HOURS, low, np.minimum(day, low), color=COLORS["low"], linewidth=0)
        axes.fill_between(_HOURS, high, np.maximum(day, high), color=COLORS["high"], linewidth=0)
        axes.plot(_HOURS, day, color=_INK, linewidth=0.9)
        axes.set_title(f"{date:%a %d %b}", fontsize=7.5, color=_INK, pad=2)
        axes.set_xticks([0, 12, 24], ["", "12:00", ""])
        axes.set_yticks([low, high], [_digits(at, unit) for at in limits])
        axes.tick_params(labelsize=6.5, colors=_INK, length=2)
        axes.set_xlim(0, MINUTES_PER_DAY / 60)
        axes.set_ylim(0, from_mg_dl(_TOP_MG_DL, unit))
    for axes in list(grid.flat)[len(shown) :]:
        axes.set_axis_off()
