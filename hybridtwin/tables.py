"""Forecasts, scenarios, tonight's list and patterns as tables on a terminal."""

from collections.abc import Sequence

import pandas as pd
from rich import box
from rich.table import Table

from hybridtwin.forecast import EventProbabilities, ForecastReport
from hybridtwin.glycemia.episodes import (
    HIGH_MG_DL,
    LOW_MG_DL,
    VERY_HIGH_MG_DL,
    VERY_LOW_MG_DL,
)
from hybridtwin.patterns.pattern import Pattern
from hybridtwin.review.review import NightRisk
from hybridtwin.review.suggestions import Measure, Suggestion
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
_REASONS = 3
_TOLD_MG_DL = 1.0
"""A smaller share is no reason."""
_NADIR = ("nadir_time", "nadir_median", "nadir_low")


def glucose(value: float, unit: GlucoseUnit) -> str:
    """A value that is already in `unit`, with the digits that a meter shows."""
    return f"{value:.0f}" if unit == "mg/dL" else f"{value:.1f}"


def trajectories(reports: Sequence[ForecastReport]) -> Table:
    """Expected value and 80 % interval of one or several plans, every 15 to 60 minutes."""
    first = reports[0]
    table = _table("time", title=f"Expected glucose and 80 % interval, {first.unit}")
    for report in reports:
        table.add_column(report.plan)
    for row in _rows_shown(first):
        table.add_row(f"{first.times[row]:%H:%M}", *(_value(report, row) for report in reports))
    return table


def _table(*columns: str, title: str) -> Table:
    return Table(
        *columns, title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )


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
    columns = ("plan", *_limits(unit), "lowest", "1 in 10 below")
    table = _table(*columns, title=f"Chance of 15 minutes or longer; lowest point, {unit}")
    for report in reports:
        nadir = report.nadir
        lowest = f"{glucose(nadir.median, unit)} at {nadir.time:%H:%M}"
        percents = _percents(report.events)
        table.add_row(report.plan, *percents, lowest, glucose(nadir.low, unit))
    return table


def differences(report: ScenarioReport) -> Table:
    """Every later plan against the first."""
    first = report.differences[0]
    below, _, above, _ = _limits(first.unit)
    table = _table(
        "plan",
        "mean (80 % interval)",
        "at the end",
        below,
        above,
        title=f"Change against {first.against!r}, {first.unit}",
    )
    for change in report.differences:
        mean, low, high, end = (
            _signed(value, first.unit)
            for value in (change.mean, change.mean_low, change.mean_high, change.expected[-1])
        )
        table.add_row(
            change.plan,
            f"{mean} ({low} to {high})",
            end,
            f"{round(100 * change.below_70):+d} %",
            f"{round(100 * change.above_180):+d} %",
        )
    return table


def _signed(value: float, unit: GlucoseUnit) -> str:
    digits = 0 if unit == "mg/dL" else 1
    return f"{round(value, digits) + 0.0:+.{digits}f}"  # + 0.0: no -0


def night(risks: Sequence[NightRisk], unit: GlucoseUnit) -> Table:
    """Tonight's list of those who could be forecast, in the order given."""
    low, very_low, _, _ = _limits(unit)
    table = _table(title=f"Tonight, {unit}")
    table.add_column("participant", no_wrap=True)
    for name in (low, very_low, "lowest", "because of", "trust"):
        table.add_column(name)
    for risk in risks:
        if risk.events is not None and risk.nadir is not None and risk.trust is not None:
            below_70, below_54, _, _ = _percents(risk.events)
            lowest = f"{glucose(risk.nadir.median, unit)} at {risk.nadir.time:%H:%M}"
            because, trust = _because(risk, unit), _trust(risk.trust)
            table.add_row(risk.participant, below_70, below_54, lowest, because, trust)
    return table


def _because(risk: NightRisk, unit: GlucoseUnit) -> str:
    """The first reasons that lower the night, with their shares in the lowest point."""
    if risk.explanation is None:
        return ""
    least = from_mg_dl(_TOLD_MG_DL, unit)
    lowering = [reason for reason in risk.explanation.reasons if reason.nadir <= -least]
    return ", ".join(f"{one.driver} {_signed(one.nadir, unit)}" for one in lowering[:_REASONS])


