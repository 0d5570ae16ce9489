"""Writers that meet, and writers that die: every acknowledged row is there exactly once."""

import multiprocessing
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest

from hybridtwin.events import Profile
from serving.store import audit, patients
from serving.store.batch import Batch
from serving.store.database import open_database
from serving.store.errors import ConflictError
from serving.store.observations import accept, kept

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
ROWS = 10


def _batch(number, value=100):
    """Ten readings; every number's are at other times."""
    times = [BEGIN + timedelta(minutes=5 * (ROWS * number + i)) for i in range(ROWS)]
    readings = [{"time": time.isoformat(), "value": value} for time in times]
    return Batch.model_validate(
        {"source": "app", "units": {"glucose": "mg/dL"}, "glucose": readings}
    )


def _write(url, vault, patient, batches, say=lambda number: None):
    database = open_database(url)
    for number in range(batches):
        with database.session() as session:
            accept(session, vault, patient.id, _batch(number))
            audit.append(session, "writer", "observations.write", patient.id)
        say(number)
    database.close()


def _times(database, vault, patient):
    with database.reading() as session:
        rows = list(kept(session, vault, patient.id, every_version=True))
    return [row.event.time for row in rows]


def _expected(batches):
    return [BEGIN + timedelta(minutes=5 * i) for i in range(ROWS * batches)]


def test_writers_of_the_same_rows_write_them_once(database, database_url, vault, patient):
    with ThreadPoolExecutor(4) as pool:
        tasks = [pool.submit(_write, database_url, vault, patient, 6) for _ in range(4)]
        for task in tasks:
            task.result()
    assert _times(database, vault, patient) == _expected(6)
    with database.reading() as session:
        assert audit.verify(session).sequence == 24


def test_writers_of_other_versions_leave_one_that_counts(database, vault, patient):
    def correct(value):
        with database.session() as session:
            accept(session, vault, patient.id, _batch(0, value))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(correct, range(100, 112)))
    with database.reading() as session:
        live = list(kept(session, vault, patient.id))
    assert [row.event.time for row in live] == _expected(1)
    assert len({row.event.mg_dl for row in live}) == 1
    assert len(_times(database, vault, patient)) == 12 * ROWS


def test_of_writers_who_enter_one_patient_at_once_one_does(database, vault):
    people, writers = [uuid.uuid4() for _ in range(5)], 4
    together = Barrier(writers, timeout=60)

    def enter(_):
        entered = []
        for person in people:
            together.wait()
            try:
                with database.session() as session:
                    patients.create(session, vault, Profile(), patient_id=person)
            except ConflictError:
                continue
            entered.append(person)
        return entered

    with ThreadPoolExecutor(writers) as pool:
        entered = [person for found in pool.map(enter, range(writers)) for person in found]
    assert sorted(entered) == sorted(people)
    with database.reading() as session:
        assert patients.known(session, people) == set(people)


@pytest.mark.parametrize("acknowledged", [1, 4, 9])
def test_a_killed_writer_leaves_what_it_acknowledged(
    database, database_url, vault, patient, acknowledged
):
    fork = multiprocessing.get_context("fork")
    heard, said = fork.Pipe(duplex=False)
    writer = fork.Process(
        target=_write, args=(database_url, vault, patient, 10_000, said.send), daemon=True
    )
    with heard:
        writer.start()
        said.close()
        answers = [heard.recv() for _ in range(acknowledged)]
        writer.kill()
        writer.join()
        while heard.poll():
            try:
                answers.append(heard.recv())
            except EOFError:
                break
    writer.close()
    found = _times(database, vault, patient)
    batches = len(found) // ROWS
    assert found == _expected(batches)
    assert len(answers) <= batches <= len(answers) + 1  # an answer may have been lost
    _write(database_url, vault, patient, batches + 1)  # sent again by who got no answer
    assert _times(database, vault, patient) == _expected(batches + 1)
    with database.reading() as session:
        audit.verify(session)
