"""Observations: what was measured, given, eaten and done, as senders said it.

A row is known by person, kind, source and the sender's own key. Sent again it changes nothing;
with other content it takes the place of the version before, which is kept.
"""

import json
import uuid
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from hybridtwin.errors import Problem
from hybridtwin.event_tables import TABLES
from hybridtwin.events import Event
from serving import clock
from serving.store.batch import Batch, Row, read, unbelievable
from serving.store.errors import UnknownError
from serving.store.patients import lock
from serving.store.tables import CompleteLog, Observation
from serving.store.vault import Vault, person_key, seal, tag, unseal

_AT_ONCE: Final = 1000
_READ: Final = (
    Observation.id,
    Observation.kind,
    Observation.source,
    Observation.received,
    Observation.replaced,
    Observation.withdrawn,
    Observation.sealed,
)


@dataclass(frozen=True)
class Outcome:
    """What became of a row.

    Attributes:
        where: Its place in the batch, such as meals[3], or complete.insulin.
        outcome: `known` rows changed nothing; of `corrected` ones the version before is kept.
        id: Identifier of the row's present version; None where it was refused.
        problem: Why it was refused.
    """

    where: str
    outcome: Literal["accepted", "known", "corrected", "refused"]
    id: uuid.UUID | None = None
    problem: Problem | None = None


@dataclass(frozen=True)
class Kept:
    """One version of a row.

    Attributes:
        id: Identifier of this version.
        kind: Its table.
        source: Who sent it.
        sender_id: By what the sender knows it, if they said so.
        event: What happened.
        received: When it was sent.
        replaced: When another version took its place, if one did.
        withdrawn: When it was withdrawn, if it was.
    """

    id: uuid.UUID
    kind: str
    source: str
    sender_id: str | None
    event: Event
    received: datetime
    replaced: datetime | None
    withdrawn: datetime | None


def accept(
    session: Session, vault: Vault, patient_id: uuid.UUID, batch: Batch, now: datetime | None = None
) -> list[Outcome]:
    """Keep what is good of a batch.

    Args:
        session: A writing transaction; what it says is kept once it is committed.
        vault: Seals.
        patient_id: Whose.
        batch: What was sent.
        now: The present; the clock's if absent.

    Returns:
        One outcome for each row, in order, and one for each complete log.

    Raises:
        UnknownError: There is no such patient.
    """
    now = now or clock.now()
    lock(session, patient_id)  # two writers of one person wait for each other
    key = person_key(session, vault, patient_id)
    rows = list(read(batch, now))
    identities = {
        where: tag(key, row.kind, batch.source, row.key)
        for where, row in rows
        if isinstance(row, Row)
    }
    live = _live(session, patient_id, list(identities.values()))
    said = {
        i: unseal(key, row.sealed, "observations", patient_id, row.id) for i, row in live.items()
    }
    present = {identity: row.id for identity, row in live.items()}
    outcomes, new, old = [], [], []
    for where, row in rows:
        if isinstance(row, Problem):
            outcomes.append(Outcome(where, "refused", problem=row))
            continue
        identity, content = identities[where], _content(row)
        if said.get(identity) == content:
            outcomes.append(Outcome(where, "known", present[identity]))
            continue
        version = uuid.uuid4()
        if identity in live:
            old.append(present[identity])
        outcomes.append(Outcome(where, "corrected" if identity in live else "accepted", version))
        said[identity], present[identity] = content, version
        new.append(
            {
                "id": version,
                "patient_id": patient_id,
                "kind": row.kind,
                "source": batch.source,
                "identity": identity,
                "time": row.event.time,
                "received": now,
                "sealed": seal(key, content, "observations", patient_id, version),
            }
        )
    for few in _pieces(old):
        session.execute(update(Observation).where(Observation.id.in_(few)).values(replaced=now))
    if new:
        session.execute(insert(Observation), new)
    return outcomes + [
        _accept_log(session, patient_id, batch, kind, now) for kind in batch.complete
    ]


