"""Imports: a file of a person's that is read in, and what became of its rows.

The file is kept, sealed, until all of it was read; what became of its rows is kept with them.
"""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from hybridtwin.errors import Problem
from hybridtwin.record import Note
from serving.schema import ProblemItem
from serving.store.errors import ConflictError, UnknownError
from serving.store.observations import Outcome
from serving.store.patients import lock
from serving.store.tables import ImportRow
from serving.store.vault import Vault, person_key, seal, unseal

MAX_PROBLEMS: Final = 1000
"""So many reasons are kept; further refusals are counted alone."""


class ImportReport(BaseModel):
    """What became of a file."""

    model_config = ConfigDict(frozen=True)

    source: str | None = Field(None, description="What the file is; null while nobody knows.")
    accepted: int = Field(0, ge=0, description="How many rows are new.")
    known: int = Field(0, ge=0, description="How many were there before.")
    corrected: int = Field(0, ge=0, description="How many replace another version.")
    refused: int = Field(0, ge=0, description="How many were refused.")
    problems: list[ProblemItem] = Field(
        [],
        description=f"Why the file could not be read, or rows were refused; the first "
        f"{MAX_PROBLEMS}.",
    )
    notes: list[Note] = Field(
        [], description="What was mended, dropped or found missing while the file was read."
    )

    def with_outcomes(self, outcomes: Sequence[Outcome]) -> "ImportReport":
        """The report after further rows."""
        counts = {name: getattr(self, name) for name in _OUTCOMES}
        for outcome in outcomes:
            counts[outcome.outcome] += 1
        found = [outcome.problem for outcome in outcomes if outcome.problem]
        return self.model_copy(update=counts).with_problems(found)

    def with_problems(self, problems: Sequence[Problem]) -> "ImportReport":
        """The report with further reasons."""
        items = [ProblemItem(where=p.where, what=p.what, advice=p.advice) for p in problems]
        return self.model_copy(update={"problems": [*self.problems, *items][:MAX_PROBLEMS]})


_OUTCOMES: Final = ("accepted", "known", "corrected", "refused")


def begin(
    session: Session, vault: Vault, patient_id: uuid.UUID, import_id: uuid.UUID, content: bytes
) -> None:
    """Keep a file until it is read.

    Raises:
        UnknownError: There is no such patient.
        ConflictError: Another file of theirs is not yet read.
    """
    lock(session, patient_id)
    unread = select(ImportRow.id).where(
        ImportRow.patient_id == patient_id, ImportRow.sealed_file.is_not(None)
    )
    if session.scalars(unread.limit(1)).first() is not None:
        raise ConflictError.of(
            "import", "another file of this patient is being read", "Wait until it is."
        )
    key = person_key(session, vault, patient_id)
    row = ImportRow(
        id=import_id,
        patient_id=patient_id,
        received=datetime.now(UTC),
        sealed_file=seal(key, content, "imports.file", patient_id, import_id),
        sealed=_sealed(key, patient_id, import_id, ImportReport()),
    )
    session.add(row)
    session.flush()


def content(
    session: Session, vault: Vault, patient_id: uuid.UUID, import_id: uuid.UUID
) -> bytes | None:
    """The file; None once all of it was read.

    Raises:
        UnknownError: The patient has no such import.
    """
    row = _row(session, patient_id, import_id)
    if row.sealed_file is None:
        return None
    key = person_key(session, vault, patient_id)
    return unseal(key, row.sealed_file, "imports.file", patient_id, import_id)


def report(
    session: Session, vault: Vault, patient_id: uuid.UUID, import_id: uuid.UUID
) -> ImportReport:
    """What became of the file up to now.

    Raises:
        UnknownError: The patient has no such import.
    """
    return _opened(person_key(session, vault, patient_id), _row(session, patient_id, import_id))


def reports(session: Session, vault: Vault, patient_id: uuid.UUID) -> list[ImportReport]:
    """What became of all files that were ever sent, in order."""
    key = person_key(session, vault, patient_id)
    found = select(ImportRow).where(ImportRow.patient_id == patient_id)
    rows = session.scalars(found.order_by(ImportRow.received, ImportRow.id))
    return [_opened(key, row) for row in rows]


def note(
    session: Session,
    vault: Vault,
    patient_id: uuid.UUID,
    import_id: uuid.UUID,
    said: ImportReport,
    read: bool = False,
) -> None:
    """Put a report in the place of the one before.

    Args:
        session: A writing transaction.
        vault: Seals.
        patient_id: Whose.
        import_id: Which import.
        said: What became of the file up to now.
        read: Whether that is all, so that the file itself is dropped.

    Raises:
        UnknownError: The patient has no such import.
    """
    row = _row(session, patient_id, import_id)
    row.sealed = _sealed(person_key(session, vault, patient_id), patient_id, import_id, said)
    if read:
        row.sealed_file = None
    session.flush()


def _row(session: Session, patient_id: uuid.UUID, import_id: uuid.UUID) -> ImportRow:
    row = session.get(ImportRow, import_id)
    if row is None or row.patient_id != patient_id:
        raise UnknownError.of("import", "there is no such import", "Check the job's identifier.")
    return row


def _sealed(key: bytes, patient_id: uuid.UUID, import_id: uuid.UUID, said: ImportReport) -> bytes:
    return seal(key, said.model_dump_json().encode(), "imports", patient_id, import_id)


def _opened(key: bytes, row: ImportRow) -> ImportReport:
    said = unseal(key, row.sealed, "imports", row.patient_id, row.id)
    return ImportReport.model_validate_json(said)
