"""Forecasts, scenarios and tonight's list as tables on a terminal."""

from collections.abc import Sequence

from rich.table import Table

from hybridtwin.forecast import EventProbabilities, ForecastReport
from hybridtwin.glycemia.episodes import (
    HIGH_MG_DL,
    LOW_MG_DL,
    VERY_HIGH_MG_DL,
    VERY_LOW_MG_DL,
)
from hybridtwin.night import NightRisk
from hybridtwin.scenario import ScenarioReport
from hybridtwin.trust import Trust
from hybridtwin.units import GlucoseUnit, from_mg_dl

_SHORT_MIN, _LONG_MIN = 120, 480
_LIMITS = {
    "below_70": ("below", LOW_MG_DL),
    "below_54": ("below", VERY_LOW_MG_DL),
    "above_180": ("above", HIGH_MG_DL),
    "above_250": ("above", VERY_HIGH_MG_DL),
}


def glucose(value: float, unit: GlucoseUnit) -> str:
    """A value that is already in `unit`, with the digits that a meter shows."""
    return f"{value:.0f}" if unit == "mg/dL" else f"{value:.1f}"


def trajectories(reports: Sequence[ForecastReport]) -> Table:
    """Expected value and 80 % interval of one or several plans, every 15 to 60 minutes."""
    first = reports[0]
    table = Table("time", title=f"Expected glucose and 80 % interval, {first.unit}")
    for report in reports:
        table.add_column(report.plan)
    for row in _rows_shown(first):
        table.add_row(f"{first.times[row]:%H:%M}", *(_value(report, row) for report in reports))
    return table


def _rows_shown(report: ForecastReport) -> range:
    horizon_min = len(report.times) * report.step_min
    every_min = 15 if horizon_min <= _SHORT_MIN else 30 if horizon_min <= _LONG_MIN else 60
    every = every_min // report.step_min
    return range(min(every, len(report.times)) - 1, len(report.times), every)


def _value(report: ForecastReport, row: int) -> str:
    rows = dict(zip(report.levels, report.quantiles, strict=True))
    expected, low, high = (
        glucose(values[row], report.unit) for values in (report.expected, rows[0.1], rows[0.9])
    )
    return f"{expected} ({low} to {high})"


def events(reports: Sequence[ForecastReport]) -> Table:
    """Probabilities of lows and highs, and the lowest point, a row for each plan."""
    unit = reports[0].unit
    table = Table("plan", *_limits(unit), "lowest", title="For 15 minutes or longer; lowest point")
    for report in reports:
        table.add_row(report.plan, *_percents(report.events), _lowest(report))
    return table


def differences(report: ScenarioReport) -> Table:
    """Every later plan against the first."""
    first = report.differences[0]
    low, _, high, _ = _limits(first.unit)
    table = Table(
        "plan",
        "mean (80 % interval)",
        "at the end",
        low,
        high,
        title=f"Change against {first.against!r}, {first.unit}",
    )
    digits = 0 if first.unit == "mg/dL" else 1
    for change in report.differences:
        table.add_row(
            change.plan,
            f"{change.mean:+.{digits}f} ({change.mean_low:+.{digits}f} "
            f"to {change.mean_high:+.{digits}f})",
            f"{change.expected[-1]:+.{digits}f}",
            f"{100 * change.below_70:+.0f} %",
            f"{100 * change.above_180:+.0f} %",
        )
    return table


def night(risks: Sequence[NightRisk], unit: GlucoseUnit) -> Table:
    """Tonight's list, in the order given."""
    low, very_low, _, _ = _limits(unit)
    table = Table("participant", low, very_low, "lowest", "trust", title=f"Tonight, {unit}")
    for risk in risks:
        if risk.events is None or risk.nadir is None or risk.trust is None:
            table.add_row(risk.participant, "?", "?", "", f"no forecast: {risk.reason}")
            continue
        below_70, below_54, _, _ = _percents(risk.events)
        lowest = f"{glucose(risk.nadir.median, unit)} at {risk.nadir.time:%H:%M}"
        table.add_row(risk.participant, below_70, below_54, lowest, _trust(risk.trust))
    return table


def _trust(trust: Trust) -> str:
    kinds = sorted({note.kind for note in trust.notes})
    return f"{trust.level} ({', '.join(kinds)})" if kinds else trust.level


def _limits(unit: GlucoseUnit) -> list[str]:
    return [f"{side} {glucose(from_mg_dl(at, unit), unit)}" for side, at in _LIMITS.values()]


def _percents(events: EventProbabilities) -> list[str]:
    return [f"{100 * getattr(events, name):.0f} %" for name in _LIMITS]


def _lowest(report: ForecastReport) -> str:
    nadir = report.nadir
    return (
        f"{glucose(nadir.median, report.unit)} at {nadir.time:%H:%M}; "
        f"1 in 10 below {glucose(nadir.low, report.unit)}"
    )
