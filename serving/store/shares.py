"""Shares: what somebody else may do with a person's data, from when until when."""

import uuid
from collections.abc import Iterable, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from serving.store.errors import UnknownError
from serving.store.patients import lock
from serving.store.tables import ShareRow

Scope = Literal["read", "write", "forecast"]
State = Literal["pending", "active", "expired", "revoked"]


@dataclass(frozen=True)
class Share:
    """A person's word that a subject may act for them.

    Attributes:
        id: Of the share.
        patient_id: Whose data.
        subject: Who may.
        scopes: What.
        begin: From when.
        end: Until when; at this time it is over.
        revoked: When the person took it back, if they did.
    """

    id: uuid.UUID
    patient_id: uuid.UUID
    subject: str
    scopes: Set[str]
    begin: datetime
    end: datetime
    revoked: datetime | None

    def state(self, now: datetime) -> State:
        """How it stands at a time."""
        if self.revoked is not None and self.revoked <= now:
            return "revoked"
        if now < self.begin:
            return "pending"
        return "active" if now < self.end else "expired"


def give(
    session: Session,
    patient_id: uuid.UUID,
    subject: str,
    scopes: Iterable[Scope],
    begin: datetime,
    end: datetime,
) -> Share:
    """Share with somebody for a time.

    Raises:
        UnknownError: There is no such patient.
        ValueError: The share would be empty.
    """
    share = Share(uuid.uuid4(), patient_id, subject, frozenset(scopes), begin, end, None)
    if begin >= end or not share.scopes:
        raise ValueError("a share has a scope, and ends after it begins")
    lock(session, patient_id)
    row = ShareRow(
        id=share.id,
        patient_id=patient_id,
        subject=subject,
        scopes=" ".join(sorted(share.scopes)),
        created=datetime.now(UTC),
        begin=begin,
        end=end,
    )
    session.add(row)
    session.flush()
    return share


def revoke(
    session: Session, patient_id: uuid.UUID, share_id: uuid.UUID, now: datetime | None = None
) -> Share:
    """Take a share back; it holds from the commit on.

    Raises:
        UnknownError: The patient has no such share.
    """
    lock(session, patient_id)
    row = session.get(ShareRow, share_id, populate_existing=True)
    if row is None or row.patient_id != patient_id:
        raise UnknownError.of("share", "there is no such share", "Read the shares again.")
    row.revoked = row.revoked or now or datetime.now(UTC)
    session.flush()
    return _share(row)


def of_patient(session: Session, patient_id: uuid.UUID) -> list[Share]:
    """All shares that a person ever gave, in order of their begin."""
    return _found(session, ShareRow.patient_id == patient_id)


def with_subject(session: Session, subject: str) -> list[Share]:
    """All shares that somebody was ever given, in order of their begin."""
    return _found(session, ShareRow.subject == subject)


def _found(session: Session, which: ColumnElement[bool]) -> list[Share]:
    rows = session.scalars(select(ShareRow).where(which).order_by(ShareRow.begin, ShareRow.id))
    return [_share(row) for row in rows]


def _share(row: ShareRow) -> Share:
    scopes = frozenset(row.scopes.split())
    return Share(row.id, row.patient_id, row.subject, scopes, row.begin, row.end, row.revoked)