def suggestions(risks: Sequence[NightRisk], unit: GlucoseUnit) -> Table:
    """What would help, as material for a clinician's decision."""
    low = _limits(unit)[0]
    columns = (
        "participant",
        "what would help",
        f"{low} without",
        "with it",
        f"lowest point, {unit}",
    )
    table = _table(*columns, title="For a clinician to decide: chances until morning")
    for risk in risks:
        for one in _suggested(risk):
            lift = " to ".join(_signed(value, unit) for value in (one.rise_low, one.rise_high))
            table.add_row(
                risk.participant,
                _measure(one),
                f"{100 * one.without.below_70:.0f} %",
                f"{100 * one.following.below_70:.0f} %",
                f"{_signed(one.rise, unit)} ({lift})",
            )
    return table


def _suggested(risk: NightRisk) -> list[Suggestion]:
    return [] if risk.advice is None else risk.advice.suggestions


def _measure(one: Suggestion) -> str:
    match one.measure:
        case Measure.SNACK:
            return f"{one.carbs_g:g} g of carbohydrate at {one.begin:%H:%M}"
        case Measure.BASAL:
            return f"basal {one.less_percent:g} % less, {one.begin:%H:%M} to {one.end:%H:%M}"
        case Measure.HOLD_BACK:
            return f"hold back a correction of {one.dose_u:g} U"


def night_csv(risks: Sequence[NightRisk], unit: GlucoseUnit) -> str:
    """Tonight's list, everyone in the order given, as CSV."""
    rows = []
    for risk in risks:
        row = risk.model_dump(mode="json", include={"participant", "status", "begin", "end"})
        row |= dict.fromkeys((*_LIMITS, *_NADIR, "trust", "because", "would_help"))
        if risk.events is not None and risk.nadir is not None and risk.trust is not None:
            row |= {name: round(value, 4) for name, value in risk.events.model_dump().items()}
            row |= {f"nadir_{name}": v for name, v in risk.nadir.model_dump(mode="json").items()}
            row["trust"] = _trust(risk.trust)
            row["because"] = _because(risk, unit)
            row["would_help"] = "; ".join(_measure(one) for one in _suggested(risk))
        rows.append(row | {"unit": unit, "reason": risk.reason})
    text: str = pd.DataFrame(rows).to_csv(index=False)
    return text


def patterns(found: Sequence[Pattern]) -> Table:
    """Patterns with their evidence, a row each."""
    table = _table("pattern", "how often", "how strong (95 %)", "by chance", "last", title="Found")
    for each in found:
        often = f"{each.count} of {each.looked_at} {each.counted}" if each.count else ""
        often += "".join(f", {count:.0f} {name}" for name, count in each.details.items())
        last = f"{each.times[-1]:%a %d %b %H:%M}" if each.times else ""
        chance = "" if each.chance_of_any is None else _chance(each.chance_of_any)
        table.add_row(pattern_name(each), often, _strength(each), chance, last)
    return table


def pattern_name(pattern: Pattern) -> str:
    """Kind and part of a pattern."""
    return f"{pattern.kind}, {pattern.part}" if pattern.part else pattern.kind


def _strength(pattern: Pattern) -> str:
    """The size of a pattern with its interval; shares as per cent."""
    sizes = (pattern.size, pattern.size_low, pattern.size_high)
    share = pattern.unit.startswith("of ")
    size, low, high = (
        None if value is None else f"{100 * value if share else value:.0f}" for value in sizes
    )
    unit = f"% {pattern.unit}" if share else pattern.unit
    return f"{size} {unit}" if low is None else f"{size} {unit} ({low} to {high})"


def _chance(chance: float) -> str:
    return "< 0.1 %" if chance < 0.001 else f"{100 * chance:.1f} %"


def _trust(trust: Trust) -> str:
    kinds = sorted({note.kind for note in trust.notes})
    return f"{trust.level}: {', '.join(kinds)}" if kinds else trust.level


def _limits(unit: GlucoseUnit) -> list[str]:
    return [f"{side} {glucose(from_mg_dl(at, unit), unit)}" for side, at in _LIMITS.values()]


def _percents(events: EventProbabilities) -> list[str]:
    return [f"{100 * getattr(events, name):.0f} %" for name in _LIMITS]
