"""Pictures of forecasts and scenarios, legible at a phone's width.

Figures are made with matplotlib's objects alone, so that a server can draw many at once.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from hybridtwin.forecast import Forecast
from hybridtwin.glycemia.episodes import (
    HIGH_MG_DL,
    LOW_MG_DL,
    VERY_HIGH_MG_DL,
    VERY_LOW_MG_DL,
)
from hybridtwin.plan import Plan
from hybridtwin.record import Record
from hybridtwin.scenario import Scenario
from hybridtwin.units import GlucoseUnit, from_mg_dl

LOOK_BACK: Final = pd.Timedelta(hours=6)
_SIZE_IN = (5.6, 4.6)
_DPI = 160
_BOTTOM_MG_DL = 30.0
_TOP_MG_DL = (240.0, 420.0)  # sensors end at 400
_BANDS = (((0.05, 0.95), 0.14), ((0.1, 0.9), 0.17), ((0.25, 0.75), 0.24))
_INK, _TARGET, _LOW = "#26323f", "#e3f1e6", "#b3261e"
_FAN = "#2b6cb0"
_INSULIN, _CARBS, _EXERCISE = "#6a3d9a", "#a85b00", "#00796b"
# Okabe and Ito's colours, told apart by the colour-blind; the reference is grey.
_PLANS = ("#5b6570", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_STYLES = ("--", "-", "-", "-", "-", "-", "-")
_LABELLED_DOSE_U = 0.5
_LABEL_ROOM_H = 0.9


def fan_chart(
    forecast: Forecast,
    record: Record,
    unit: GlucoseUnit = "mg/dL",
    night: tuple[datetime, datetime] | None = None,
    plan: Plan | None = None,
) -> Figure:
    """Recent readings, and the future as a fan of quantiles.

    Args:
        forecast: What to draw.
        record: The history it started from.
        unit: Of the glucose axis.
        night: Two instants between which the ground is shaded.
        plan: The forecast's plan, to mark its doses, meals and exercise.
    """
    figure = Figure(figsize=_SIZE_IN, dpi=_DPI, layout="constrained")
    glucose, events = figure.subplots(2, 1, sharex=True, height_ratios=(5, 1.15))
    _ground(glucose, unit)
    _readings(glucose, forecast, record, unit)
    times = _horizon_h(forecast)
    for levels, alpha in _BANDS:
        low, high = (_from_reading(forecast, q, unit) for q in forecast.quantiles_mg_dl(levels))
        glucose.fill_between(times, low, high, color=_FAN, alpha=alpha, linewidth=0)
    expected = _from_reading(forecast, forecast.expected_mg_dl, unit)
    glucose.plot(times, expected, color=_FAN, linewidth=2, label="expected")
    _limits(glucose, unit)
    if night is not None:
        for axes in (glucose, events):
            axes.axvspan(*_hours(night, forecast), color="#283593", alpha=0.07)
    _events(events, forecast, record, plan)
    for axes in (glucose, events):
        _now_line(axes, forecast)
    _titles(glucose, f"{forecast.participant}: {_short(forecast.plan)}")
    shade = "" if night is None else "; shaded: the night"
    _time_axis(events, forecast, f"bands: 50, 80 and 90 % intervals{shade}")
    return figure


def comparison_chart(scenario: Scenario, record: Record, unit: GlucoseUnit = "mg/dL") -> Figure:
    """The futures of several plans, and below how each differs from the first.

    Args:
        scenario: What to draw: two to seven plans.
        record: The history they start from.
        unit: Of the glucose axes.
    """
    first = scenario.forecasts[0]
    figure = Figure(figsize=(_SIZE_IN[0], 5.75), dpi=_DPI, layout="constrained")
    glucose, change = figure.subplots(2, 1, sharex=True, height_ratios=(5, 2.6))
    _ground(glucose, unit)
    _readings(glucose, first, record, unit)
    change.axhline(0, color=_PLANS[0], linewidth=1.2, linestyle="--")
    times = _horizon_h(first)
    for index, forecast in enumerate(scenario.forecasts):
        color, style = _PLANS[index % len(_PLANS)], _STYLES[index % len(_STYLES)]
        low, high = (_from_reading(forecast, q, unit) for q in forecast.quantiles_mg_dl((0.1, 0.9)))
        if index:
            for bound in (low, high):
                glucose.plot(times, bound, color=color, linewidth=0.8, alpha=0.7)
        else:
            glucose.fill_between(times, low, high, color=color, alpha=0.15, linewidth=0)
        expected = _from_reading(forecast, forecast.expected_mg_dl, unit)
        glucose.plot(times, expected, style, color=color, linewidth=2, label=_short(forecast.plan))
        if index:
            difference = scenario.difference(index, unit)
            rows = dict(zip(difference.levels, difference.quantiles, strict=True))
            low, high = (np.array([0, *rows[level]]) for level in (0.1, 0.9))
            change.fill_between(times, low, high, color=color, alpha=0.18, linewidth=0)
            change.plot(times, [0, *difference.expected], style, color=color, linewidth=2)
    _limits(glucose, unit)
    glucose.legend(loc="upper left", fontsize=8.5, frameon=True, framealpha=0.85, edgecolor="none")
    change.set_ylabel(f"change, {unit}", fontsize=9, color=_INK)
    change.grid(axis="y", color="#eceff2", linewidth=0.8)
    for axes in (glucose, change):
        _now_line(axes, first)
    _titles(glucose, f"{first.participant}: plans against {_short(first.plan, 30)!r}")
    _time_axis(change, first, "bands and thin lines: 80 % intervals")
    return figure


def describe(forecast: Forecast, unit: GlucoseUnit = "mg/dL") -> str:
    """A fan chart in one sentence, as its text alternative."""
    report = forecast.report(unit)
    end = {level: row[-1] for level, row in zip(report.levels, report.quantiles, strict=True)}
    low = from_mg_dl(LOW_MG_DL, unit)

    def words(value: float) -> str:
        return f"{value:.0f}" if unit == "mg/dL" else f"{value:.1f}"

    return (
        f"{report.participant}, plan {report.plan!r}: from {words(report.last_reading)} {unit} at "
        f"{report.last_reading_time:%H:%M}, glucose is expected at {words(report.expected[-1])} "
        f"{unit} by {report.times[-1]:%H:%M} (80 % interval {words(end[0.1])} to "
        f"{words(end[0.9])}), lowest about {words(report.nadir.median)} {unit} around "
        f"{report.nadir.time:%H:%M}, with a probability of {100 * report.events.below_70:.0f} % "
        f"of 15 minutes or more below {words(low)} {unit}; trust is {report.trust.level}."
    )


def _hours(times: Iterable[datetime], forecast: Forecast) -> list[float]:
    """Where instants lie on the time axis: hours since the last reading."""
    return [(time - forecast.start) / pd.Timedelta(hours=1) for time in times]


def _horizon_h(forecast: Forecast) -> list[float]:
    return [0.0, *_hours(forecast.times, forecast)]


def _from_reading(
    forecast: Forecast, values_mg_dl: Tensor, unit: GlucoseUnit
) -> NDArray[np.float64]:
    """A trajectory (H,) that begins at the last reading: (H + 1,)."""
    whole = [forecast.last_reading_mg_dl, *values_mg_dl.tolist()]
    return np.array([from_mg_dl(value, unit) for value in whole])


def _ground(axes: Axes, unit: GlucoseUnit) -> None:
    low, high, very_low = (
        from_mg_dl(limit, unit) for limit in (LOW_MG_DL, HIGH_MG_DL, VERY_LOW_MG_DL)
    )
    axes.axhspan(low, high, color=_TARGET, zorder=0)
    axes.axhline(very_low, color=_LOW, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    axes.annotate(
        f"{very_low:.0f}" if unit == "mg/dL" else f"{very_low:.1f}",
        (0, very_low),
        xycoords=("axes fraction", "data"),
        xytext=(3, -2),
        textcoords="offset points",
        va="top",
        fontsize=8,
        color=_LOW,
    )
    axes.set_ylabel(f"glucose, {unit}", fontsize=9, color=_INK)


def _readings(axes: Axes, forecast: Forecast, record: Record, unit: GlucoseUnit) -> None:
    glucose = record.glucose
    times = glucose["time"]
    recent = glucose[(times > forecast.start - LOOK_BACK) & (times <= forecast.issued)]
    axes.plot(
        _hours(recent["time"], forecast),
        [from_mg_dl(value, unit) for value in recent["mg_dl"]],
        "o",
        color=_INK,
        markersize=2.6,
        label="_readings",
    )


def _limits(axes: Axes, unit: GlucoseUnit) -> None:
    least, most = (from_mg_dl(limit, unit) for limit in _TOP_MG_DL)
    top = min(max(1.04 * axes.dataLim.y1, least), most)
    axes.set_ylim(from_mg_dl(_BOTTOM_MG_DL, unit), top)
    marks = (LOW_MG_DL, HIGH_MG_DL, VERY_HIGH_MG_DL, 320, 400)
    digits = 0 if unit == "mg/dL" else 1
    ticks = [from_mg_dl(mark, unit) for mark in marks if from_mg_dl(mark, unit) <= top]
    axes.set_yticks(ticks, [f"{tick:.{digits}f}" for tick in ticks])


def _short(plan: str, width: int = 44) -> str:
    return plan if len(plan) <= width else plan[: width - 1] + "…"


def _now_line(axes: Axes, forecast: Forecast) -> None:
    axes.axvline(*_hours([forecast.issued], forecast), color=_INK, linewidth=1, zorder=3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#c5ccd3")
    axes.tick_params(labelsize=9, colors=_INK, length=3)


def _titles(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=10, color=_INK, loc="left", fontweight="bold")


def _time_axis(axes: Axes, forecast: Forecast, legend: str) -> None:
    begin, end = forecast.start - LOOK_BACK, forecast.times[-1]
    axes.set_xlim(*_hours([begin, end], forecast))
    hours = pd.date_range(begin.ceil("h"), end, freq="h").tz_convert(forecast.time_zone)
    every = next(step for step in (1, 2, 3) if len(hours) <= 7 * step or step == 3)
    ticks = hours[hours.hour % every == 0]
    axes.set_xticks(_hours(ticks, forecast), ticks.strftime("%H:%M"))
    now = forecast.issued.tz_convert(forecast.time_zone)
    said = f"now: {now:%a %d %b %H:%M}, {forecast.time_zone}\n{legend}"
    axes.set_xlabel(said, fontsize=9, color=_INK)


def _events(axes: Axes, forecast: Forecast, record: Record, plan: Plan | None) -> None:
    """Exercise, carbohydrate and boluses of the last hours and of the plan, a row each."""
    insulin = record.insulin[record.insulin["purpose"] == "bolus"]
    boluses = _happened(insulin, "dose_u", forecast)
    meals = _happened(record.meals, "carbs_g", forecast)
    rows = ["carbs", "insulin"]
    if plan is not None:
        boluses += [(dose.time, dose.dose_u) for dose in plan.insulin if dose.purpose == "bolus"]
        meals += [(meal.time, meal.carbs_g) for meal in plan.meals if meal.carbs_g > 0]
        for activity in plan.activity:
            (begin,) = _hours([activity.time], forecast)
            axes.barh(2, activity.duration_min / 60, left=begin, height=0.5, color=_EXERCISE)
        rows += ["exercise"] if plan.activity else []
    _marks(axes, 0, (_CARBS, "o"), meals, [f"{grams:.0f} g" for _, grams in meals], forecast)
    doses = [f"{dose:.2g} U" if dose >= _LABELLED_DOSE_U else "" for _, dose in boluses]
    _marks(axes, 1, (_INSULIN, "v"), boluses, doses, forecast)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.grid(axis="y", color="#eceff2", linewidth=0.8)
    axes.set_axisbelow(True)


def _happened(rows: pd.DataFrame, amount: str, forecast: Forecast) -> list[tuple[datetime, float]]:
    times = rows["time"]
    recent = rows[(times > forecast.start - LOOK_BACK) & (times < forecast.issued)]
    recent = recent[recent[amount] > 0]
    return list(zip(recent["time"], recent[amount], strict=True))


def _marks(
    axes: Axes,
    height: int,
    look: tuple[str, str],
    events: Sequence[tuple[datetime, float]],
    labels: Sequence[str],
    forecast: Forecast,
) -> None:
    """Marks in a row; a label that would run into the one before it is left out."""
    color, marker = look
    hours = _hours([time for time, _ in events], forecast)
    free_from = -np.inf
    for hour, label in zip(hours, labels, strict=True):
        axes.plot(hour, height, marker, color=color, markersize=5)
        if label and hour >= free_from:
            axes.annotate(
                label,
                (hour, height),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                color=color,
                bbox={"boxstyle": "square,pad=0.1", "color": "white", "alpha": 0.8},
                zorder=4,
            )
            free_from = hour + _LABEL_ROOM_H
