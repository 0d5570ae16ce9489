"""The commands of everybody: forecast, scenario, clinic, body."""

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from matplotlib.figure import Figure
from rich.console import Console

from hybridtwin import tables
from hybridtwin.ask import AS_USUAL, read_person, read_plan, read_time
from hybridtwin.assimilation.hindcasts import kept_current
from hybridtwin.belief import Belief
from hybridtwin.errors import TwinError
from hybridtwin.forecast import ForecastReport
from hybridtwin.physiology import describe
from hybridtwin.plots import comparison_chart, fan_chart
from hybridtwin.record import Record
from hybridtwin.record_files import save_record
from hybridtwin.registry import load_twin
from hybridtwin.scenario import compare
from hybridtwin.twin import Twin
from hybridtwin.units import GlucoseUnit
from hybridtwin.virtual.clinic import RECIPE_FILE, Recipe
from hybridtwin.virtual.clinic import clinic as virtual_clinic
from hybridtwin.virtual.life import TIME_ZONE as CLINIC_TIME_ZONE

RECORDS_FOLDER = "records"
CLOCK = "%a %d %b %H:%M"

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
    twin, belief = _believe(load_twin(model), record, now)
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
    twin, belief = _believe(load_twin(model), record, now)
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
    said = f"{count} records in {home}, up to {until:{CLOCK} %Z}"
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
        f"{report.participant}: {read} at {report.last_reading_time:{CLOCK} %Z}.\n"
        f"Now: {report.issued:{CLOCK} %Z} ({said}).",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )


def _say_trust(console: Console, report: ForecastReport) -> None:
    notes = [f"  {note.kind}: {note.text}" for note in report.trust.notes]
    lines = [f"Trust: {report.trust.level}", *notes]
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def _believe(twin: Twin, record: Record, now: str | None) -> tuple[Twin, Belief]:
    """The twin as its person's days until now have it, and what it holds true."""
    moment = read_time(now, "--now") if now else None
    twin = kept_current(twin, record if moment is None else record.before(moment))
    return twin, twin.believe(record, moment)


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
