"""The command line: `hybridtwin COMMAND`."""

import json
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from hybridtwin import commands, importers, look_back, nightly, replay
from hybridtwin.errors import TwinError
from hybridtwin.record import Provenance
from hybridtwin.record_files import save_record

COMMAND_GROUP = "hybridtwin.commands"
"""Entry points of this group are functions that add commands to the app they are given."""
REPORT_FILE = "import-report.json"

app = typer.Typer(
    name="hybridtwin",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
_FORMATS = "\n\n".join(
    f"{importer.name}: {importer.summary}." for importer in importers.IMPORTERS.values()
)


@app.callback()
def _commands() -> None:
    """A digital twin for diabetes: forecasts of glucose, and answers to what-if.

    Decision support for research, not a certified medical device: no dose is changed on its word.
    """


@app.command(
    "import",
    epilog=f"Formats:\n\n{_FORMATS}\n\nExample: hybridtwin import azt1d data/azt1d --out records",
)
def import_(
    format: Annotated[  # noqa: A002
        str, typer.Argument(metavar="FORMAT", help="What the files are; auto finds out.")
    ],
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A file or folder of that format.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Where the records go, a folder each.")
    ],
    participant: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Keep only this participant; may be repeated."),
    ] = None,
) -> None:
    """Turn files as people have them into records, and say what was mended on the way."""
    console = Console()
    wanted = set(participant or [])
    report: dict[str, Provenance] = {}
    without_glucose = []
    kept = 0
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(f"Reading {path}", total=None)
        for record in importers.read(path, None if format == "auto" else format):
            name = record.profile.participant
            if wanted and name not in wanted:
                continue
            kept += 1
            progress.update(task, description=f"{name} ({kept} read)")
            if record.glucose.empty:
                without_glucose.append(name)
            else:
                save_record(record, out)
            report[name] = record.provenance
    _refuse_unknown(wanted - set(report), path)
    _refuse_empty(report, without_glucose, path)
    _write_report(report, without_glucose, out)
    _show_report(report, without_glucose, console)
    console.print(f"{len(report) - len(without_glucose)} records in {out}")


commands.register(app)
nightly.register(app)
replay.register(app)
look_back.register(app)


def _refuse_unknown(names: set[str], path: Path) -> None:
    if names:
        raise TwinError.of(
            str(path),
            f"holds no participant {', '.join(sorted(names))}",
            "Leave out --participant to see who is there.",
        )


def _refuse_empty(report: dict[str, Provenance], without_glucose: list[str], path: Path) -> None:
    if len(report) == len(without_glucose):
        raise TwinError.of(
            str(path), "holds nobody's glucose", "Give the folder that also has the glucose files."
        )


def _write_report(report: dict[str, Provenance], without_glucose: list[str], out: Path) -> None:
    content = {
        name: {"saved": name not in without_glucose, **provenance.model_dump()}
        for name, provenance in report.items()
    }
    (out / REPORT_FILE).write_text(json.dumps(content, indent=2) + "\n")


def _show_report(
    report: dict[str, Provenance], without_glucose: list[str], console: Console
) -> None:
    shown = Table("participant", "", "what", "rows", "why", title="Import report")
    for name, provenance in report.items():
        label = name
        if name in without_glucose:
            shown.add_row(label, "skipped", "participant", "", "no glucose: nothing was saved")
            label = ""
        for note in provenance.notes:
            shown.add_row(label, note.action, note.what, f"{note.count:,}", note.why)
            label = ""
        shown.add_section()
    console.print(shown)


def _load(entry: EntryPoint) -> Callable[[typer.Typer], None]:
    try:
        register: Callable[[typer.Typer], None] = entry.load()
    except (ImportError, AttributeError) as error:
        raise TwinError.of(
            f"the commands of {entry.name}", f"cannot be loaded ({error})", "Install them again."
        ) from error
    return register


def main() -> None:
    """Entry point: every installed command, and deliberate errors as plain words."""
    try:
        for entry in entry_points(group=COMMAND_GROUP):
            _load(entry)(app)
        app()
    except TwinError as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
