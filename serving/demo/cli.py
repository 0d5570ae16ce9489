"""`hybridtwin demo`: a virtual clinic whose people go on living, on this machine."""

from pathlib import Path
from typing import Annotated

import typer


def demo(
    home: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder that `hybridtwin clinic --out DIR` made.")
    ],
    port: Annotated[
        int, typer.Option(min=1, max=65534, help="Port to listen on; the next one signs people in.")
    ] = 3000,
    speed: Annotated[
        float, typer.Option(min=1, max=720, help="How many of their minutes pass in one of ours.")
    ] = 1.0,
) -> None:
    """Show the panel of a clinic whose virtual people live on, until Ctrl-C.

    Their time begins on the evening on which their records end, and stands still while nobody runs
    this.
    """
    from serving.demo.showing import show  # slow to import

    show(home, port, speed)
