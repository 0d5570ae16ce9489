"""Jobs: work that outlives a request, and the process that began it.

A process takes the oldest job that waits, or one whose process has been silent for a while, and
says after every patient how far it is, in the transaction that keeps the patient's result. So a
job that was cut off goes on behind the last patient, and nobody is done twice.
"""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from sqlalchemy import and_, or_, select, update
from sqlalchemy.orm import Session

from serving.store.errors import ConflictError, UnknownError
from serving.store.tables import JobRow

Kind = Literal["advance", "personalise", "review", "outcome", "import"]
State = Literal["waiting", "running", "done", "failed"]

SILENT: Final = timedelta(seconds=60)
"""A process that has said nothing for so long is taken for dead."""


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


def start_once(session: Session, kind: Kind, actor: str, patient_id: uuid.UUID) -> None:
    """Let something be done for a patient, unless it waits to be done anyway."""
    waiting = select(JobRow.id).where(
        JobRow.kind == kind, JobRow.patient_id == patient_id, JobRow.state == "waiting"
    )
    if session.scalars(waiting.limit(1)).first() is None:
        start(session, kind, actor, patient_id=patient_id)


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
    """The next job of these kinds, which is the worker's from the commit on; None if none waits."""
    now = now or datetime.now(UTC)
    abandoned = and_(JobRow.state == "running", JobRow.alive < now - SILENT)
    row = session.scalars(
        select(JobRow)
        .where(JobRow.kind.in_(kinds), or_(JobRow.state == "waiting", abandoned))
        .order_by(JobRow.created, JobRow.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).one_or_none()
    if row is None:
        return None
    row.state, row.worker, row.alive = "running", worker, now
    session.flush()
    return _job(row)


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
    row.alive, row.total = now or datetime.now(UTC), total
    if last is not None:
        row.done, row.last = row.done + 1, last
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
    row = _own(session, job, worker)
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
        .values(state="waiting", worker=None)
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
