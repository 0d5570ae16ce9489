"""Forecasts over HTTP from a real server, beside a BentoML endpoint that does nothing.

Clients, server and peer share the cores. Throughput is that of as many clients as keep the server
busy; latencies are those at half of it.
"""

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from tests.bench.frame import Row
from tests.bench.peers import ROOT
from tests.serving.server import free_port, serving

CLIENTS = 8
BUSY_S = 20
HALF_LOAD_S = 30
COMPILED_AFTER_S = 60
PATH = "/v1/forecast"
PEER = "an endpoint that does nothing"


def question() -> dict[str, Any]:
    """A day of readings every five minutes, eight hours to look ahead; 200 members are usual."""
    now = datetime.now(UTC)
    glucose = [
        {"time": (now - timedelta(minutes=5 * back)).isoformat(), "value": 120 + back % 40}
        for back in range(288, -1, -1)
    ]
    return {"units": {"glucose": "mg/dL"}, "glucose": glucose, "horizon_min": 480}


def busy(url: str, seconds: float) -> float:
    """Requests a second with all clients asking all the time."""
    end = time.perf_counter() + seconds

    def keep_asking(_: int) -> int:
        asked = 0
        with httpx.Client(base_url=url, timeout=60) as client:
            body = question()
            while time.perf_counter() < end:
                client.post(PATH, json=body).raise_for_status()
                asked += 1
        return asked

    with ThreadPoolExecutor(CLIENTS) as pool:
        return sum(pool.map(keep_asking, range(CLIENTS))) / seconds


def latencies_s(url: str, rate: float, seconds: float) -> list[float]:
    """Of requests that come at a rate, whether the ones before are answered or not."""
    body, begin = question(), time.perf_counter()

    def asked_at(number: int) -> float:
        due = begin + number / rate
        time.sleep(max(0.0, due - time.perf_counter()))
        client.post(PATH, json=body).raise_for_status()
        return time.perf_counter() - due

    with httpx.Client(base_url=url, timeout=60) as client, ThreadPoolExecutor(4 * CLIENTS) as pool:
        return list(pool.map(asked_at, range(int(rate * seconds))))


@contextmanager
def doing_nothing() -> Iterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "bentoml", "serve", "tests.bench.nothing:Nothing"]
    silent = subprocess.DEVNULL
    with subprocess.Popen(
        [*command, "--port", str(port)],
        cwd=ROOT,
        env=os.environ | {"BENTOML_DO_NOT_TRACK": "True"},
        stdout=silent,
        stderr=silent,
    ) as server:
        try:
            _wait(url)
            yield url
        finally:
            server.terminate()


def _wait(url: str) -> None:
    for _ in range(120):
        try:
            if httpx.get(f"{url}/readyz").is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise TimeoutError(url)


def measured(url: str) -> dict[str, float]:
    rate = busy(url, BUSY_S)
    at_half = latencies_s(url, rate / 2, HALF_LOAD_S)
    cut = statistics.quantiles(at_half, n=100)
    return {"forecasts/s": rate, "p50 ms": 1000 * cut[49], "p99 ms": 1000 * cut[98]}


def rows() -> list[Row]:
    with doing_nothing() as url:
        peer = measured(url)
    with TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        workers = str(os.cpu_count())
        with serving(log, HYBRIDTWIN_COMPILED="true", HYBRIDTWIN_WORKERS=workers) as url:
            busy(url, COMPILED_AFTER_S)
            ours = measured(url)
    return [
        Row(
            name=f"service, 8 h of 200 members, {name}",
            value=ours[name],
            unit=name.split()[-1],
            peer=PEER,
            peer_value=peer[name],
            less_is_better=name.endswith("ms"),
        )
        for name in ours
    ]
