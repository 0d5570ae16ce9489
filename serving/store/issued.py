"""What was made of a person's data: forecasts, beliefs, reviews, twins, what these missed, and
comparisons that were kept.

Nothing is changed; beliefs that nobody asked for are thinned out, and comparisons may be dropped.
"""

import uuid
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import delete, exists, select
from sqlalchemy.orm import Session, aliased

from hybridtwin.errors import Problem
from hybridtwin.events import GlucoseReading
from hybridtwin.forecast import ForecastReport
from hybridtwin.units import STEP_MIN, from_mg_dl
from serving.store.errors import UnknownError
from serving.store.observations import kept
from serving.store.patients import lock
from serving.store.tables import ConsentRow, Issued, PatientRow
from serving.store.vault import Vault, person_key, seal, unseal

Kind = Literal["forecast", "belief", "review", "twin", "misses", "comparison"]


@dataclass(frozen=True)
class Document:
    """Something that was issued.

    Attributes:
        id: Of the document.
        kind: What it is.
        time: When it was issued, or for which time it holds.
        model: Which version of the twin made it.
        content: Its bytes, as they were given.
    """

    id: uuid.UUID
    kind: str
    time: datetime
    model: str
    content: bytes


@dataclass(frozen=True)
class Announcement:
    """That something was issued, without what it says.

    Attributes:
        id: Of the document.
        kind: What it is.
        time: When it was issued.
    """

    id: uuid.UUID
    kind: str
    time: datetime


@dataclass(frozen=True)
class Comparison:
    """A forecast as issued, and what then happened.

    Attributes:
        report: The forecast, in its unit.
        observed: H readings in the forecast's unit, each the nearest to the forecast's time
            within half a step; None where there is none.
    """

    report: ForecastReport
    observed: list[float | None]


def keep(
    session: Session,
    vault: Vault,
    patient_id: uuid.UUID,
    kind: Kind,
    time: datetime,
    model: str,
    content: bytes,
) -> uuid.UUID:
    """Keep a document; its identifier.

    Raises:
        UnknownError: There is no such patient.
    """
    lock(session, patient_id)
    found_by = uuid.uuid4()
    key = person_key(session, vault, patient_id)
    row = Issued(
        id=found_by,
        patient_id=patient_id,
        kind=kind,
        time=time,
        model=model,
        sealed=seal(key, content, "issued", patient_id, found_by),
    )
    session.add(row)
    session.flush()
    return found_by


def thin(session: Session, patient_id: uuid.UUID, begin: datetime) -> None:
    """Drop the beliefs from a time on, but those from which a forecast was made.

    There is one for every reading; who looks back wants one for every hour.
    """
    forecast = aliased(Issued)
    asked_for = exists().where(
        forecast.patient_id == patient_id,
        forecast.kind == "forecast",
        forecast.time == Issued.time,
    )
    session.execute(
        delete(Issued).where(
            Issued.patient_id == patient_id,
            Issued.kind == "belief",
            Issued.time >= begin,
            ~asked_for,
        )
    )


def find(
    session: Session,
    vault: Vault,
    patient_id: uuid.UUID,
    kind: Kind,
    begin: datetime | None = None,
    end: datetime | None = None,
    limit: int | None = None,
) -> list[Document]:
    """Documents of a kind between two times, the newest first.

    Raises:
        UnknownError: There is no such patient.
    """
    key = person_key(session, vault, patient_id)
    found = select(Issued).where(Issued.patient_id == patient_id, Issued.kind == kind)
    if begin is not None:
        found = found.where(Issued.time >= begin)
    if end is not None:
        found = found.where(Issued.time <= end)
    rows = session.scalars(found.order_by(Issued.time.desc(), Issued.id).limit(limit))
    return [_opened(key, row) for row in rows]


def reviews_of(
    session: Session, vault: Vault, clinic: str, begin: datetime
) -> dict[uuid.UUID, Document]:
    """The latest review from a time on of everybody in a clinic who consents to care."""
    found = (
        select(Issued)
        .join(PatientRow, PatientRow.id == Issued.patient_id)
        .join(ConsentRow, ConsentRow.patient_id == Issued.patient_id)
        .where(PatientRow.clinic == clinic, Issued.kind == "review", Issued.time >= begin)
        .where(ConsentRow.purpose == "care", ConsentRow.ended.is_(None))
        .order_by(Issued.time)
    )
    latest = {row.patient_id: row for row in session.scalars(found)}
    return {
        patient_id: _opened(person_key(session, vault, patient_id), row)
        for patient_id, row in latest.items()
    }


def announced(session: Session, patient_id: uuid.UUID, begin: datetime) -> list[Announcement]:
    """What can be read and was issued from a time on, in order; none of the unknown and erased."""
    found = select(Issued.id, Issued.kind, Issued.time).where(
        Issued.patient_id == patient_id, Issued.time >= begin, Issued.kind != "misses"
    )
    return [Announcement(*row) for row in session.execute(found.order_by(Issued.time, Issued.id))]


def get(session: Session, vault: Vault, patient_id: uuid.UUID, document_id: uuid.UUID) -> Document:
    """A document by its identifier.

    Raises:
        UnknownError: There is no such patient, or the patient has no such document.
    """
    key = person_key(session, vault, patient_id)
    row = session.get(Issued, document_id)
    if row is None or row.patient_id != patient_id:
        raise _unknown()
    return _opened(key, row)


def drop_comparison(session: Session, patient_id: uuid.UUID, document_id: uuid.UUID) -> None:
    """Forget a kept comparison; other documents stay.

    Raises:
        UnknownError: The patient has no such comparison.
    """
    place = {"id": document_id, "patient_id": patient_id, "kind": "comparison"}
    row = session.scalars(select(Issued).filter_by(**place)).one_or_none()
    if row is None:
        raise _unknown()
    session.delete(row)


def compare(
    session: Session, vault: Vault, patient_id: uuid.UUID, forecast: Document
) -> Comparison:
    """A forecast beside the readings that came.

    Raises:
        UnknownError: There is no such patient.
    """
    report = ForecastReport.model_validate_json(forecast.content)
    reach = timedelta(minutes=STEP_MIN / 2)
    begin, end = report.times[0] - reach, report.times[-1] + reach
    rows = kept(session, vault, patient_id, ["glucose"], begin, end)
    readings = [row.event for row in rows if isinstance(row.event, GlucoseReading)]
    times = [reading.time for reading in readings]
    nearest = [_nearest(times, time, reach) for time in report.times]
    observed = [None if i is None else from_mg_dl(readings[i].mg_dl, report.unit) for i in nearest]
    return Comparison(report, observed)


def _nearest(times: Sequence[datetime], time: datetime, reach: timedelta) -> int | None:
    """Which of the sorted times is nearest within reach."""
    after = bisect_left(times, time)
    near = [i for i in (after - 1, after) if 0 <= i < len(times) and abs(times[i] - time) <= reach]
    return min(near, key=lambda i: abs(times[i] - time), default=None)


def _opened(key: bytes, row: Issued) -> Document:
    content = unseal(key, row.sealed, "issued", row.patient_id, row.id)
    return Document(row.id, row.kind, row.time, row.model, content)


def _unknown() -> UnknownError:
    return UnknownError([Problem("document", "there is no such document", "Check the identifier.")])
