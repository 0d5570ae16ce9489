"""The real server, started as people start it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

HYBRIDTWIN = str(Path(sys.executable).with_name("hybridtwin"))
ENVIRONMENT = {
    "HYBRIDTWIN_COMPILED": "false",  # answers are the same; the compiler would compete
    "OMP_NUM_THREADS": "1",
}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


@contextmanager
def serving(log: Path, *options: str, **environment: str) -> Iterator[str]:
    """Its address; it has to stop without a word about a failure."""
    port = free_port()
    command = [HYBRIDTWIN, "serve", "--port", str(port), *options]
    known_as = {"HYBRIDTWIN_PUBLIC_URL": f"http://localhost:{port}"}
    variables: Mapping[str, str] = os.environ | ENVIRONMENT | known_as | environment
    with (
        log.open("wb") as out,
        subprocess.Popen(command, stdout=out, stderr=out, env=variables) as server,
    ):
        try:
            _wait(lambda: "Ready:" in log.read_text(), server, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(60)
    said = log.read_text()
    assert server.returncode == 0, said
    assert "Traceback" not in said
    assert " failed: " not in said


def _wait(ready: Callable[[], bool], server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
    while not ready():
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)
