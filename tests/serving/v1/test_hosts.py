"""Two services on one PostgreSQL: together they are as one."""

import base64
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pandas as pd
import pytest

from hybridtwin.climatology import CLIMATOLOGY_DAYS
from hybridtwin.registry import load_twin
from serving.personal import record_and_twin
from serving.store.database import open_database
from serving.store.vault import Vault
from serving.v1.belief import report_of
from serving.v1.store import Store
from tests.serving.v1.site import Person, Site, another, batch, evening_zone, lively, readings

PATIENCE_S = 120
SAME = 1e-5


@pytest.fixture(scope="module")
def hosts(
    postgres_site: Site, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Site, Site]]:
    with another(postgres_site, tmp_path_factory.mktemp("another")) as second:
        yield postgres_site, second


@pytest.fixture(scope="module")
def store(postgres_site: Site) -> Iterator[Store]:
    """Their store, in this process."""
    database = open_database(postgres_site.database)
    yield Store(database, Vault(base64.b64decode(postgres_site.master_key)))
    database.close()


def at(host: Site, person: Person) -> Person:
    return Person(host.client, person.headers, person.subject)


def finished(person: Person, job: str):
    deadline = time.monotonic() + PATIENCE_S
    while (found := person.get(f"/v1/jobs/{job}"))["state"] in {"waiting", "running"}:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


def numbers(found):
    """Everything in it that is a number, in order."""
    match found:
        case bool() | None | str():
            return []
        case dict():
            return [number for key in sorted(found) for number in numbers(found[key])]
        case list():
            return [number for one in found for number in numbers(one)]
    return [found]


@pytest.mark.parametrize("fitted", [False, True])
def test_each_answers_as_one_process_does(hosts, store, fitted):
    first, second = hosts
    path, person = first.patient()
    patient = uuid.UUID(path.rsplit("/", 1)[1])
    sent = readings(72, level=lively) if fitted else readings(24)
    person.post(f"{path}/observations", **batch(glucose=sent))
    while not person.get(f"{path}/beliefs")["beliefs"]:  # then it is learnt what was missed too
        time.sleep(0.2)
    if fitted:
        job = person.post(f"{path}/personalise")["id"]
        assert finished(at(second, person), job)["state"] == "done"

    def alone(now: str):
        """What this process holds true at that time, and by which twin."""
        record, twin = record_and_twin(
            store, patient, load_twin(), datetime.fromisoformat(now), CLIMATOLOGY_DAYS
        )
        return twin.believe(record, pd.Timestamp(now)), twin

    for host in hosts:
        asker = at(host, person)
        held = asker.get(f"{path}/belief")
        belief, twin = alone(held["time"])
        assert twin.config.fitted == fitted
        expected = numbers(report_of(twin, belief).model_dump(mode="json"))
        assert numbers(held) == pytest.approx(expected, rel=SAME, abs=SAME)

        said = asker.post(f"{path}/forecast", units={"glucose": "mg/dL"}, horizon_min=480)
        belief, twin = alone(said["forecast"]["issued"])
        expected = numbers(twin.forecast(belief, horizon_min=480).report().model_dump(mode="json"))
        assert len(expected) > 8 * 12
        assert numbers(said["forecast"]) == pytest.approx(expected, rel=SAME, abs=SAME)


def test_news_reach_a_reader_at_the_other(hosts):
    first, second = hosts
    path, person = first.patient()
    reader = at(second, person)
    with second.client.stream("GET", f"{path}/events", headers=reader.headers) as stream:
        person.post(f"{path}/observations", **batch(6))
        lines = stream.iter_lines()
        assert next(line for line in lines if line.startswith("event")) == "event: belief"
        person.post(f"{path}/forecast", units={"glucose": "mg/dL"})
        assert "event: forecast" in (next(lines) for _ in range(20))


def test_a_review_is_done_once(hosts):
    first, second = hosts
    clinic = f"ward-{uuid.uuid4().hex[:8]}"
    zone = {"time_zone": evening_zone()}
    ward = [first.patient(clinic=clinic, profile=zone) for _ in range(4)]
    for path, person in ward:
        person.put(f"{path}/consents/care", version="1")
        person.post(f"{path}/observations", **batch(6))
    doctor = first.clinician("dr-night", clinic)
    job = doctor.post(f"/v1/clinics/{clinic}/reviews")["id"]
    done = finished(at(second, doctor), job)
    assert (done["state"], done["done"], done["total"]) == ("done", len(ward), len(ward))
    for path, person in ward:
        kinds = Counter(one["kind"] for one in person.get(f"{path}/export")["issued"])
        assert kinds["review"] == 1


def test_senders_of_one_patient_meet(hosts):
    path, person = hosts[0].patient()
    sent = readings(10)
    batches = [sent[start : start + 12] for start in range(0, len(sent), 6)]

    def send(host: Site) -> int:
        found = [
            at(host, person).post(f"{path}/observations", **batch(glucose=rows)) for rows in batches
        ]
        return sum(one["accepted"] for one in found)

    with ThreadPoolExecutor(len(hosts)) as pool:
        assert sum(pool.map(send, hosts)) == len(sent)
    rows = at(hosts[1], person).get(f"{path}/observations")["rows"]
    times = [datetime.fromisoformat(row["event"]["time"]) for row in rows]
    assert times == [datetime.fromisoformat(one["time"]) for one in sent]
