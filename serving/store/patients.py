"""Patients: who is known here, and forgetting them."""

import json
import uuid
from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from hybridtwin.errors import Problem
from hybridtwin.events import Profile
from serving.store import audit
from serving.store.database import Database
from serving.store.errors import ConflictError, UnknownError
from serving.store.tables import (
    ApiKeyRow,
    CompleteLog,
    ConsentRow,
    DataKey,
    FollowUpRow,
    ImportRow,
    Issued,
    JobRow,
    Observation,
    PatientRow,
    ShareRow,
    SummaryRow,
)
from serving.store.vault import Vault, destroy_key, new_key, person_key, seal, unseal

_OF_PATIENTS: Final = (
    Observation,
    CompleteLog,
    Issued,
    SummaryRow,
    FollowUpRow,
    ImportRow,
    ConsentRow,
    ShareRow,
    ApiKeyRow,
    JobRow,
)
_ENTERED: Final = PatientRow.id.in_(select(DataKey.patient_id))
"""Not the erased, nor who was cut off between SQLite's two files: nobody was told of them."""


@dataclass(frozen=True)
class Patient:
    """A person as the store knows them.

    Attributes:
        id: A random identifier.
        clinic: To which they belong, if any.
        name: As the clinic calls them; None where nobody said.
        profile: What the twin needs to know.
        created: When they were entered.
        version: Counts changes, so that two editors do not overwrite each other.
    """

    id: uuid.UUID
    clinic: str | None
    name: str | None
    profile: Profile
    created: datetime
    version: int


def create(
    session: Session,
    vault: Vault,
    profile: Profile,
    clinic: str | None = None,
    name: str | None = None,
    patient_id: uuid.UUID | None = None,
) -> Patient:
    """Enter a person under a new random identifier, or under one that was given to them.

    Raises:
        ConflictError: The identifier is taken, or was somebody's who was erased.
    """
    known_by = patient_id or uuid.uuid4()
    patient = Patient(known_by, clinic, name, profile, datetime.now(UTC), version=1)
    row = session.get(PatientRow, patient.id) or PatientRow(id=patient.id)
    if row.erased or session.get(DataKey, patient.id):
        raise _taken()
    key = new_key(session, vault, patient.id)
    row.clinic, row.created, row.version = clinic, patient.created, patient.version
    row.sealed = _seal(key, patient.id, profile, name)
    session.add(row)
    try:
        session.flush()
    except IntegrityError as error:  # somebody else entered them meanwhile
        raise _taken() from error
    return patient


def find(session: Session, vault: Vault, patient_id: uuid.UUID) -> Patient:
    """A person by their identifier.

    Raises:
        UnknownError: There is no such person, or no longer.
    """
    row = session.get(PatientRow, patient_id)
    key = person_key(session, vault, patient_id)
    if row is None or row.sealed is None:
        raise _unknown()
    said = json.loads(unseal(key, row.sealed, "patients", patient_id))
    profile = Profile.model_validate(said["profile"])
    return Patient(row.id, row.clinic, said["name"], profile, row.created, row.version)


def change(
    session: Session,
    vault: Vault,
    patient_id: uuid.UUID,
    profile: Profile,
    name: str | None = None,
    version: int | None = None,
) -> Patient:
    """Put a person's profile and name in place of the old ones.

    Args:
        session: A writing transaction.
        vault: Opens what is sealed.
        patient_id: Whose.
        profile: The new profile.
        name: The new name.
        version: The version that was read before; None changes whatever is there.

    Raises:
        UnknownError: There is no such person.
        ConflictError: The version is no longer the present one.
    """
    row = lock(session, patient_id)
    if version not in (None, row.version):
        raise ConflictError.of(
            "version", "somebody else changed the patient meanwhile", "Read it again first."
        )
    row.sealed = _seal(person_key(session, vault, patient_id), patient_id, profile, name)
    row.version += 1
    session.flush()
    return Patient(row.id, row.clinic, name, profile, row.created, row.version)


