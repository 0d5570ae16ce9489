"""Nightly: tonight's risk of a low of everybody in a folder, as a command."""

import functools
import gc
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import pandas as pd
import torch
import typer
from pydantic_core import to_json
from rich.console import Console
from rich.progress import track

from hybridtwin import tables
from hybridtwin.ask import read_time
from hybridtwin.assimilation.hindcasts import kept_current
from hybridtwin.commands import CLOCK, Json, Model, Unit, write
from hybridtwin.config import read_config
from hybridtwin.dynamics import walk
from hybridtwin.errors import ModelError, RecordError
from hybridtwin.native import native_walk
from hybridtwin.panel import for_each
from hybridtwin.record_files import last_reading, load_record, record_folders
from hybridtwin.registry import load_twin, twin_folder
from hybridtwin.review.kept import Kept
from hybridtwin.review.review import NightReview, NightRisk, by_attention, refusal, review_night
from hybridtwin.review.settings import ReviewSettings
from hybridtwin.twin import Twin
from hybridtwin.units import GlucoseUnit

_MANY = 50
"""So many people are worth the seconds that machine code takes to be made."""
_SHOWN = 200
"""So many people's nights are listed on a terminal."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog="Example: hybridtwin nightly demo/records --twins demo/twins --csv tonight.csv"
    )(nightly)


def nightly(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Holds the records.")],
    twins: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Personal twins, DIR/PARTICIPANT each; who has none gets --model's.",
        ),
    ] = None,
    model: Model = None,
    now: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="The evening, ISO 8601 with a zone. Without it, the newest reading of all.",
        ),
    ] = None,
    unit: Unit = "mg/dL",
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Settings, such as configs/review.yaml.")
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Keep every finished patient here; asked again, only the others are reviewed.",
        ),
    ] = None,
    json_file: Json = None,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write the list here, as CSV.")
    ] = None,
) -> None:
    """List tonight's risk of a low (00:00 to 06:00), those first who need attention."""
    if twins is not None and not twins.is_dir():
        raise ModelError.of(
            str(twins),
            "is no folder of twins",
            "Make them with: hybridtwin personalise --records DIR --out DIR",
        )
    settings = ReviewSettings() if config is None else read_config(config, ReviewSettings)
    homes = record_folders(folder)
    time = read_time(now, "--now") if now else _newest(homes)
    source = twin_folder(model)
    population = load_twin(source)
    kept = resume and Kept(resume, time, population.config.version, settings)
    finished = kept.reviews() if kept else {}
    names = {home: str(home.relative_to(folder)) for home in homes}
    reviews = [finished[name] for name in names.values() if name in finished]
    left = [home for home, name in names.items() if name not in finished]
    many = len(left) >= _MANY
    progress = Console(stderr=True)
    for home, review in track(
        for_each(
            partial(_review, _Evening(time, settings, source, twins, many)),
            left,
            processes=torch.get_num_threads() if many else 1,
        ),
        "Forecasting",
        total=len(left),
        console=progress,
        transient=True,
        disable=not progress.is_terminal,
    ):
        reviews.append(review)
        if kept and review.risk.status == "forecast":  # what keeps the others may be mended yet
            kept.add(names[home], review)
    risks = [review.risk.in_unit(unit) for review in by_attention(reviews)]
    _say_night(risks, time, now, unit)
    content = {"now": time.isoformat(), "unit": unit, "participants": risks}
    write(json_file, to_json(content, indent=2).decode())
    write(csv_file, tables.night_csv(risks, unit))


def _say_night(
    risks: Sequence[NightRisk], evening: pd.Timestamp, now: str | None, unit: GlucoseUnit
) -> None:
    refused = [risk for risk in risks if risk.status == "refused"]
    said = "as asked" if now else "the newest reading of all; --now changes it"
    lines = [f"Now: {evening:{CLOCK} %Z} ({said})."]
    if refused:
        lines.append(
            f"No forecast for {len(refused)} of {len(risks)}, which does not mean that they are "
            "safe:"
        )
        lines += [f"  {risk.participant}: {risk.reason}" for risk in refused]
    console = Console()
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)
    forecast = [risk for risk in risks if risk.status == "forecast"]
    first = forecast[:_SHOWN]
    console.print(tables.night(first, unit))
    if len(forecast) > _SHOWN:
        others = f"And {len(forecast) - _SHOWN:,} less likely to be low: see --csv or --json."
        console.print(others, highlight=False)
    suggested = tables.suggestions(first, unit)
    if suggested.row_count:
        console.print(suggested)


def _newest(homes: Sequence[Path]) -> pd.Timestamp:
    times = [time for home in homes if (time := last_reading(home)) is not None]
    return max(times, default=pd.Timestamp.now("UTC"))


@dataclass(frozen=True)
class _Evening:
    """What is asked of everybody.

    Attributes:
        time: From which the night is looked at.
        settings: Of the review.
        model: The folder of the population twin.
        twins: The folder of the personal ones.
        many: Whether so many are asked that machine code is worth its making.
    """

    time: pd.Timestamp
    settings: ReviewSettings
    model: Path
    twins: Path | None
    many: bool


def _review(evening: _Evening, home: Path) -> NightReview:
    try:
        record = load_record(home)
        twin = _twin_of(record.profile.participant, evening)
    except (RecordError, ModelError) as error:
        return refusal(home.name, str(error))
    if evening.settings.keep_current:
        twin = kept_current(twin, record.before(evening.time))
    return NightReview(review_night(twin, record, evening.time, evening.settings).risk)


def _twin_of(participant: str, evening: _Evening) -> Twin:
    own = None if evening.twins is None else evening.twins / participant
    found = load_twin(own) if own is not None and own.is_dir() else _population(evening.model)
    return replace(found, walk=native_walk() if evening.many else walk)


@functools.cache
def _population(model: Path) -> Twin:
    """Read once in each process, which need not look through it again for what can be forgotten."""
    found = load_twin(model)
    gc.collect()
    gc.freeze()
    return found
