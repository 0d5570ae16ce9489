"""Whose twin answers for a stored patient: their own, if it was fitted, or the population's."""

import uuid

from sqlalchemy.orm import Session

from hybridtwin.registry import personal_from_bytes
from hybridtwin.twin import Twin
from serving.store import issued
from serving.store.vault import Vault


def twin_of(session: Session, vault: Vault, patient: uuid.UUID, population: Twin) -> Twin:
    """A patient's latest twin; the population's if there is none that was fitted on it.

    Raises:
        UnknownError: There is no such patient.
    """
    kept = issued.find(session, vault, patient, "twin", limit=1)
    own = personal_from_bytes(kept[0].content, population) if kept else None
    return own or population
