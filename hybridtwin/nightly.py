"""Nightly: tonight's risk of a low of everybody in a folder, as a command."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
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
from hybridtwin.record import Record
from hybridtwin.record_files import load_record, record_folders
from hybridtwin.registry import load_twin
from hybridtwin.review.kept import Kept
from hybridtwin.review.review import NightReview, NightRisk, by_attention, refusal, review_night
from hybridtwin.review.settings import ReviewSettings
from hybridtwin.twin import Twin
from hybridtwin.units import GlucoseUnit

_MANY = 50
"""So many people are worth the seconds that machine code takes to be made."""


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
    records, reviews = _read_all(record_folders(folder))
    evening = read_time(now, "--now") if now else _newest(records)
    population = load_twin(model)
    kept = resume and Kept(resume, evening, population.config.version, settings)
    finished = kept.reviews() if kept else {}
    reviews += [finished[name] for one in records if (name := one.profile.participant) in finished]
    records = [record for record in records if record.profile.participant not in finished]
    steps = native_walk() if len(records) >= _MANY else walk
    progress = Console(stderr=True)

    def known() -> Iterator[tuple[Record, Twin]]:
        for record in records:
            try:
                twin = replace(_twin_of(record, population, twins), walk=steps)
            except ModelError as error:
                reviews.append(refusal(record.profile.participant, str(error)))
            else:
                yield record, twin

    for _, review in track(
        for_each(partial(_review, evening=evening, settings=settings), known()),
        "Forecasting",
        total=len(records),
        console=progress,
        transient=True,
        disable=not progress.is_terminal,
    ):
        reviews.append(review)
        if kept:
            kept.add(review)
    risks = [review.risk.in_unit(unit) for review in by_attention(reviews)]
    _say_night(risks, evening, now, unit)
    lines = [risk.model_dump(mode="json") for risk in risks]
    content = {"now": evening.isoformat(), "unit": unit, "participants": lines}
    write(json_file, json.dumps(content, indent=2))
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
    console.print(tables.night(risks, unit))
    suggested = tables.suggestions(risks, unit)
    if suggested.row_count:
        console.print(suggested)


def _read_all(homes: Sequence[Path]) -> tuple[list[Record], list[NightReview]]:
    """The readable records, and a refusal for each of the others."""
    records, refused = [], []
    for home in homes:
        try:
            records.append(load_record(home))
        except RecordError as error:
            refused.append(refusal(home.name, str(error)))
    return records, refused


def _newest(records: Sequence[Record]) -> pd.Timestamp:
    times = [record.glucose["time"].iloc[-1] for record in records if len(record.glucose)]
    return max(times, default=pd.Timestamp.now("UTC"))


def _twin_of(record: Record, population: Twin, twins: Path | None) -> Twin:
    own = None if twins is None else twins / record.profile.participant
    return load_twin(own) if own is not None and own.is_dir() else population


def _review(
    known: tuple[Record, Twin], evening: pd.Timestamp, settings: ReviewSettings
) -> NightReview:
    record, twin = known
    if settings.keep_current:
        twin = kept_current(twin, record.before(evening))
    return review_night(twin, record, evening, settings)
