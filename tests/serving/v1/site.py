"""A service with a store, and the people who come to it."""

import base64
import json
import math
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pandas as pd

from hybridtwin.record_files import save_record
from hybridtwin.virtual.clinic import clinic as virtual_clinic
from serving.store import api_keys
from serving.store.database import open_database
from serving.v1.access import subject_of
from tests.serving.access.issuer import AUDIENCE
from tests.serving.access.provider import CLIENT_ID, CLIENT_SECRET, Provider
from tests.serving.server import serving

CLINIC = "north"
JSON = dict[str, Any]


@dataclass(frozen=True)
class Person:
    """Somebody with credentials."""

    client: httpx.Client
    headers: dict[str, str]
    subject: str

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = self.headers | more.pop("headers", {})
        return self.client.request(method, path, headers=headers, **more)

    def get(self, path: str, **params: Any) -> Any:
        return self._good(self.ask("GET", path, params=params))

    def post(self, path: str, **said: Any) -> Any:
        return self._good(self.ask("POST", path, json=said))

    def put(self, path: str, headers: dict[str, str] | None = None, **said: Any) -> Any:
        return self._good(self.ask("PUT", path, json=said, headers=headers or {}))

    def delete(self, path: str) -> None:
        self._good(self.ask("DELETE", path))

    @staticmethod
    def _good(response: httpx.Response) -> Any:
        assert response.is_success, response.text
        return response.json() if response.content else None


@dataclass(frozen=True)
class Site:
    """A running service.

    Attributes:
        client: Reaches it.
        issuer: Whose tokens it trusts.
        log: All that it says.
        database: Its URL.
        master_key: In base64.
    """

    client: httpx.Client
    issuer: Provider
    log: Path
    database: str
    master_key: str = field(repr=False)

    def person(self, sub: str, *roles: str, **claims: Any) -> Person:
        token = self.issuer.token(
            "main", sub=sub, roles=list(roles), **({"patient": None} | claims)
        )
        return self.bearer(token, f"{self.issuer.url}#{sub}")

    def bearer(self, credential: str, subject: str = "") -> Person:
        return Person(self.client, {"Authorization": f"Bearer {credential}"}, subject)

    def key(self, *roles: str, clinics: Sequence[str] = ()) -> Person:
        """A machine, whose key was made where the service runs."""
        with closing(open_database(self.database)) as database, database.session() as session:
            made, secret = api_keys.create(session, "a machine", roles, clinics)
        return self.bearer(secret, subject_of(made))

    def nobody(self) -> Person:
        return Person(self.client, {}, "")

    def admin(self) -> Person:
        return self.person("root", "admin")

    def clinician(self, sub: str = "dr-lee", clinic: str = CLINIC) -> Person:
        return self.person(sub, "clinician", clinics=[clinic])

    def patient(self, **said: Any) -> tuple[str, Person]:
        """A new patient, who entered themself under the identifier of their token."""
        known_by = str(uuid.uuid4())
        person = self.person(f"patient-{known_by}", "patient", patient=known_by)
        person.post("/v1/patients", id=known_by, **said)
        return f"/v1/patients/{known_by}", person


@contextmanager
def site(home: Path, database: str, clinic: Path, **variables: str) -> Iterator[Site]:
    """A service on this database, with a trusted issuer beside it, and settings of its own."""
    issuer = Provider()
    issuer.add("main")
    master_key = base64.b64encode(os.urandom(32)).decode()
    log = home / "server.log"
    try:
        options = ("--clinic", str(clinic))
        with _client(log, database, master_key, issuer, *options, **variables) as client:
            yield Site(client, issuer, log, database, master_key)
    finally:
        issuer.stop()


@contextmanager
def another(first: Site, home: Path) -> Iterator[Site]:
    """A second service on the database of the first."""
    log = home / "server.log"
    with _client(log, first.database, first.master_key, first.issuer) as client:
        yield replace(first, client=client, log=log)


@contextmanager
def _client(
    log: Path, database: str, master_key: str, issuer: Provider, *options: str, **more: str
) -> Iterator[httpx.Client]:
    trusted = [{"issuer": issuer.url, "audience": AUDIENCE, "client_id": CLIENT_ID}]
    variables = {
        "HYBRIDTWIN_DATABASE": database,
        "HYBRIDTWIN_MASTER_KEY": master_key,
        "HYBRIDTWIN_ISSUERS": json.dumps(trusted),
        "HYBRIDTWIN_CLIENT_SECRET": CLIENT_SECRET,
        "HYBRIDTWIN_EVENING": "off",  # at whatever time the tests run
        "HYBRIDTWIN_REQUESTS_PER_MIN": "1000000",
        "HYBRIDTWIN_STRANGERS_PER_MIN": "1000000",
        **more,
    }
    with (
        serving(log, *options, **variables) as url,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        yield client


def ward(home: Path) -> Path:
    """A clinic of one virtual patient, whose folder bears the clinic's name."""
    end = pd.Timestamp("2026-01-31 21:30", tz="Europe/Berlin")
    (person,) = virtual_clinic(end, count=1, days=1)
    save_record(person.record, home / CLINIC / "records")
    return home / CLINIC


def readings(
    hours: float, until_min: float = 0, level: Callable[[float], float] | None = None
) -> list[JSON]:
    """Every five minutes up to `until_min` from now, in mg/dL, on the clock's five minutes."""
    now = datetime.now(UTC)
    last = now + timedelta(minutes=until_min)
    last -= timedelta(minutes=last.minute % 5, seconds=last.second, microseconds=last.microsecond)
    level = level or (lambda back: 140 + 25 * math.sin(back / 20))
    return [
        {"time": (last - timedelta(minutes=5 * back)).isoformat(), "value": round(level(back), 1)}
        for back in reversed(range(round(12 * hours)))
    ]


def lively(back: float) -> float:
    """A level that a twin of its own forecasts better than the population's, at any time of day."""
    return 140 + 40 * math.sin(back / 8)


def evening_zone() -> str:
    """A zone whose wall clocks show 21 h, when nights are reviewed."""
    ahead_h = 21 - datetime.now(UTC).hour
    ahead_h -= 24 if ahead_h > 12 else 0
    return f"Etc/GMT{-ahead_h:+d}" if ahead_h else "UTC"  # its signs are the other way round


def batch(hours: float = 4, **more: Any) -> JSON:
    """What an app sends."""
    return {"source": "app", "units": {"glucose": "mg/dL"}, "glucose": readings(hours)} | more


def known_day(hours: int = 26) -> JSON:
    """A day with pump basal, boluses and meals, whose logs are complete."""
    now = datetime.now(UTC)
    begin = now - timedelta(hours=hours)
    basal = [
        {
            "time": (begin + timedelta(hours=hour)).isoformat(),
            "purpose": "basal",
            "dose_u": 0.8,
            "duration_min": 60,
        }
        for hour in range(hours)
    ]
    bolus = {"time": (now - timedelta(hours=3)).isoformat(), "dose_u": 4}
    meal = {"time": (now - timedelta(hours=3)).isoformat(), "carbs_g": 45}
    span = {"from": begin.isoformat(), "to": now.isoformat()}
    return batch(
        hours, insulin=[*basal, bolus], meals=[meal], complete={"insulin": span, "meals": span}
    )
