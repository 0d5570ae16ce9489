import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from selenium.webdriver import Chrome

from hybridtwin.record_files import save_record
from hybridtwin.virtual.clinic import clinic as virtual_clinic
from tests.serving.chromium import chromium
from tests.serving.postgres import Cluster, cluster
from tests.serving.server import serving

NOW = datetime(2026, 1, 31, 20, 30, tzinfo=UTC)
STALE = "virtual-adult-09"
Question = Callable[..., dict[str, Any]]


def _question(days: float = 1.0, unit: str = "mg/dL", **changes: Any) -> dict[str, Any]:
    """A good question: a calm day with pump basal, boluses and meals; `changes` on top."""
    count = round(days * 288)
    scale = 18.0156 if unit == "mmol/L" else 1
    readings = [
        {
            "time": (NOW - timedelta(minutes=5 * back)).isoformat(),
            "value": round((140 + 25 * math.sin(back / 20)) / scale, 3),
        }
        for back in reversed(range(count))
    ]
    begin = NOW - timedelta(minutes=5 * (count - 1))
    basal = [
        {
            "time": (begin + timedelta(hours=hour)).isoformat(),
            "purpose": "basal",
            "dose_u": 0.8,
            "duration_min": 60,
        }
        for hour in range(round(24 * days))
    ]
    bolus = {"time": (NOW - timedelta(hours=3)).isoformat(), "dose_u": 4}
    meal = {"time": (NOW - timedelta(hours=3)).isoformat(), "carbs_g": 45}
    return {
        "units": {"glucose": unit},
        "profile": {"participant": "p1", "time_zone": "Europe/Berlin", "weight_kg": 70},
        "glucose": readings,
        "insulin": sorted([*basal, bolus], key=lambda dose: str(dose["time"])),
        "meals": [meal],
        "now": NOW.isoformat(),
        "horizon_min": 120,
    } | changes


@pytest.fixture(scope="session")
def question() -> Question:
    return _question


@pytest.fixture(scope="session")
def now() -> datetime:
    return NOW


@pytest.fixture(scope="session")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four virtual patients, one of whom has a sensor that is three hours behind."""
    home = tmp_path_factory.mktemp("clinic")
    end = pd.Timestamp("2026-01-31 21:30", tz="Europe/Berlin")
    for person in virtual_clinic(end, count=4, days=3):
        record = person.record
        if record.profile.participant == STALE:
            known = record.glucose["time"] <= end - pd.Timedelta(hours=3)
            record = replace(record, glucose=record.glucose[known])
        save_record(record, home / "records")
    return home


@pytest.fixture(scope="session")
def stale() -> str:
    return STALE


@pytest.fixture(scope="session")
def url(clinic: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("log") / "server.log"
    thresholds = {"HYBRIDTWIN_LIKELY_LOW": "0.5", "HYBRIDTWIN_WATCH": "0.2"}
    with serving(log, "--clinic", str(clinic), **thresholds) as found:
        yield found


@pytest.fixture(scope="session")
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=60) as found:
        yield found


@pytest.fixture(scope="session")
def tonight(client: httpx.Client) -> dict[str, Any]:
    """Tonight's list, once the review is done."""
    deadline = time.monotonic() + 120
    while (response := client.get("/v1/tonight")).status_code == 503:
        assert response.json()["code"] == "not-ready"
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    with cluster() as found:
        yield found


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    found: Cluster = request.getfixturevalue("postgres")
    return found.empty_database()
