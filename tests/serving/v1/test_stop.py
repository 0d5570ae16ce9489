"""A process that ends while it is asked: killed, or told to stop."""

import json
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path

import psutil
import pytest
from sqlalchemy import select

from serving.client import Client
from serving.store.database import open_database
from serving.store.tables import JobRow
from tests.serving.server import kill_workers
from tests.serving.v1.site import Person, Site, batch, readings, site

AT_ONCE_S = 60
"""Far less than the quarter of an hour that a reader of news may stay."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, ward: Path) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("stop")
    with site(home, f"sqlite:///{home / 'store.db'}", ward) as found:
        yield found


def server_of(service: Site) -> psutil.Process:
    port = str(service.client.base_url.port)
    (found,) = [one for one in psutil.Process().children() if port in one.cmdline()]
    return found


@contextmanager
def being_answered(service: Site, person: Person, path: str) -> Iterator[Callable[[], int]]:
    """A question that the service has begun to read; the status of the answer to it."""
    said = json.dumps({"units": {"glucose": "mg/dL"}}).encode()
    where = service.client.base_url
    with closing(HTTPConnection(where.host, where.port, timeout=AT_ONCE_S)) as connection:
        connection.putrequest("POST", path)
        told = {"Content-Type": "application/json", "Content-Length": len(said)}
        for name, value in (person.headers | told | {"Expect": "100-continue"}).items():
            connection.putheader(name, value)
        connection.endheaders()
        assert connection.sock.recv(1024).startswith(b"HTTP/1.1 100 ")

        def answer() -> int:
            connection.send(said)
            return connection.getresponse().status

        yield answer


def test_a_reader_is_told_on_when_the_process_that_told_was_killed(service: Site):
    path, person = service.patient()
    key = person.headers["Authorization"].removeprefix("Bearer ")
    patient = uuid.UUID(path.rsplit("/", 1)[1])
    with Client(str(service.client.base_url), key, timeout_s=60) as twin:
        twin.send(patient, batch(6, glucose=readings(6, until_min=-10)))
        news = twin.events(patient)
        told = next(news)
        kill_workers(server_of(service))
        twin.send(patient, batch(glucose=readings(0.25)))  # in the process that comes after it
        again = next(one for one in news if one.id != told.id)
    assert (told.kind, again.kind) == ("belief", "belief")
    assert told.time < again.time


def test_a_service_stops_at_once_and_gives_back_what_is_in_hand(service: Site):
    path, person = service.patient()
    person.post(f"{path}/observations", **batch(72))
    server = server_of(service)
    with (
        service.client.stream("GET", f"{path}/events", headers=person.headers) as news,
        being_answered(service, person, f"{path}/forecast") as answer,
    ):
        lines = news.iter_lines()
        assert next(lines) == "event: belief"  # the reader is there
        job = person.post(f"{path}/personalise")["id"]
        while person.get(f"/v1/jobs/{job}")["state"] == "waiting":
            time.sleep(0.01)
        person.post(f"{path}/personalise")  # which waits for the first
        server.send_signal(signal.SIGTERM)
        assert answer() == HTTPStatus.CREATED
        server.wait(AT_ONCE_S)
        list(lines)  # to its regular end: one that is cut off would raise
    database = open_database(service.database)
    with database.reading() as session:
        states = session.execute(select(JobRow.state, JobRow.worker)).all()
    database.close()
    assert set(states) <= {("done", None), ("waiting", None)}
    assert ("waiting", None) in states