def in_clinic(
    session: Session, clinic: str, after: uuid.UUID | None = None, limit: int = 100
) -> list[uuid.UUID]:
    """Identifiers of a clinic's patients, in pages.

    Args:
        session: A transaction.
        clinic: Which.
        after: The last identifier of the page before.
        limit: At most so many.
    """
    found = select(PatientRow.id).where(PatientRow.clinic == clinic, _ENTERED)
    if after is not None:
        found = found.where(PatientRow.id > after)
    return list(session.scalars(found.order_by(PatientRow.id).limit(limit)))


def count(session: Session, clinic: str) -> int:
    """How many patients a clinic has."""
    found = select(func.count()).select_from(PatientRow)
    found = found.where(PatientRow.clinic == clinic, _ENTERED)
    return session.scalar(found) or 0


def known(session: Session, patient_ids: Sequence[uuid.UUID]) -> Set[uuid.UUID]:
    """Those of them who are known here, and not erased."""
    found = select(PatientRow.id).where(PatientRow.id.in_(patient_ids), _ENTERED)
    return frozenset(session.scalars(found))


def clinic_of(session: Session, patient_id: uuid.UUID) -> str | None:
    """The clinic that a person belongs to; None for nobody's, the erased and the unknown."""
    return session.scalar(select(PatientRow.clinic).where(PatientRow.id == patient_id))


def lock(session: Session, patient_id: uuid.UUID) -> PatientRow:
    """Let no other writer change the person's data until the transaction ends.

    Raises:
        UnknownError: There is no such person, or no longer.
    """
    known = select(PatientRow).where(PatientRow.id == patient_id, PatientRow.erased.is_(None))
    row = session.scalars(
        known.with_for_update(key_share=True).execution_options(populate_existing=True)
    ).one_or_none()
    if row is None:
        raise _unknown()
    return row


def erase(database: Database, patient_id: uuid.UUID, actor: str) -> None:
    """Forget a person: rows deleted, key destroyed, files scrubbed; it may be repeated.

    What remains is the random identifier with the time of the erasure, and the audit log.

    Raises:
        UnknownError: There never was such a person.
        StoreError: The database cannot be used, or its files are not yet scrubbed.
    """
    with database.session() as session:
        # First what works at them: it holds its job while it waits for the patient.
        session.execute(delete(JobRow).where(JobRow.patient_id == patient_id))
        row = session.get(PatientRow, patient_id, with_for_update=True)
        if row is None:
            raise _unknown()
        if row.erased is None:
            for table in _OF_PATIENTS:
                session.execute(delete(table).where(table.patient_id == patient_id))
            destroy_key(session, patient_id)
            row.clinic, row.sealed, row.erased = None, None, datetime.now(UTC)
            audit.append(session, actor, "patient.erase", patient_id)
    database.scrub()


def finish_erasures(database: Database) -> None:
    """Destroy the keys of the erased that a crash between SQLite's two files has left, or a backup
    of the keys has brought back.

    Raises:
        StoreError: The database cannot be used, or its files are not yet scrubbed.
    """
    erased = select(PatientRow.id).where(PatientRow.erased.is_not(None))
    with database.session() as session:
        left = session.scalars(
            delete(DataKey).where(DataKey.patient_id.in_(erased)).returning(DataKey.patient_id)
        ).all()
    if left:
        database.scrub()


def _seal(key: bytes, patient_id: uuid.UUID, profile: Profile, name: str | None) -> bytes:
    said = {"name": name, "profile": profile.model_dump(mode="json")}
    return seal(key, json.dumps(said).encode(), "patients", patient_id)


def _taken() -> ConflictError:
    return ConflictError([Problem("patient", "the identifier is taken", "Use another one.")])


def _unknown() -> UnknownError:
    return UnknownError([Problem("patient", "there is no such patient", "Check the identifier.")])
