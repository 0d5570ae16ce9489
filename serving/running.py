"""A service on this machine, from its start until Ctrl-C."""

import os
import socket
import time
from tempfile import TemporaryDirectory
from threading import Thread
from typing import TYPE_CHECKING, Final
from urllib.error import URLError
from urllib.request import urlopen

import typer

from hybridtwin.errors import TwinError

if TYPE_CHECKING:
    from serving.settings import Settings

_PATIENCE_S: Final = 120
_BETWEEN_LOOKS_S: Final = 0.5


def run(service: str, settings: "Settings", host: str, port: int, ready: str) -> None:
    """Run a service until Ctrl-C.

    Args:
        service: Where BentoML finds it.
        settings: Its own.
        host: Address to listen on.
        port: Port to listen on.
        ready: What to say once there is something to see.

    Raises:
        TwinError: It could not work like this.
    """
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")  # patients' machines send no statistics
    from hybridtwin.registry import load_twin  # slow to import, as is BentoML
    from serving.v1.store import open_store

    load_twin(settings.model)  # fail here with plain words, not later in a worker
    if settings.database is not None:
        open_store(settings).database.close()
    os.environ.update(settings.as_environment())

    Thread(target=_announce, args=(f"http://{host}:{port}", ready), daemon=True).start()
    with TemporaryDirectory(prefix="hybridtwin-") as home:
        os.environ["BENTOML_HOME"] = home  # or two services here would empty each other's figures
        import bentoml

        bentoml.serve(service, host=host, port=port, working_dir=os.getcwd(), blocking=True)
    typer.echo("Stopped.")


def check_port(host: str, port: int) -> None:
    """Find out before anything is begun that a port is taken.

    Raises:
        TwinError: Nobody can listen there.
    """
    try:
        with socket.create_server((host, port)):
            pass
    except OSError as error:
        raise TwinError.of(
            f"{host}:{port}",
            f"cannot be listened on ({os.strerror(error.errno or 0)})",
            "Choose another --port.",
        ) from error


def _announce(url: str, ready: str) -> None:
    """Say where to look as soon as there is something to see."""
    for _ in range(int(_PATIENCE_S / _BETWEEN_LOOKS_S)):
        try:
            with urlopen(f"{url}/readyz", timeout=5):  # noqa: S310
                typer.echo(ready)
                return
        except (URLError, TimeoutError):
            time.sleep(_BETWEEN_LOOKS_S)
