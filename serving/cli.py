"""`hybridtwin serve`: the service and tonight's list, on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from hybridtwin.record_files import record_folders
from serving.demo.cli import demo
from serving.running import check_port, run
from serving.store.cli import commands as database_commands


def register(app: typer.Typer) -> None:
    """Add the commands of this package."""
    app.command(
        epilog="Example: hybridtwin serve --clinic demo\n\n"
        "Everything else is a variable HYBRIDTWIN_<NAME>: see serving/settings.py.",
    )(serve)
    app.command(
        epilog="Example: hybridtwin clinic --out demo && hybridtwin demo demo --speed 60",
    )(demo)
    app.add_typer(database_commands, name="database")


def serve(
    clinic: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder with records/ and, if any, twins/."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="SOURCE", help="A twin's folder, or models:/NAME@ALIAS."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 is all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 3000,
    now: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="The evening of the review, ISO 8601 with a zone; the latest reading if absent.",
        ),
    ] = None,
) -> None:
    """Serve forecasts, scenarios and tonight's list until Ctrl-C."""
    check_port(host, port)
    from hybridtwin.ask import read_time
    from serving.settings import from_environment

    settings = from_environment()
    settings = settings.model_copy(
        update={
            "model": model or settings.model,
            "clinic": clinic or settings.clinic,
            "now": read_time(now, "--now").to_pydatetime() if now else settings.now,
        }
    )
    if settings.clinic is not None:
        record_folders(settings.clinic / "records")
    url = f"http://{host}:{port}"
    ready = f"Ready: open {url}/ for tonight's list; the API is in {url}/openapi.json."
    run("serving.service:HybridTwin", settings, host, port, ready)