def withdraw(
    session: Session, patient_id: uuid.UUID, row_id: uuid.UUID, now: datetime | None = None
) -> None:
    """Take a row back: it is kept, but no longer counts, even if it is sent again as it was.

    Raises:
        UnknownError: The patient has no such row, or it was corrected since.
    """
    lock(session, patient_id)
    row = session.get(Observation, row_id, populate_existing=True)
    if row is None or row.patient_id != patient_id or row.replaced is not None:
        raise UnknownError.of("row", "there is no such row", "Read the rows again.")
    row.withdrawn = row.withdrawn or now or clock.now()
    session.flush()


def kept(
    session: Session,
    vault: Vault,
    patient_id: uuid.UUID,
    kinds: Sequence[str] = tuple(TABLES),
    begin: datetime | None = None,
    end: datetime | None = None,
    every_version: bool = False,
) -> Generator[Kept, None, None]:
    """Rows in order of their time: those that count, or every version of every row.

    Args:
        session: A transaction.
        vault: Opens.
        patient_id: Whose.
        kinds: Of which tables.
        begin: From this time on.
        end: Up to this time.
        every_version: Whether to give what was corrected or withdrawn too.

    Raises:
        UnknownError: There is no such patient.
    """
    key = person_key(session, vault, patient_id)
    # Columns: thousands of mapped objects would take longer to make than all else together.
    found = select(*_READ).where(Observation.patient_id == patient_id, Observation.kind.in_(kinds))
    if begin is not None:
        found = found.where(Observation.time >= begin)
    if end is not None:
        found = found.where(Observation.time <= end)
    if not every_version:
        found = found.where(Observation.replaced.is_(None), Observation.withdrawn.is_(None))
    found = found.order_by(Observation.time, Observation.received, Observation.id)
    with closing(session.execute(found.execution_options(yield_per=_AT_ONCE))) as rows:
        for row in rows:
            said = json.loads(unseal(key, row.sealed, "observations", patient_id, row.id))
            yield Kept(
                id=row.id,
                kind=row.kind,
                source=row.source,
                sender_id=said.pop("id"),
                event=TABLES[row.kind].model_validate(said),
                received=row.received,
                replaced=row.replaced,
                withdrawn=row.withdrawn,
            )


def _live(
    session: Session, patient_id: uuid.UUID, identities: Sequence[bytes]
) -> dict[bytes, Observation]:
    found: dict[bytes, Observation] = {}
    for few in _pieces(identities):
        rows = session.scalars(
            select(Observation)
            .where(Observation.patient_id == patient_id, Observation.identity.in_(few))
            .where(Observation.replaced.is_(None))
            .execution_options(populate_existing=True)
        )
        found |= {row.identity: row for row in rows}
    return found


def _pieces(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), _AT_ONCE):
        yield values[start : start + _AT_ONCE]


def _content(row: Row) -> bytes:
    said = row.event.model_dump(mode="json")
    said |= {"id": row.id, "time": row.event.time.astimezone(UTC).isoformat()}
    return json.dumps(said, sort_keys=True).encode()


def _accept_log(
    session: Session, patient_id: uuid.UUID, batch: Batch, kind: Any, now: datetime
) -> Outcome:
    span, where = batch.complete[kind], f"complete.{kind}"
    if problem := unbelievable(span, where, now):
        return Outcome(where, "refused", problem=problem)
    said = {
        "patient_id": patient_id,
        "kind": kind,
        "source": batch.source,
        "begin": span.begin,
        "end": span.end,
    }
    known = session.scalars(select(CompleteLog).filter_by(**said)).one_or_none()
    if known:
        return Outcome(where, "known", known.id)
    row = CompleteLog(id=uuid.uuid4(), received=now, **said)
    session.add(row)
    session.flush()
    return Outcome(where, "accepted", row.id)
