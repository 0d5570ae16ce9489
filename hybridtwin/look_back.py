"""The commands that look back: agp."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from hybridtwin.ask import read_person, read_time
from hybridtwin.commands import Now, Participant, Source, Unit, draw
from hybridtwin.plot_agp import agp_chart


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        epilog="Example: hybridtwin agp demo/records --participant virtual-adult-04 --out agp.png"
    )(agp)


def agp(
    source: Source,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the picture goes, as PNG.")],
    participant: Participant = None,
    now: Now = None,
    unit: Unit = "mg/dL",
) -> None:
    """Draw the ambulatory glucose profile of the last fourteen days, with its figures."""
    record = read_person(source, participant)
    end = read_time(now, "--now") if now else None
    draw(out, agp_chart(record, end, unit))
    Console().print(f"Picture in {out}", highlight=False, markup=False, soft_wrap=True)
