"""What the panel shows of people: a few sealed parts for each, read for a whole clinic at once."""

import json
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import Select, case, delete, select
from sqlalchemy.orm import Session

from serving.store.patients import lock
from serving.store.tables import ConsentRow, PatientRow, SummaryRow
from serving.store.vault import Vault, person_key, person_keys, seal, unseal

Part = Literal["lately", "night", "morning", "nights", "follow_up"]
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
        times: Of which time each part tells, those that were not asked for too.
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
    session: Session, vault: Vault, clinics: Collection[str], parts: Collection[Part]
) -> list[Summary]:
    """Everybody of some clinics who consents to care, with these parts, in three queries."""
    within = _agreeing(clinics)
    keys = person_keys(session, vault, within)
    found: dict[uuid.UUID, dict[str, bytes]] = {one: {} for one in keys}
    times: dict[uuid.UUID, dict[str, datetime]] = {one: {} for one in keys}
    sealed_of_wanted = case((SummaryRow.part.in_(parts), SummaryRow.sealed))
    rows = select(SummaryRow.patient_id, SummaryRow.part, SummaryRow.time, sealed_of_wanted)
    for one, part, time, sealed in session.execute(rows.where(SummaryRow.patient_id.in_(within))):
        times[one][part] = time
        if sealed is not None:
            found[one][part] = unseal(keys[one], sealed, _TABLE, one, part)
    people = select(PatientRow.id, PatientRow.clinic, PatientRow.sealed)
    summaries = []
    for one, clinic, about in session.execute(people.where(PatientRow.id.in_(within))):
        said = json.loads(unseal(keys[one], about or b"", "patients", one))
        summaries.append(
            Summary(one, str(clinic), said["name"], said["profile"], found[one], times[one])
        )
    return summaries


def clinics(session: Session) -> list[str]:
    """All clinics that have a patient."""
    found = select(PatientRow.clinic).where(PatientRow.clinic.is_not(None)).distinct()
    return [str(clinic) for clinic in session.scalars(found.order_by(PatientRow.clinic))]


def _agreeing(clinics: Collection[str]) -> Select[uuid.UUID]:
    return (
        select(PatientRow.id)
        .join(ConsentRow, ConsentRow.patient_id == PatientRow.id)
        .where(
            PatientRow.clinic.in_(clinics),
            ConsentRow.purpose == "care",
            ConsentRow.ended.is_(None),
        )
    )
