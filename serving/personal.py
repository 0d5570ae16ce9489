"""What the twin needs to answer for a stored patient: their record, and whose twin it is."""

import uuid
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from hybridtwin.assimilation.misses import misses_from_bytes
from hybridtwin.record import Record
from hybridtwin.registry import personal_from_bytes
from hybridtwin.twin import Twin
from serving.store import issued, patients
from serving.store.records import record_of
from serving.v1.belief import model_of
from serving.v1.store import Store

CURRENT: Final = timedelta(days=7)
"""For how long it counts what forecasts of a patient missed."""


def record_and_twin(
    store: Store, patient: uuid.UUID, population: Twin, now: datetime, days: int | None = None
) -> tuple[Record, Twin]:
    """What is known of a patient, and their latest twin, as far as it was kept current.

    The transaction is over before anything is computed with them.

    Args:
        store: Where they are kept.
        patient: Whose.
        population: The twin of those who have none that was fitted on it.
        now: The present.
        days: How many days before it; all if None.

    Raises:
        UnknownError: There is no such patient.
    """
    begin = None if days is None else now - timedelta(days=days)
    with store.database.reading() as session:
        profile = patients.find(session, store.vault, patient).profile
        record = record_of(session, store.vault, patient, profile, begin, now)
        kept = issued.find(session, store.vault, patient, "twin", limit=1)
        learnt = issued.find(session, store.vault, patient, "misses", now - CURRENT, now, limit=1)
    own = personal_from_bytes(kept[0].content, population) if kept else None
    twin = own or population
    if learnt and learnt[0].model == model_of(twin):
        twin = replace(twin, misses=misses_from_bytes(learnt[0].content))
    return record, twin
