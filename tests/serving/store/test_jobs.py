"""Jobs: each is one process's at a time, and none is lost with its process."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from serving.store import issued, jobs, patients
from serving.store.errors import ConflictError, UnknownError
from serving.store.tables import Issued

ME, OTHER = uuid.uuid4(), uuid.uuid4()


def start(database, count=1):
    with database.session() as session:
        return [jobs.start(session, "review", "key:1", clinic="ward-7") for _ in range(count)]


def take(database, worker, now=None):
    with database.session() as session:
        return jobs.take(session, worker, ["review"], now)


def test_jobs_are_taken_in_order_and_each_once(database):
    first, second = start(database, 2)
    assert [take(database, worker).id for worker in (ME, OTHER)] == [first.id, second.id]
    assert take(database, ME) is None


def test_many_processes_at_once_take_every_job_once(database):
    started = start(database, 12)

    def work(_):
        mine, worker = [], uuid.uuid4()
        while job := take(database, worker):
            mine.append(job.id)
        return mine

    with ThreadPoolExecutor(4) as pool:
        taken = [job for mine in pool.map(work, range(4)) for job in mine]
    assert sorted(taken) == sorted(job.id for job in started)


def test_a_job_whose_process_is_silent_goes_on_behind_its_last_patient(database):
    (job,) = start(database)
    begun = datetime.now(UTC)
    take(database, ME, begun)
    done = uuid.uuid4()
    with database.session() as session:
        jobs.advance(session, job, ME, total=3, last=done, now=begun)
    assert take(database, OTHER, begun + jobs.SILENT / 2) is None
    again = take(database, OTHER, begun + jobs.SILENT + timedelta(seconds=1))
    assert (again.id, again.done, again.total, again.last) == (job.id, 1, 3, done)


def test_a_job_that_ends_its_processes_is_given_up_and_the_next_goes_on(database):
    poison, other = start(database, 2)
    now = datetime.now(UTC)
    for _ in range(jobs.ATTEMPTS):
        assert take(database, uuid.uuid4(), now).id == poison.id
        now += jobs.SILENT + timedelta(seconds=1)
    assert take(database, ME, now).id == other.id
    with database.reading() as session:
        found = jobs.find(session, poison.id)
    assert (found.state, found.problem) == ("failed", jobs.GIVEN_UP)


def test_a_job_that_comes_forward_is_begun_as_often_as_it_takes(database):
    (job,) = start(database)
    now = datetime.now(UTC)
    for _ in range(2 * jobs.ATTEMPTS):
        assert take(database, ME, now).id == job.id
        with database.session() as session:
            jobs.advance(session, job, ME, total=99, last=uuid.uuid4(), now=now)
        now += jobs.SILENT + timedelta(seconds=1)


def test_a_job_that_is_given_back_was_not_tried(database):
    (job,) = start(database)
    for _ in range(2 * jobs.ATTEMPTS):
        assert take(database, ME).id == job.id
        with database.session() as session:
            jobs.give_back(session, ME)


def test_a_job_that_somebody_is_at_is_left_to_them_however_long_it_takes(database):
    (job,) = start(database)
    begun = datetime.now(UTC)
    take(database, ME, begun)
    for quarter in range(1, 12):
        now = begun + quarter * jobs.SILENT / 4
        with database.session() as session:
            jobs.stay(session, job, ME, now)
        assert take(database, OTHER, now + jobs.SILENT / 2) is None
    with database.session() as session:
        jobs.finish(session, job, ME)
    with pytest.raises(ConflictError), database.session() as session:
        jobs.stay(session, job, ME)


def test_a_clock_that_is_set_back_holds_no_job_up(database):
    (job,) = start(database)
    ahead = datetime.now(UTC) + timedelta(days=1)
    take(database, ME, ahead)
    assert take(database, OTHER, ahead - jobs.SILENT / 2) is None
    assert take(database, OTHER).id == job.id


def test_who_lost_a_job_may_keep_nothing_of_it(database):
    (job,) = start(database)
    begun = datetime.now(UTC)
    take(database, ME, begun)
    take(database, OTHER, begun + 2 * jobs.SILENT)
    for step in (
        lambda session: jobs.advance(session, job, ME, total=3, last=uuid.uuid4()),
        lambda session: jobs.finish(session, job, ME),
    ):
        with pytest.raises(ConflictError), database.session() as session:
            step(session)
    with database.reading() as session:
        assert jobs.find(session, job.id).done == 0


@pytest.mark.parametrize(("problem", "state"), [(None, "done"), ("history", "failed")])
def test_a_finished_job_is_not_taken_again(database, problem, state):
    (job,) = start(database)
    begun = datetime.now(UTC)
    take(database, ME, begun)
    with database.session() as session:
        jobs.finish(session, job, ME, problem)
    assert take(database, OTHER, begun + 2 * jobs.SILENT) is None
    with database.reading() as session:
        found = jobs.find(session, job.id)
    assert (found.state, found.problem) == (state, problem)
    assert found.finished is not None


def test_a_process_that_stops_gives_its_jobs_back(database):
    mine, others = start(database, 2)
    take(database, ME)
    take(database, OTHER)
    with database.session() as session:
        jobs.give_back(session, ME)
    assert take(database, OTHER).id == mine.id
    assert take(database, ME) is None
    assert others.id != mine.id


def test_jobs_of_the_erased_are_gone(database, patient):
    with database.session() as session:
        job = jobs.start(session, "personalise", "key:1", patient_id=patient.id)
    patients.erase(database, patient.id, "the patient")
    with pytest.raises(UnknownError), database.reading() as session:
        jobs.find(session, job.id)


def test_an_erasure_and_a_job_that_meet_do_not_wait_for_each_other(database, vault, patient):
    now = datetime.now(UTC)
    with database.session() as session:
        jobs.start(session, "personalise", "key:1", patient_id=patient.id)
    with database.session() as session:
        job = jobs.take(session, ME, ["personalise"])
    with ThreadPoolExecutor(1) as pool:
        with database.session() as session:  # as a job keeps what it found
            jobs.advance(session, job, ME, total=1, last=patient.id)
            erased = pool.submit(patients.erase, database, patient.id, "the patient")
            time.sleep(0.5)  # it waits for the job by now
            issued.keep(session, vault, patient.id, "twin", now, "twin 1", b"fitted")
        erased.result()
    with database.reading() as session:
        assert session.scalars(select(Issued)).all() == []
        with pytest.raises(UnknownError):
            jobs.find(session, job.id)


def test_what_waits_to_be_done_is_not_asked_for_twice(database, patient):
    asked = set()
    for _ in range(3):
        with database.session() as session:
            asked.add(jobs.start_once(session, "advance", "key:1", patient.id).id)
    assert len(asked) == 1
    with database.session() as session:
        job = jobs.take(session, ME, ["advance"])
        assert jobs.take(session, ME, ["advance"]) is None
        # What came while it was being done waits for its turn.
        jobs.start_once(session, "advance", "key:1", patient.id)
    with database.session() as session:
        jobs.finish(session, job, ME)
        assert jobs.take(session, ME, ["advance"]) is not None


def test_a_worker_takes_only_what_it_is_for(database):
    start(database)
    with database.session() as session:
        assert jobs.take(session, ME, ["advance"]) is None
