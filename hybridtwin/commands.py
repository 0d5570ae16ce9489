"""The commands of everybody: forecast, scenario, nightly, clinic, body."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import track

from hybridtwin import tables
from hybridtwin.ask import AS_USUAL, read_person, read_plan, read_time
from hybridtwin.config import read_config
from hybridtwin.dynamics import walk
from hybridtwin.errors import ModelError, RecordError, TwinError
from hybridtwin.forecast import ForecastReport
from hybridtwin.native import native_walk
from hybridtwin.panel import for_each
from hybridtwin.physiology import describe
from hybridtwin.plots import comparison_chart, fan_chart
from hybridtwin.record import Record
from hybridtwin.record_files import load_record, record_folders, save_record
from hybridtwin.registry import load_twin
from hybridtwin.review.kept import Kept
from hybridtwin.review.review import NightReview, NightRisk, by_attention, refusal, review_night
from hybridtwin.review.settings import ReviewSettings
from hybridtwin.scenario import compare
from hybridtwin.twin import Twin
from hybridtwin.units import GlucoseUnit
from hybridtwin.virtual.clinic import RECIPE_FILE, Recipe
from hybridtwin.virtual.clinic import clinic as virtual_clinic
from hybridtwin.virtual.life import TIME_ZONE as CLINIC_TIME_ZONE

RECORDS_FOLDER = "records"
_CLOCK = "%a %d %b %H:%M"
_MANY = 50
"""So many people are worth the seconds that machine code takes to be made."""

Source = Annotated[
    Path,
    typer.Argument(
        metavar="SOURCE",
        help="A record folder, a folder of them, or an export that hybridtwin import knows.",
    ),
]
Participant = Annotated[
    str | None, typer.Option(metavar="ID", help="Whose, where SOURCE holds several people.")
]
Model = Annotated[
    str | None,
    typer.Option(
        metavar="TWIN",
        help="A twin's folder or models:/NAME@ALIAS. Without it, the population twin in the box.",
    ),
]
Now = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="The present, ISO 8601 with a zone; later data are not looked at. "
        "Without it, the time of the last reading.",
    ),
]
HorizonMin = Annotated[
    int, typer.Option(metavar="MINUTES", help="From the last reading, 5 to 720 minutes.")
]
Unit = Annotated[GlucoseUnit, typer.Option(help="Of every glucose value shown or written.")]
Json = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Write the result here, as JSON.")
]
Png = Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the result here, as PNG.")]
_PLAN_HELP = (
    "What will be done: a JSON file, or events such as 'bolus 3 at 18:30; carbs 40 at +15min', "
    "'basal 0.4 for 90 min now', 'basal 14 glargine_u100 at 22:00', "
    "'exercise 45 min vigorous at +1h' or 'glucagon 150 ug now'. Doses in U (rates in U/h), "
    "glucagon in micrograms, carbs in g, local times; the README lists all forms."
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        epilog="Example: hybridtwin forecast demo/records --participant virtual-adult-04 "
        "--plan 'carbs 40 at +15min' --png forecast.png"
    )(forecast)
    app.command(
        epilog="Example: hybridtwin scenario demo/records --participant virtual-adult-04 "
        "--plan 'bolus 3 now' --plan 'bolus 3 now; carbs 40 at +15min' --png plans.png"
    )(scenario)
    app.command(
        epilog="Example: hybridtwin nightly demo/records --twins demo/twins --csv tonight.csv"
    )(nightly)
    app.command(epilog="Example: hybridtwin clinic --out demo")(clinic)
    app.command(epilog="Example: hybridtwin body --out BODY.md")(body)


def forecast(
    source: Source,
    participant: Participant = None,
    model: Model = None,
    plan: Annotated[str, typer.Option(metavar="PLAN", help=_PLAN_HELP)] = AS_USUAL,
    now: Now = None,
    horizon_min: HorizonMin = 240,
    unit: Unit = "mg/dL",
    json_file: Json = None,
    png: Png = None,
) -> None:
    """Forecast one person's glucose, and say how far to trust it."""
    record = read_person(source, participant)
    twin = load_twin(model)
    belief = twin.believe(record, read_time(now, "--now") if now else None)
    wanted = read_plan(plan, belief.now, record.profile.time_zone)
    found = twin.forecast(belief, wanted, horizon_min)
    report = found.report(unit)
    console = Console()
    _say_start(console, report, now)
    console.print(tables.trajectories([report]))
    console.print(tables.events([report]))
    _say_trust(console, report)
    write(json_file, report.model_dump_json(indent=2))
    if png is not None:
        draw(png, fan_chart(found, record, unit, plan=wanted))


