"""Sessions of people who signed in by a browser: 256 random bits, of which only the hash is kept.

Who they are is sealed with the master key: a copy of the database tells no names. A session that
is over is deleted; that there was one is in the audit log.
"""

import hashlib
import secrets
import uuid
from datetime import datetime, timedelta
from typing import Final

from pydantic import TypeAdapter
from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from serving.access.caller import Caller
from serving.store.errors import VaultError
from serving.store.tables import SessionRow
from serving.store.vault import Vault, seal, unseal

_CALLER: Final = TypeAdapter(Caller)
_TABLE: Final = "sessions"


def begin(
    session: Session, vault: Vault, who: Caller, now: datetime, lasts: timedelta, idle: timedelta
) -> str:
    """Begin a session; its secret, which cannot be had again. Those that are over go."""
    over = or_(SessionRow.expires <= now, SessionRow.used <= now - idle)
    session.execute(delete(SessionRow).where(over))
    known_by, secret = uuid.uuid4(), secrets.token_urlsafe(32)
    session.add(
        SessionRow(
            id=known_by,
            digest=_digest(secret),
            subject=who.subject,
            created=now,
            used=now,
            expires=now + lasts,
            sealed=seal(vault.master, _CALLER.dump_json(who), _TABLE, known_by),
        )
    )
    session.flush()
    return secret


def find(
    session: Session, vault: Vault, secret: str, now: datetime, idle: timedelta
) -> tuple[Caller, datetime] | None:
    """Whose session a secret is, and when it was last used; None once it is over."""
    row = session.scalars(
        select(SessionRow).where(
            SessionRow.digest == _digest(secret),
            SessionRow.expires > now,
            SessionRow.used > now - idle,
        )
    ).one_or_none()
    who = _open(vault, row) if row else None
    return (who, row.used) if row and who else None


def use(session: Session, secret: str, now: datetime) -> None:
    """Note that a session is in use; one that was ended meanwhile stays so."""
    row = update(SessionRow).where(SessionRow.digest == _digest(secret), SessionRow.used < now)
    session.execute(row.values(used=now))


def end(session: Session, secret: str) -> str | None:
    """End a session; whose it was, if there was one."""
    row = delete(SessionRow).where(SessionRow.digest == _digest(secret))
    return session.scalars(row.returning(SessionRow.subject)).one_or_none()


def end_all(session: Session, subject: str | None = None) -> list[str]:
    """End everybody's sessions, or somebody's; whose they were."""
    rows = delete(SessionRow)
    if subject is not None:
        rows = rows.where(SessionRow.subject == subject)
    return sorted(session.scalars(rows.returning(SessionRow.subject)))


def _open(vault: Vault, row: SessionRow) -> Caller | None:
    """Who it is; nobody where the master key is another by now: they sign in again."""
    for master in (vault.master, *vault.older):
        try:
            return _CALLER.validate_json(unseal(master, row.sealed, _TABLE, row.id))
        except VaultError:
            continue
    return None


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
