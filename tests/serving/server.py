"""The real server, started as people start it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

HYBRIDTWIN = str(Path(sys.executable).with_name("hybridtwin"))
STACK_CHARS = 4000
PATIENCE_S = 300  # a busy machine takes its time
ENVIRONMENT = {
    "HYBRIDTWIN_COMPILED": "false",  # answers are the same; the compiler would compete
    "OMP_NUM_THREADS": "1",
}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def start(log: Path, port: int, *options: str, **environment: str) -> subprocess.Popen[bytes]:
    """The server, before it is ready."""
    command = [HYBRIDTWIN, "serve", "--port", str(port), *options]
    variables: Mapping[str, str] = os.environ | ENVIRONMENT | environment
    with log.open("wb") as out:
        return subprocess.Popen(command, stdout=out, stderr=out, env=variables)


def wait_until_ready(server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while "Ready:" not in log.read_text():
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)


def kill_workers(server: subprocess.Popen[bytes]) -> None:
    """At once, in the middle of whatever they do; the server starts others by itself."""
    workers = psutil.Process(server.pid).children(recursive=True)
    for worker in workers:
        worker.kill()
    psutil.wait_procs(workers)


@contextmanager
def serving(log: Path, *options: str, **environment: str) -> Iterator[str]:
    """Its address; it has to stop without a word about a failure."""
    port = free_port()
    known_as = {"HYBRIDTWIN_PUBLIC_URL": f"http://localhost:{port}"}
    with start(log, port, *options, **(known_as | environment)) as server:
        try:
            wait_until_ready(server, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(PATIENCE_S)
    said = log.read_text()
    assert server.returncode == 0, said
    assert "Traceback" not in said
    _, failed, where = said.partition(" failed: ")
    assert not failed, where[:STACK_CHARS]
