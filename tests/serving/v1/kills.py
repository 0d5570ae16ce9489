"""The service killed again and again while readings come in: what it acknowledged is there, once.

Killed is the process that answers; `hybridtwin serve` starts another by itself.
Two senders send the same readings of one patient, so that they also meet each other, and somebody
enters patients meanwhile. Who gets no answer sends again.
"""

import base64
import os
import random
import signal
import time
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Event

import httpx
from sqlalchemy.orm import Session

from hybridtwin.events import Profile
from serving.store import api_keys, audit, consents, patients
from serving.store.database import Database, open_database
from serving.store.observations import kept
from serving.store.vault import Vault
from tests.serving.server import free_port, kill_workers, start, wait_until_ready
from tests.serving.v1.site import CLINIC, JSON

BEGIN = datetime(2020, 1, 1, tzinfo=UTC)
STEP = timedelta(minutes=1)
PEOPLE = 2
SENDERS_EACH = 2
ROWS = 10
AGAIN = 5
"""So many rows of a batch were in the one before."""
_PAUSE_S = 0.1
LONGEST_S = 1.5
"""The longest that the service lives once it answers."""


@dataclass
class Heard:
    """What the senders were told.

    Attributes:
        rows: Acknowledged readings of each patient, by their number.
        people: Patients whose entry was acknowledged.
        silences: Requests without an answer.
    """

    rows: dict[uuid.UUID, set[int]]
    people: set[uuid.UUID] = field(default_factory=set)
    silences: int = 0


def killed(home: Path, url: str, times: int, seed: int = 1) -> Heard:
    """Kill the service on this database `times` times, and look after each; what was acknowledged.

    Raises:
        AssertionError: A row or a patient is missing, doubled or changed.
    """
    vault, port = Vault(os.urandom(32)), free_port()
    chance = random.Random(seed)  # noqa: S311
    database = open_database(url)
    database.migrate()
    with database.session() as session:
        roles = ("admin", "clinician")  # it does not start where nobody could come in
        _, key = api_keys.create(session, "kills", roles, [CLINIC])
        people = [patients.create(session, vault, Profile(), CLINIC).id for _ in range(PEOPLE)]
        for person in people:
            consents.give(session, person, "care", "1")
    variables = {
        "HYBRIDTWIN_DATABASE": url,
        "HYBRIDTWIN_MASTER_KEY": base64.b64encode(vault.master).decode(),
        "HYBRIDTWIN_REQUESTS_PER_MIN": "1000000",
        "TMPDIR": str(home),  # what a killed service leaves behind
    }
    heard, stop = Heard({person: set() for person in people}), Event()

    def ask(path: str, body: JSON) -> JSON | None:
        """The answer, however often it has to be asked for; None at the end."""
        while not stop.is_set():
            try:
                answer = client.post(path, json=body)
            except httpx.ConnectError:  # nobody is there
                time.sleep(_PAUSE_S)
            except httpx.TransportError:
                heard.silences += 1
            else:
                assert answer.is_success, answer.text
                found: JSON = answer.json()
                return found
        return None

    def send(person: uuid.UUID) -> None:
        first = 0
        while answer := ask(f"/v1/patients/{person}/observations", _batch(first)):
            assert answer["accepted"] + answer["known"] == ROWS, answer
            heard.rows[person].update(range(first, first + ROWS))
            first += ROWS - AGAIN

    def enter() -> None:
        while answer := ask("/v1/patients", {"clinic": CLINIC, "consents": {"care": "1"}}):
            heard.people.add(uuid.UUID(answer["id"]))
            time.sleep(_PAUSE_S)

    log = home / "server.log"
    headers = {"Authorization": f"Bearer {key}"}
    with (
        start(log, port, **variables) as server,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client,
        ThreadPoolExecutor(PEOPLE * SENDERS_EACH + 1) as pool,
    ):
        work = [pool.submit(send, person) for person in people for _ in range(SENDERS_EACH)]
        work.append(pool.submit(enter))
        try:
            wait_until_ready(server, log)
            for _ in range(times):
                _until(partial(_more, heard, _count(heard)))
                time.sleep(chance.uniform(0, LONGEST_S))
                kill_workers(server)
                look(database, vault, heard)
        finally:
            stop.set()
            server.send_signal(signal.SIGINT)
        for each in work:
            each.result()
    database.close()
    return heard


def look(database: Database, vault: Vault, heard: Heard) -> None:
    """Whether all that was acknowledged is there once, as it was sent, and nothing by halves."""
    told = {person: set(rows) for person, rows in heard.rows.items()}
    entered = set(heard.people)
    with database.reading() as session:
        for person, rows in told.items():
            found = kept(session, vault, person, every_version=True)
            stored = Counter((one.event.time, one.event.mg_dl) for one in found)
            assert set(stored.values()) <= {1}
            sent = {_reading(number) for number in rows}
            assert sent <= set(stored)
            assert all(pair == _reading(round((pair[0] - BEGIN) / STEP)) for pair in stored)
        everyone = _everyone(session)
        assert entered <= everyone
        for person in everyone:
            patients.find(session, vault, person)
            assert consents.may_use(session, person, "care")
        audit.verify(session)


def _everyone(session: Session) -> set[uuid.UUID]:
    return set(patients.in_clinic(session, CLINIC, limit=patients.count(session, CLINIC)))


def _batch(first: int) -> JSON:
    pairs = [_reading(number) for number in range(first, first + ROWS)]
    glucose = [{"time": time.isoformat(), "value": value} for time, value in pairs]
    return {"source": "app", "units": {"glucose": "mg/dL"}, "glucose": glucose}


def _reading(number: int) -> tuple[datetime, float]:
    """When it was read, and what, in mg/dL."""
    return BEGIN + number * STEP, 80 + number % 100


def _count(heard: Heard) -> int:
    return sum(map(len, heard.rows.values()))


def _more(heard: Heard, than: int) -> bool:
    return _count(heard) > than


def _until(ready: Callable[[], bool], patience_s: float = 300) -> None:
    deadline = time.monotonic() + patience_s
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.01)
