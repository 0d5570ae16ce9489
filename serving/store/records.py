"""From rows to a Record: what the twin reads of a stored person."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import pandas as pd
from sqlalchemy import select
from sqlalchemy.orm import Session

from hybridtwin.event_tables import TABLES, of_spans
from hybridtwin.events import Event, Profile
from hybridtwin.record import Note, Provenance, Record, from_events
from serving.store.observations import kept
from serving.store.tables import CompleteLog
from serving.store.vault import Vault

CHANNEL: Final = {"insulin": "bolus", "meals": "meals"}
"""Which of a Record's logs a batch's log is."""


def complete_logs(session: Session, patient_id: uuid.UUID) -> list[CompleteLog]:
    """The spans in which senders said that a log is complete, in order of their begin."""
    of_patient = select(CompleteLog).where(CompleteLog.patient_id == patient_id)
    return list(session.scalars(of_patient.order_by(CompleteLog.begin, CompleteLog.end)))


def record_of(
    session: Session,
    vault: Vault,
    patient_id: uuid.UUID,
    profile: Profile,
    begin: datetime | None = None,
    end: datetime | None = None,
) -> Record:
    """What is known of a person between two times, as the twin reads it.

    Of two readings at one time the one received later counts; equal rows from two sources count
    once. Insulin and meals are unknown outside of the spans in which somebody said that their log
    is complete.

    Raises:
        UnknownError: There is no such patient.
        RecordError: The rows contradict each other.
    """
    events: dict[str, dict[object, Event]] = {name: {} for name in TABLES}
    sources, rows = set(), 0
    for row in kept(session, vault, patient_id, begin=begin, end=end):
        same = row.event.time if row.kind == "glucose" else row.event.model_dump_json()
        events[row.kind][same] = row.event
        sources.add(row.source)
        rows += 1
    doubled = rows - sum(len(rows_by_key) for rows_by_key in events.values())
    note = Note(action="dropped", what="rows", count=doubled, why="another source sent them too")
    record = from_events(
        profile,
        **{name: list(rows_by_key.values()) for name, rows_by_key in events.items()},  # type: ignore[arg-type]
        provenance=Provenance(
            source=", ".join(sorted(sources)) or "nobody", notes=[note] if doubled else []
        ),
    )
    return record.with_tables(logged=_logged(complete_logs(session, patient_id), begin, end))


def _logged(
    logs: Sequence[CompleteLog], begin: datetime | None, end: datetime | None
) -> pd.DataFrame:
    """The spans of each channel, cut to what was asked for and joined where they meet."""
    spans: list[tuple[str, datetime, datetime]] = []
    for kind, channel in CHANNEL.items():
        joined: list[tuple[datetime, datetime]] = []
        for log in logs:  # in order of their begin
            first, last = max(log.begin, begin or log.begin), min(log.end, end or log.end)
            if log.kind != kind or first >= last:
                continue
            if joined and first <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(joined[-1][1], last))
            else:
                joined.append((first, last))
        spans += [(channel, first, last) for first, last in joined]
    return of_spans(spans)
