"""Jobs: work that outlives a request, and the process that began it.

A process takes the oldest job that waits, or one whose process has been silent for a while, and
says after every patient how far it is, in the transaction that keeps the patient's result. So a
job that was cut off goes on behind the last patient, and nobody is done twice. How long a process
was silent is said by the database's clock, for hosts' clocks differ.
"""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from sqlalchemy import and_, or_, select, update
from sqlalchemy.orm import Session

from serving.store.database import present
from serving.store.errors import ConflictError, UnknownError
from serving.store.tables import JobRow

Kind = Literal["advance", "personalise", "review", "outcome", "import"]
State = Literal["waiting", "running", "done", "failed"]

SILENT: Final = timedelta(seconds=60)
"""A process that has said nothing for so long is taken for dead."""
ATTEMPTS: Final = 3
"""How often a job is begun that never comes forward."""
GIVEN_UP: Final = "given-up"


@dataclass(frozen=True)
class Job:
    """A piece of work.

    Attributes:
        id: Of the job.
        kind: What is done.
        clinic: For whose patients, if it is about many.
        patient_id: For whom, if it is about one.
        actor: Who asked for it.
        created: When.
        state: Where it stands.
        done: How many patients are done, or parts of an import.
        total: Of how many; 0 while nobody knows.
        last: The last patient who was done, in order of their identifiers.
        finished: When it ended.
        problem: The code of the error that ended it; no text, which could hold data.
    """

    id: uuid.UUID
    kind: str
    clinic: str | None
    patient_id: uuid.UUID | None
    actor: str
    created: datetime
    state: str
    done: int
    total: int
    last: uuid.UUID | None
    finished: datetime | None
    problem: str | None


def start(
    session: Session,
    kind: Kind,
    actor: str,
    clinic: str | None = None,
    patient_id: uuid.UUID | None = None,
) -> Job:
    """Let something be done, once a process has time."""
    row = JobRow(
        id=uuid.uuid4(),
        kind=kind,
        clinic=clinic,
        patient_id=patient_id,
        actor=actor,
        created=datetime.now(UTC),
        state="waiting",
        done=0,
        total=0,
    )
    session.add(row)
    session.flush()
    return _job(row)


def start_once(session: Session, kind: Kind, actor: str, patient_id: uuid.UUID) -> Job:
    """Let something be done for a patient, by the job that waits to do it anyway if there is one:
    however often it is asked for, others' jobs wait no longer.
    """
    waiting = select(JobRow).where(
        JobRow.kind == kind, JobRow.patient_id == patient_id, JobRow.state == "waiting"
    )
    found = session.scalars(waiting.order_by(JobRow.created).limit(1)).first()
    return _job(found) if found else start(session, kind, actor, patient_id=patient_id)


def under_way(
    session: Session, kind: Kind, clinics: Collection[str], actor: str | None = None
) -> list[Job]:
    """Jobs for clinics that wait or run, of whoever asked for them or of one."""
    found = select(JobRow).where(
        JobRow.kind == kind, JobRow.clinic.in_(clinics), JobRow.state.in_(("waiting", "running"))
    )
    if actor is not None:
        found = found.where(JobRow.actor == actor)
    return [_job(row) for row in session.scalars(found.order_by(JobRow.created))]


def find(session: Session, job_id: uuid.UUID) -> Job:
    """A job by its identifier.

    Raises:
        UnknownError: There is none.
    """
    row = session.get(JobRow, job_id)
    if row is None:
        raise UnknownError.of("job", "there is no such job", "Check the identifier.")
    return _job(row)


def take(
    session: Session, worker: uuid.UUID, kinds: Sequence[str], now: datetime | None = None
) -> Job | None:
    """The next job of these kinds, which is the worker's from the commit on; None if none waits.

    A job that was begun too often and never came forward may be what ends its processes: it is
    given up.

    Args:
        session: A writing transaction.
        worker: Whose it will be.
        kinds: Which to look for.
        now: The present; the database's if absent.
    """
    now = now or present(session)
    silent = JobRow.alive < now - SILENT
    ahead = JobRow.alive > now + SILENT  # the clock was set back; or it would wait as long
    abandoned = and_(JobRow.state == "running", or_(silent, ahead))
    following = (
        select(JobRow)
        .where(JobRow.kind.in_(kinds), or_(JobRow.state == "waiting", abandoned))
        .order_by(JobRow.created, JobRow.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    while row := session.scalars(following).one_or_none():
        row.worker = worker
        if row.attempts == ATTEMPTS:
            _end(session, row, GIVEN_UP)
            continue
        row.state, row.alive, row.attempts = "running", now, row.attempts + 1
        session.flush()
        return _job(row)
    return None


def advance(
    session: Session,
    job: Job,
    worker: uuid.UUID,
    total: int,
    last: uuid.UUID | None = None,
    now: datetime | None = None,
) -> None:
    """Say that a process is alive and, if so, that one more patient, or part, is done.

    Raises:
        ConflictError: Another process has the job by now; nothing may be kept.
    """
    row = _own(session, job, worker)
    row.alive, row.total = now or present(session), total
    if last is not None:
        row.done, row.last, row.attempts = row.done + 1, last, 0
    session.flush()


def stay(session: Session, job: Job, worker: uuid.UUID, now: datetime | None = None) -> None:
    """Say that a process is alive and at it.

    Raises:
        ConflictError: Another process has the job by now.
    """
    _own(session, job, worker).alive = now or present(session)
    session.flush()


def finish(session: Session, job: Job, worker: uuid.UUID, problem: str | None = None) -> None:
    """Say that a job is over.

    Args:
        session: A writing transaction.
        job: Which.
        worker: Whose it is.
        problem: The code of the error that ended it; None if it is done.

    Raises:
        ConflictError: Another process has the job by now.
    """
    _end(session, _own(session, job, worker), problem)


def _end(session: Session, row: JobRow, problem: str | None) -> None:
    row.state, row.problem = ("failed" if problem else "done"), problem
    row.finished, row.worker = datetime.now(UTC), None
    if row.kind == "advance":  # there is one for every reading, and nobody asks for it
        session.delete(row)
    session.flush()


def give_back(session: Session, worker: uuid.UUID) -> None:
    """Let others go on with what a process that stops had in hand."""
    session.execute(
        update(JobRow)
        .where(JobRow.state == "running", JobRow.worker == worker)
        .values(state="waiting", worker=None, attempts=0)
    )


def _own(session: Session, job: Job, worker: uuid.UUID) -> JobRow:
    row = session.get(JobRow, job.id, with_for_update=True, populate_existing=True)
    if row is None or row.worker != worker:
        raise ConflictError.of("job", "another process has it by now", "Leave it to that one.")
    return row


def _job(row: JobRow) -> Job:
    return Job(
        id=row.id,
        kind=row.kind,
        clinic=row.clinic,
        patient_id=row.patient_id,
        actor=row.actor,
        created=row.created,
        state=row.state,
        done=row.done,
        total=row.total,
        last=row.last,
        finished=row.finished,
        problem=row.problem,
    )