def scenario(
    source: Source,
    plan: Annotated[list[str], typer.Option(metavar="PLAN", help=f"{_PLAN_HELP} May be repeated.")],
    against: Annotated[
        str, typer.Option(metavar="PLAN", help="The plan that the others are compared with.")
    ] = AS_USUAL,
    participant: Participant = None,
    model: Model = None,
    now: Now = None,
    horizon_min: HorizonMin = 240,
    unit: Unit = "mg/dL",
    json_file: Json = None,
    png: Png = None,
) -> None:
    """Compare what would happen under several plans, from the same moment."""
    record = read_person(source, participant)
    twin = load_twin(model)
    belief = twin.believe(record, read_time(now, "--now") if now else None)
    plans = [read_plan(text, belief.now, record.profile.time_zone) for text in (against, *plan)]
    found = compare(twin, belief, plans, horizon_min)
    report = found.report(unit)
    console = Console()
    _say_start(console, report.forecasts[0], now)
    console.print(tables.trajectories(report.forecasts))
    console.print(tables.events(report.forecasts))
    console.print(tables.differences(report))
    _say_trust(console, report.forecasts[0])
    write(json_file, report.model_dump_json(indent=2))
    if png is not None:
        draw(png, comparison_chart(found, record, unit))


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


def clinic(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="The records go to DIR/records, a folder each.")
    ],
    count: Annotated[int, typer.Option(min=1, metavar="PEOPLE", help="How many people.")] = 12,
    days: Annotated[float, typer.Option(min=1, metavar="DAYS", help="Length of a record.")] = 14,
    seed: Annotated[int, typer.Option(min=0, help="Fixes all that is left to chance.")] = 1,
    end: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="When the records end, ISO 8601 with a zone. Without it, 21:30 today in Berlin.",
        ),
    ] = None,
) -> None:
    """Make a demonstration clinic: virtual people on the evening before a night."""
    today = pd.Timestamp.now(CLINIC_TIME_ZONE).normalize()
    until = read_time(end, "--end") if end else today + pd.DateOffset(hours=21, minutes=30)
    console = Console()
    with console.status(f"{count} virtual people live for {days:g} days"):
        people = virtual_clinic(until, count, days, seed)
    home = out / RECORDS_FOLDER
    for person in people:
        save_record(person.record, home)
    recipe = Recipe(end=until.to_pydatetime(), count=count, days=days, seed=seed)
    write(out / RECIPE_FILE, recipe.model_dump_json(indent=2))
    said = f"{count} records in {home}, up to {until:{_CLOCK} %Z}"
    console.print(said, highlight=False, markup=False, soft_wrap=True)


def body(
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it here instead of showing it.")
    ] = None,
) -> None:
    """Describe the body, in Markdown: its parameters, covariates and compartments."""
    if out is None:
        typer.echo(describe.page())
    write(out, describe.page())


def _say_start(console: Console, report: ForecastReport, now: str | None) -> None:
    said = "as asked" if now else "the last reading's time; --now changes it"
    read = f"{tables.glucose(report.last_reading, report.unit)} {report.unit}"
    console.print(
        f"{report.participant}: {read} at {report.last_reading_time:{_CLOCK} %Z}.\n"
        f"Now: {report.issued:{_CLOCK} %Z} ({said}).",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _say_trust(console: Console, report: ForecastReport) -> None:
    notes = [f"  {note.kind}: {note.text}" for note in report.trust.notes]
    lines = [f"Trust: {report.trust.level}", *notes]
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def _say_night(
    risks: Sequence[NightRisk], evening: pd.Timestamp, now: str | None, unit: GlucoseUnit
) -> None:
    refused = [risk for risk in risks if risk.status == "refused"]
    said = "as asked" if now else "the newest reading of all; --now changes it"
    lines = [f"Now: {evening:{_CLOCK} %Z} ({said})."]
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
    return review_night(twin, record, evening, settings)


def write(path: Path | None, text: str) -> None:
    """Write a text to a file, where one was named.

    Raises:
        TwinError: It cannot be written there.
    """
    if path is None:
        return
    try:
        path.write_text(text.rstrip("\n") + "\n")
    except OSError as error:
        raise _unwritable(path, error) from error


def draw(path: Path, figure: Figure) -> None:
    """Write a figure as PNG.

    Raises:
        TwinError: It cannot be written there.
    """
    try:
        figure.savefig(path, format="png")
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> TwinError:
    return TwinError.of(
        str(path), f"cannot be written ({error.strerror})", "Name a file in a folder that exists."
    )
