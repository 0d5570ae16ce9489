"""The database goes, or its disk fills up: clear answers meanwhile, and nothing is lost."""

import resource
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psutil
import pytest

from tests.serving.v1.site import Site, batch, site

PATIENCE_S = 60
MANY = 10_000
ROOM_BYTES = 1_000_000  # less than so many rows take


def eventually(look):
    deadline = time.monotonic() + PATIENCE_S
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def later(answer: httpx.Response) -> None:
    """It says what is wrong, and when to ask again."""
    assert answer.status_code == 503, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0
    said = answer.json()
    assert said["code"] == "store-unavailable"
    assert said["problems"][0]["where"] == "database"
    assert said["problems"][0]["advice"]


def times(person, path):
    begin = "2020-01-01T00:00:00Z"
    rows = person.get(f"{path}/observations", limit=10_000, **{"from": begin})["rows"]
    return sorted(datetime.fromisoformat(row["event"]["time"]) for row in rows)


def test_a_database_that_was_away_is_found_again(postgres_site: Site, postgres):
    path, person = postgres_site.patient()
    client, first, second = postgres_site.client, batch(4), batch(6)
    person.post(f"{path}/observations", **first)
    postgres.stop()
    try:
        for _ in range(2):  # the pool's connections, and new ones
            later(person.ask("POST", f"{path}/observations", json=second))
            later(person.ask("GET", f"{path}/observations"))
            later(person.ask("POST", f"{path}/forecast", json={"units": {"glucose": "mg/dL"}}))
        eventually(lambda: client.get("/readyz").status_code == 503)  # it looks now and then
        assert client.get("/livez").status_code == 200
    finally:
        postgres.start()
    eventually(lambda: client.get("/readyz").status_code == 200)
    found = person.post(f"{path}/observations", **second)
    assert (found["known"], found["accepted"]) == (len(first["glucose"]), 2 * 12)
    assert len(times(person, path)) == len(second["glucose"])
    person.post(f"{path}/forecast", units={"glucose": "mg/dL"})


def test_news_go_on_when_the_database_is_back(postgres_site: Site, postgres):
    path, person = postgres_site.patient()
    with postgres_site.client.stream("GET", f"{path}/events", headers=person.headers) as stream:
        lines = stream.iter_lines()
        postgres.stop()
        postgres.start()
        eventually(lambda: postgres_site.client.get("/readyz").status_code == 200)
        person.post(f"{path}/observations", **batch(6))
        assert next(line for line in lines if line.startswith("event")) == "event: belief"


def workers(database: Path) -> list[psutil.Process]:
    """The processes that have it open."""
    children = psutil.Process().children(recursive=True)
    return [one for one in children if str(database) in {file.path for file in one.open_files()}]


@pytest.fixture
def new_site(tmp_path: Path, ward: Path) -> Iterator[Site]:
    """Whose write-ahead log has not grown yet: one that has takes much before a disk is full."""
    with site(tmp_path, f"sqlite:///{tmp_path / 'store.db'}", ward) as found:
        yield found


def test_a_full_disk_takes_nothing_by_halves(new_site: Site):
    database = Path(new_site.database.removeprefix("sqlite:///"))
    path, person = new_site.patient()
    first = batch(4)
    person.post(f"{path}/observations", **first)
    past = datetime.now(UTC) - timedelta(days=30)
    many = [
        {"time": (past + timedelta(minutes=number)).isoformat(), "value": 100}
        for number in range(MANY)
    ]
    taken = max(file.stat().st_size for file in (new_site.log, *database.parent.glob("store*")))
    found = workers(database)
    assert found
    unlimited = resource.RLIM_INFINITY
    for one in found:
        one.rlimit(psutil.RLIMIT_FSIZE, (taken + ROOM_BYTES, unlimited))
    try:
        later(person.ask("POST", f"{path}/observations", json=batch(glucose=many)))
    finally:
        for one in found:
            one.rlimit(psutil.RLIMIT_FSIZE, (unlimited, unlimited))
    assert len(times(person, path)) == len(first["glucose"])
    assert person.post(f"{path}/observations", **batch(glucose=many))["accepted"] == MANY
    assert new_site.client.get("/readyz").status_code == 200
