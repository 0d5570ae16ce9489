"""Replay: a record through time as a stream, with what was believed and forecast along the way."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import torch
import typer
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import Progress

from hybridtwin.ask import read_person
from hybridtwin.assimilation.assimilated import Assimilated, assimilate, day_of
from hybridtwin.assimilation.hindcasts import kept_current
from hybridtwin.assimilation.path import path
from hybridtwin.assimilation.settings import AssimilationSettings, UnloggedSettings
from hybridtwin.assimilation.unlogged import Unlogged, looks, merged
from hybridtwin.commands import Model, Participant, Source, Unit, draw
from hybridtwin.config import read_config
from hybridtwin.errors import HistoryError
from hybridtwin.glycemia.episodes import HIGH_MG_DL, LOW_MG_DL
from hybridtwin.native import native_walk
from hybridtwin.record import Record
from hybridtwin.registry import load_twin
from hybridtwin.sensor_faults.doubt import told
from hybridtwin.sensor_faults.settings import FaultSettings
from hybridtwin.timeline import to_timeline
from hybridtwin.trust import LOOK_BACK_MIN
from hybridtwin.twin import Twin
from hybridtwin.units import GlucoseUnit, from_mg_dl, steps

SENSITIVITY: Final = "sensitivity_of_day"
"""What is drawn as insulin sensitivity."""
AHEAD_MIN: Final = 60
_EVERY: Final = pd.Timedelta(hours=1)
_LOOK_BACK: Final = pd.Timedelta(minutes=LOOK_BACK_MIN)
_BAND: Final = (0.1, 0.5, 0.9)
_INK, _TARGET, _FAN, _PATH, _DOUBT = "#26323f", "#e3f1e6", "#2b6cb0", "#6a3d9a", "#c05621"


@dataclass(frozen=True)
class Moment:
    """What was held true at one moment, and forecast.

    Attributes:
        held: What was held true.
        time: The moment.
        ahead_mg_dl: 10 % quantile, median and 90 % quantile `AHEAD_MIN` later; None where the
            readings were too old for a forecast.
    """

    held: Assimilated
    time: pd.Timestamp
    ahead_mg_dl: tuple[float, ...] | None


def replay(twin: Twin, record: Record, settings: AssimilationSettings) -> Iterator[Moment]:
    """Every hour of a record as it arrives.

    Args:
        twin: The person's, or the population's.
        record: What arrived.
        settings: How it is assimilated.

    Raises:
        HistoryError: The whole record is too little to begin.
    """
    held, last, current, learnt = None, None, twin, ""
    for now in hours(record):
        known = record.before(now)
        arrived = known if last is None else known.since(last)
        try:
            held = assimilate(twin, held, arrived, settings)
        except HistoryError:
            if now >= record.glucose["time"].iloc[-1]:
                raise
            continue
        last = now
        # What forecasts miss is learnt anew every day.
        today = day_of(now, record.profile.time_zone)
        if today != learnt:
            current, learnt = kept_current(twin, known, settings.misses), today
        yield Moment(held, now, _ahead(current, known, now))


def hours(record: Record) -> pd.DatetimeIndex:
    """The moments at which `replay` looks: from six hours after the first reading on."""
    times = record.glucose["time"]
    if times.empty:
        raise HistoryError.of("glucose", "the record holds no readings", "Choose another one.")
    first = min(times.iloc[0] + _LOOK_BACK, times.iloc[-1])
    return pd.date_range(first, times.iloc[-1].ceil("5min"), freq=_EVERY)


def _ahead(twin: Twin, known: Record, now: pd.Timestamp) -> tuple[float, ...] | None:
    try:
        belief = twin.believe(known, now)
    except HistoryError:
        return None
    forecast = twin.forecast(belief, horizon_min=AHEAD_MIN)
    return tuple(forecast.quantiles_mg_dl(_BAND)[:, steps(AHEAD_MIN) - 1].tolist())


def told_along(twin: Twin, record: Record, settings: UnloggedSettings) -> list[Unlogged]:
    """What was probably not logged, as it was told most surely by one of the hours."""
    timeline = to_timeline(record)
    now = torch.tensor([timeline.index(time) for time in hours(record)])
    return merged(looks(twin, record, timeline, now.clamp(max=len(timeline) - 1), settings))


def replay_chart(
    record: Record,
    moments: list[Moment],
    found: pd.DataFrame,
    unit: GlucoseUnit = "mg/dL",
    told: Sequence[Unlogged] = (),
) -> Figure:
    """Readings, what was forecast for their times, and the path of insulin sensitivity.

    Args:
        record: What arrived.
        moments: What `replay` gave.
        found: The path of insulin sensitivity.
        unit: Of the glucose axis.
        told: What was probably not logged.
    """
    figure = Figure(figsize=(9, 5.6), dpi=160, layout="constrained")
    glucose, slow = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    zone = record.profile.time_zone
    _draw_glucose(glucose, record, moments, unit)
    _draw_unlogged(glucose, record, told)
    # A day's row is what was held true as it ended.
    ends = pd.to_datetime(found["date"]) + pd.Timedelta(days=1)
    now = moments[-1].held.time.tz_convert(zone).tz_localize(None)
    days = ends.clip(upper=now)
    slow.fill_between(days, found["low"], found["high"], color=_PATH, alpha=0.18, linewidth=0)
    slow.plot(days, found["median"], "o-", color=_PATH, linewidth=1.8, markersize=3)
    slow.set_ylabel("insulin sensitivity\nrelative to usual", fontsize=9, color=_INK)
    slow.set_ylim(bottom=0)
    slow.set_xlabel(f"local time, {zone}; bands: 80 % of forecasts, 90 % of the sensitivity")
    title = f"{record.profile.participant}: replayed (experimental)"
    figure.suptitle(title, fontsize=11, color=_INK)
    for axes in (glucose, slow):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8, colors=_INK)
    return figure


def _draw_glucose(axes: Axes, record: Record, moments: list[Moment], unit: GlucoseUnit) -> None:
    zone = record.profile.time_zone
    limits = [from_mg_dl(limit, unit) for limit in (LOW_MG_DL, HIGH_MG_DL)]
    axes.axhspan(*limits, color=_TARGET, zorder=0)
    times = record.glucose["time"].dt.tz_convert(zone).dt.tz_localize(None)
    read = [from_mg_dl(value, unit) for value in record.glucose["mg_dl"]]
    axes.plot(times, read, ".", color=_INK, markersize=2, label="readings")
    doubted = told(record, FaultSettings())
    if doubted.any():
        said = "sensor in doubt as it arrived"
        axes.plot(
            times[doubted], np.array(read)[doubted], "x", color=_DOUBT, markersize=4, label=said
        )
    ahead = pd.Timedelta(minutes=AHEAD_MIN)
    at = [
        (moment.held.time + ahead).tz_convert(zone).tz_localize(None)
        for moment in moments
        if moment.ahead_mg_dl is not None
    ]
    bands = [moment.ahead_mg_dl for moment in moments if moment.ahead_mg_dl is not None]
    if bands:
        low, median, high = np.array([[from_mg_dl(v, unit) for v in band] for band in bands]).T
        axes.fill_between(at, low, high, color=_FAN, alpha=0.22, linewidth=0)
        said = f"forecast {AHEAD_MIN} min before"
        axes.plot(at, median, color=_FAN, linewidth=1.3, label=said)
    axes.set_ylabel(f"glucose, {unit}", fontsize=9, color=_INK)
    axes.legend(loc="upper left", fontsize=8, framealpha=0.85, edgecolor="none")


def _draw_unlogged(axes: Axes, record: Record, told: Sequence[Unlogged]) -> None:
    for one in told:
        time = pd.Timestamp(one.time).tz_convert(record.profile.time_zone).tz_localize(None)
        axes.axvline(time, color=_PATH, linewidth=1, linestyle=":")
        axes.annotate(
            f"{told_as(one)}?",
            (time, 1),
            xycoords=("data", "axes fraction"),
            rotation=90,
            va="top",
            ha="right",
            fontsize=6,
            color=_PATH,
        )


def told_as(one: Unlogged) -> str:
    """What and how much: `meal, 45 g (sd 10)`."""
    if one.kind == "site failure":
        return f"{one.kind}, {one.amount:.0%} lost"
    digits = 1 if one.kind == "missed bolus" else 0
    return f"{one.kind}, {one.amount:.{digits}f} {one.unit} (sd {one.amount_sd:.{digits}f})"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "replay",
        epilog="Example: hybridtwin replay demo/records --participant virtual-adult-04 "
        "--days 5 --png replay.png",
    )(_replay)


def _replay(
    source: Source,
    png: Annotated[Path, typer.Option(metavar="FILE", help="Draw the result here, as PNG.")],
    participant: Participant = None,
    model: Model = None,
    days: Annotated[
        float | None, typer.Option(min=0.5, metavar="DAYS", help="Only the record's last days.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="YAML",
            help="How readings are assimilated, see configs/assimilation.yaml. Without it, as "
            "written there.",
        ),
    ] = None,
    unit: Unit = "mg/dL",
) -> None:
    """Run a record through time as a stream, and draw what was believed and forecast.

    Experimental: on virtual people whose sensitivity falls by 30 % the path follows by two thirds
    of it, so a change is larger than it looks. What forecasts of the person miss is learnt anew
    every day, and put right in the forecasts drawn here. What was probably not logged is told as
    it was held likely hour by hour; it is no fact.
    """
    record = read_person(source, participant)
    settings = (
        AssimilationSettings() if config is None else read_config(config, AssimilationSettings)
    )
    if days is not None and not record.glucose.empty:
        record = record.since(record.glucose["time"].iloc[-1] - pd.Timedelta(days=days))
    twin, moments = replace(load_twin(model), walk=native_walk()), []
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("Replaying", total=len(hours(record)))
        for moment in replay(twin, record, settings):
            moments.append(moment)
            progress.update(task, advance=1, description=f"{moment.time:%d %b %H:%M}")
    told = told_along(twin, record, settings.unlogged)
    found = path(moments[-1].held, SENSITIVITY, settings.path_widening)
    first, last = found.iloc[0], found.iloc[-1]
    Console().print(
        f"{record.profile.participant}: {len(moments)} hours replayed. Insulin sensitivity "
        f"(1 is usual): {first['median']:.2f} ({first['low']:.2f} to {first['high']:.2f}) on "
        f"{first['date']}, {last['median']:.2f} ({last['low']:.2f} to {last['high']:.2f}) on "
        f"{last['date']}. Experimental: changes are larger than they look.",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    lines = [
        f"{one.time.astimezone(ZoneInfo(record.profile.time_zone)):%d %b %H:%M}, sd "
        f"{one.time_sd_min:.0f} min: {told_as(one)}, {one.probability:.0%}. {one.evidence}"
        for one in told
    ]
    title = "Probably not logged:" if lines else "Nothing was probably left out of the log."
    Console().print("\n".join([title, *lines]), highlight=False, markup=False, soft_wrap=True)
    draw(png, replay_chart(record, moments, found, unit, told))
