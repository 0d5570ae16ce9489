"""The audit log: who did what to whom, and whether it was allowed. It is only ever appended to.

Every entry carries the hash of the one before, so that a change, a gap or another order shows.
Whoever can write to the whole database could make a new chain: keep the head that `verify` gives
outside of it from time to time, and hand it to the next `verify`.

Entries hold no health data: an actor's identifier, an action's name, a patient's random
identifier and the outcome.
"""

import hashlib
import json
import re
import uuid
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from hybridtwin.errors import Problem
from serving.store.errors import AuditError
from serving.store.tables import AuditEntry, AuditHead

Outcome = Literal["done", "denied"]

_ACTION: Final = re.compile(r"[a-z][a-z_.]{0,63}")
_IN_PIECES: Final = {"yield_per": 1000, "populate_existing": True}


@dataclass(frozen=True)
class Head:
    """Where the log ends: its last entry's number and hash in hex."""

    sequence: int
    digest: str

    def __str__(self) -> str:
        return f"{self.sequence}:{self.digest}"


def head_from(text: str) -> Head:
    """A head as it was printed.

    Raises:
        AuditError: It is none.
    """
    if not re.fullmatch(r"\d+:[0-9a-f]{64}", text):
        raise AuditError.of("head", "is not what verify prints", "Write it as 17:0a1b...")
    sequence, digest = text.split(":")
    return Head(int(sequence), digest)


def append(
    session: Session,
    actor: str,
    action: str,
    patient_id: uuid.UUID | None = None,
    outcome: Outcome = "done",
) -> None:
    """Add an entry; it stands or falls with the transaction.

    Call it last: until the commit, others who append wait.

    Args:
        session: A writing transaction.
        actor: Subject of a token or identifier of a key; no name.
        action: As the policy calls it, such as `observations.write`.
        patient_id: Whose data it was about.
        outcome: Whether it was done or denied.

    Raises:
        ValueError: The action is no action's name.
    """
    if not _ACTION.fullmatch(action):
        raise ValueError("an action is lower-case words with dots")
    session.flush()  # what it is about comes before it
    head = session.get_one(AuditHead, 1, with_for_update=True, populate_existing=True)
    entry = AuditEntry(
        sequence=head.sequence + 1,
        time=datetime.now(UTC),
        actor=actor,
        action=action,
        patient_id=patient_id,
        outcome=outcome,
        previous=head.digest,
    )
    entry.digest = _digest(entry)
    session.add(entry)
    head.sequence, head.digest = entry.sequence, entry.digest
    session.flush()


def verify(session: Session, anchor: Head | None = None) -> Head:
    """Check the whole log; where it ends.

    Args:
        session: A transaction.
        anchor: A head found earlier and kept elsewhere; it has to be part of the log.

    Raises:
        AuditError: An entry was changed, removed, added or moved.
    """
    last = Head(0, bytes(32).hex())
    anchored = anchor is None or anchor == last
    in_order = select(AuditEntry).order_by(AuditEntry.sequence)
    with closing(session.scalars(in_order.execution_options(**_IN_PIECES))) as rows:
        for row in rows:
            if row.sequence != last.sequence + 1 or row.previous.hex() != last.digest:
                raise _broken(f"entry {row.sequence}", f"does not follow entry {last.sequence}")
            if row.digest != _digest(row):
                raise _broken(f"entry {row.sequence}", "was changed")
            last = Head(row.sequence, row.digest.hex())
            anchored = anchored or anchor == last
    head = session.get_one(AuditHead, 1, populate_existing=True)
    if Head(head.sequence, head.digest.hex()) != last:
        raise _broken(f"entry {head.sequence}", "is the last one, but the log ends elsewhere")
    if anchor and not anchored:
        raise _broken(f"entry {anchor.sequence}", "is not what it was when it was last verified")
    return last


def entries(
    session: Session, patient_id: uuid.UUID | None = None, after: int = 0, limit: int | None = None
) -> list[AuditEntry]:
    """What was done, in order, in pages.

    Args:
        session: A transaction.
        patient_id: To whom; None for everything.
        after: The number of the last entry of the page before.
        limit: At most so many; all if None.
    """
    found = select(AuditEntry).where(AuditEntry.sequence > after)
    if patient_id is not None:
        found = found.where(AuditEntry.patient_id == patient_id)
    return list(session.scalars(found.order_by(AuditEntry.sequence).limit(limit)))


def _digest(entry: AuditEntry) -> bytes:
    said = [
        entry.sequence,
        entry.time.isoformat(),
        entry.actor,
        entry.action,
        str(entry.patient_id) if entry.patient_id else None,
        entry.outcome,
        entry.previous.hex(),
    ]
    return hashlib.sha256(json.dumps(said, separators=(",", ":")).encode()).digest()


def _broken(where: str, what: str) -> AuditError:
    advice = "Compare the log with a backup; somebody wrote to it directly."
    return AuditError([Problem(where, what, advice)])
