"""Keys for machines: 256 random bits, shown once; only their hash is kept.

A slow hash would protect guessable passwords; nobody guesses 256 random bits.
"""

import hashlib
import secrets
import uuid
from collections.abc import Iterable, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from serving.store.errors import UnknownError
from serving.store.patients import lock
from serving.store.tables import ApiKeyRow

PREFIX: Final = "htk_"
"""Begins every key, so that scanners of code and logs find one that leaked."""


@dataclass(frozen=True)
class ApiKey:
    """What a key allows; not the key itself.

    Attributes:
        id: By which it is revoked and named in the audit log.
        name: What it is for.
        roles: As a token's claim would say.
        clinics: As a token's claim would say.
        patient_id: Whose own data it reaches, if any.
        created: When it was made.
        expires: When it ends by itself, if it does.
        revoked: When it was taken back, if it was.
    """

    id: uuid.UUID
    name: str
    roles: Set[str]
    clinics: Set[str]
    patient_id: uuid.UUID | None
    created: datetime
    expires: datetime | None
    revoked: datetime | None

    def valid(self, now: datetime) -> bool:
        """Whether it opens anything at a time."""
        return self.revoked is None and (self.expires is None or now < self.expires)


def create(
    session: Session,
    name: str,
    roles: Iterable[str],
    clinics: Iterable[str] = (),
    patient_id: uuid.UUID | None = None,
    expires: datetime | None = None,
) -> tuple[ApiKey, str]:
    """Make a key; the second is its secret, which cannot be had again.

    Raises:
        UnknownError: There is no such patient.
        ValueError: A role or a clinic has a space in its name.
    """
    if patient_id is not None:
        lock(session, patient_id)
    secret = PREFIX + secrets.token_urlsafe(32)
    row = ApiKeyRow(
        id=uuid.uuid4(),
        name=name,
        digest=_digest(secret),
        roles=_joined(roles),
        clinics=_joined(clinics),
        patient_id=patient_id,
        created=datetime.now(UTC),
        expires=expires,
    )
    session.add(row)
    session.flush()
    return _key(row), secret


def find(session: Session, secret: str, now: datetime | None = None) -> ApiKey | None:
    """The key that a secret is, if it still opens anything."""
    row = session.scalars(
        select(ApiKeyRow).where(ApiKeyRow.digest == _digest(secret))
    ).one_or_none()
    key = _key(row) if row else None
    return key if key and key.valid(now or datetime.now(UTC)) else None


def revoke(session: Session, key_id: uuid.UUID, now: datetime | None = None) -> ApiKey:
    """Take a key back; it holds from the commit on.

    Raises:
        UnknownError: There is no such key.
    """
    row = session.get(ApiKeyRow, key_id, with_for_update=True)
    if row is None:
        raise UnknownError.of("key", "there is no such key", "Read the keys again.")
    row.revoked = row.revoked or now or datetime.now(UTC)
    session.flush()
    return _key(row)


def everything(session: Session) -> list[ApiKey]:
    """All keys that were ever made, in order."""
    rows = session.scalars(select(ApiKeyRow).order_by(ApiKeyRow.created, ApiKeyRow.id))
    return [_key(row) for row in rows]


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _joined(names: Iterable[str]) -> str:
    named = sorted(set(names))
    if any(not name or set(name) & set(" \t\n") for name in named):
        raise ValueError("names of roles and clinics have no spaces")
    return " ".join(named)


def _key(row: ApiKeyRow) -> ApiKey:
    return ApiKey(
        id=row.id,
        name=row.name,
        roles=frozenset(row.roles.split()),
        clinics=frozenset(row.clinics.split()),
        patient_id=row.patient_id,
        created=row.created,
        expires=row.expires,
        revoked=row.revoked,
    )
