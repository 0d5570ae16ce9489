"""Consents: to which use of their data a person agreed, by which text, and until when."""

import uuid
from collections.abc import Set
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from serving.store.patients import lock
from serving.store.tables import ConsentRow, DataKey

Purpose = Literal["care", "sharing", "research"]


@dataclass(frozen=True)
class Consent:
    """An agreement to one version of a purpose's text.

    Attributes:
        purpose: Care by the clinic, sharing with others, or research and training.
        version: Of the text that was agreed to.
        given: When.
        ended: When it was withdrawn, or replaced by one to a newer text.
    """

    purpose: str
    version: str
    given: datetime
    ended: datetime | None


def give(
    session: Session,
    patient_id: uuid.UUID,
    purpose: Purpose,
    version: str,
    now: datetime | None = None,
) -> None:
    """Note that a person agrees; agreeing to the same text again changes nothing.

    Raises:
        UnknownError: There is no such patient.
    """
    now = now or datetime.now(UTC)
    lock(session, patient_id)
    before = _standing(session, patient_id, purpose)
    if before and before.version == version:
        return
    if before:
        before.ended = now
        session.flush()
    row = ConsentRow(
        id=uuid.uuid4(), patient_id=patient_id, purpose=purpose, version=version, given=now
    )
    session.add(row)
    session.flush()


def withdraw(
    session: Session, patient_id: uuid.UUID, purpose: Purpose, now: datetime | None = None
) -> None:
    """Note that a person no longer agrees; it holds from the commit on.

    Raises:
        UnknownError: There is no such patient.
    """
    lock(session, patient_id)
    if before := _standing(session, patient_id, purpose):
        before.ended = now or datetime.now(UTC)
        session.flush()


def may_use(session: Session, patient_id: uuid.UUID, purpose: Purpose) -> bool:
    """Whether a person agrees to a use of their data now."""
    return purpose in purposes(session, patient_id)


def purposes(session: Session, patient_id: uuid.UUID) -> Set[str]:
    """All uses to which a person agrees now; none for the unknown and the erased."""
    standing = select(ConsentRow.purpose).where(
        ConsentRow.patient_id == patient_id, ConsentRow.ended.is_(None)
    )
    return frozenset(session.scalars(standing))


def agreeing(session: Session, purpose: Purpose) -> dict[uuid.UUID, Consent]:
    """Everybody who agrees to a use now, and to what."""
    standing = select(ConsentRow).join(DataKey, DataKey.patient_id == ConsentRow.patient_id)
    standing = standing.where(ConsentRow.purpose == purpose, ConsentRow.ended.is_(None))
    rows = session.scalars(standing.order_by(ConsentRow.patient_id))
    return {row.patient_id: _consent(row) for row in rows}


def history(session: Session, patient_id: uuid.UUID) -> list[Consent]:
    """All that a person ever agreed to, in order."""
    rows = session.scalars(
        select(ConsentRow).where(ConsentRow.patient_id == patient_id).order_by(ConsentRow.given)
    )
    return [_consent(row) for row in rows]


def _consent(row: ConsentRow) -> Consent:
    return Consent(row.purpose, row.version, row.given, row.ended)


def _standing(session: Session, patient_id: uuid.UUID, purpose: Purpose) -> ConsentRow | None:
    standing = select(ConsentRow).where(
        ConsentRow.patient_id == patient_id,
        ConsentRow.purpose == purpose,
        ConsentRow.ended.is_(None),
    )
    return session.scalars(standing.execution_options(populate_existing=True)).one_or_none()
