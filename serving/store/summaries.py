"""What the panel shows of people: a few sealed parts for each, read for a whole clinic at once."""

import json
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, and_, delete, select
from sqlalchemy.orm import Session, aliased

from serving.store.errors import UnknownError
from serving.store.patients import lock
from serving.store.tables import ConsentRow, DataKey, PatientRow, SummaryRow
from serving.store.vault import Vault, person_key, seal, unseal, unwrap

Part = Literal[
    "lately", "night", "refused", "morning", "nights", "night_pictures", "weeks", "follow_up"
]
_TABLE: Final = "summaries"


@dataclass(frozen=True)
class Summary:
    """A patient as the panel knows them.

    Attributes:
        id: The patient's.
        clinic: Theirs.
        name: As the clinic calls them.
        profile: What the twin knows of them, as plain values.
        parts: By name, as they were put.
        times: Of which time the parts tell whose time was asked for.
    """

    id: uuid.UUID
    clinic: str
    name: str | None
    profile: Mapping[str, Any]
    parts: Mapping[str, bytes]
    times: Mapping[str, datetime]


def put(
    session: Session,
    vault: Vault,
    patient_id: uuid.UUID,
    part: Part,
    time: datetime,
    content: bytes,
) -> None:
    """Put a part in the place of the one before.

    Raises:
        UnknownError: There is no such patient.
    """
    lock(session, patient_id)
    key = person_key(session, vault, patient_id)
    place = {"patient_id": patient_id, "part": part}
    session.execute(delete(SummaryRow).filter_by(**place))
    sealed = seal(key, content, _TABLE, patient_id, part)
    session.add(SummaryRow(**place, time=time, sealed=sealed))
    session.flush()


def get(session: Session, vault: Vault, patient_id: uuid.UUID, part: Part) -> bytes | None:
    """A part of one patient, if there is one.

    Raises:
        UnknownError: There is no such patient.
    """
    key = person_key(session, vault, patient_id)
    row = session.get(SummaryRow, (patient_id, part), populate_existing=True)
    return None if row is None else unseal(key, row.sealed, _TABLE, patient_id, part)


def of_clinics(
    session: Session,
    vault: Vault,
    clinics: Collection[str],
    parts: Collection[Part],
    times: Collection[Part] = (),
) -> list[Summary]:
    """Everybody of some clinics who consents to care, in one query.

    Args:
        session: To read with.
        vault: That opens what is read.
        clinics: Whose patients.
        parts: What is read of each of them.
        times: Parts of which the time is read.

    Raises:
        VaultError: Somebody's key was wrapped by a master key that is not here.
    """
    return _of(session, vault, PatientRow.clinic.in_(clinics), parts, times)


def of_patient(
    session: Session, vault: Vault, patient_id: uuid.UUID, parts: Collection[Part]
) -> Summary:
    """One patient who consents to care, with these parts.

    Raises:
        UnknownError: There is no such patient.
    """
    for found in _of(session, vault, PatientRow.id == patient_id, parts, ()):
        return found
    raise UnknownError.of("patient", "there is no such patient", "Check the identifier.")


def _of(
    session: Session,
    vault: Vault,
    whom: ColumnElement[bool],
    parts: Collection[Part],
    times: Collection[Part],
) -> list[Summary]:
    shown = {part: aliased(SummaryRow) for part in dict.fromkeys([*parts, *times])}
    query = (
        select(PatientRow.id, PatientRow.clinic, PatientRow.sealed)
        .add_columns(DataKey.master_key_id, DataKey.wrapped)
        .add_columns(*(shown[part].sealed for part in parts))
        .add_columns(*(shown[part].time for part in times))
        .join(DataKey, DataKey.patient_id == PatientRow.id)
        .join(ConsentRow, ConsentRow.patient_id == PatientRow.id)
        .where(whom, ConsentRow.purpose == "care", ConsentRow.ended.is_(None))
    )
    for part, row in shown.items():
        query = query.outerjoin(row, and_(row.patient_id == PatientRow.id, row.part == part))
    found = []
    for one, clinic, about, key_id, wrapped, *more in session.execute(query):
        place = str(one)
        key = unwrap(vault, place, key_id, wrapped)
        said = json.loads(unseal(key, about, "patients", place))
        found.append(
            Summary(
                id=one,
                clinic=clinic,
                name=said["name"],
                profile=said["profile"],
                parts={
                    part: unseal(key, content, _TABLE, place, part)
                    for part, content in zip(parts, more, strict=False)
                    if content is not None
                },
                times={
                    part: time
                    for part, time in zip(times, more[len(parts) :], strict=True)
                    if time is not None
                },
            )
        )
    return found


def clinics(session: Session) -> list[str]:
    """All clinics that have a patient."""
    found = select(PatientRow.clinic).where(PatientRow.clinic.is_not(None)).distinct()
    return [str(clinic) for clinic in session.scalars(found.order_by(PatientRow.clinic))]
