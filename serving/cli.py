"""`hybridtwin serve`: the service and tonight's list, on this machine."""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Annotated, Final
from urllib.error import URLError
from urllib.request import urlopen

import typer

from hybridtwin.errors import TwinError
from hybridtwin.record_files import record_folders
from serving.store.cli import commands as database_commands

_PATIENCE_S: Final = 120
_BETWEEN_LOOKS_S: Final = 0.5


def register(app: typer.Typer) -> None:
    """Add the commands of this package."""
    app.command(
        epilog="Example: hybridtwin serve --clinic demo\n\n"
        "Everything else is a variable HYBRIDTWIN_<NAME>: see serving/settings.py.",
    )(serve)
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
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")  # patients' machines send no statistics
    _check_port(host, port)
    from hybridtwin.ask import read_time
    from hybridtwin.registry import load_twin  # slow to import, as is BentoML
    from serving.settings import from_environment
    from serving.v1.store import open_store

    settings = from_environment()
    settings = settings.model_copy(
        update={
            "model": model or settings.model,
            "clinic": clinic or settings.clinic,
            "now": read_time(now, "--now").to_pydatetime() if now else settings.now,
        }
    )
    load_twin(settings.model)  # fail here with plain words, not later in a worker
    if settings.database is not None:
        open_store(settings).database.close()
    if settings.clinic is not None:
        record_folders(settings.clinic / "records")
    os.environ.update(settings.as_environment())

    Thread(target=_announce, args=(f"http://{host}:{port}", typer.echo), daemon=True).start()
    with TemporaryDirectory(prefix="hybridtwin-") as home:
        os.environ["BENTOML_HOME"] = home  # or two services here would empty each other's figures
        import bentoml

        bentoml.serve(
            "serving.service:HybridTwin",
            host=host,
            port=port,
            working_dir=os.getcwd(),
            blocking=True,
        )
    typer.echo("Stopped.")


def _check_port(host: str, port: int) -> None:
    try:
        with socket.create_server((host, port)):
            pass
    except OSError as error:
        raise TwinError.of(
            f"{host}:{port}",
            f"cannot be listened on ({os.strerror(error.errno or 0)})",
            "Choose another --port.",
        ) from error


def _announce(url: str, say: Callable[[str], None]) -> None:
    """Say where to look as soon as there is something to see."""
    for _ in range(int(_PATIENCE_S / _BETWEEN_LOOKS_S)):
        try:
            with urlopen(f"{url}/readyz", timeout=5):  # noqa: S310
                say(f"Ready: open {url}/ for tonight's list; the API is in {url}/openapi.json.")
                return
        except (URLError, TimeoutError):
            time.sleep(_BETWEEN_LOOKS_S)
