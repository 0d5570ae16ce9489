"""What the clinic's staff did about a patient: each step is kept, and where that leaves things."""

import uuid
from datetime import datetime
from typing import Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict
from sqlalchemy import select
from sqlalchemy.orm import Session

from serving.store import summaries
from serving.store.patients import lock
from serving.store.tables import FollowUpRow
from serving.store.vault import Vault, person_key, seal, unseal

Kind = Literal["acknowledge", "comment", "assign", "snooze", "tag"]
_TABLE: Final = "follow_ups"


class Step(BaseModel):
    """One thing that somebody did.

    Attributes:
        kind: What.
        time: When.
        by: Who, as pages call them.
        text: The comment; to whom it was assigned; the tags, each after a comma.
        until: Until when to be left alone, of a snooze.
        group: In which group of the panel the patient was then.
    """

    model_config = ConfigDict(frozen=True)

    kind: Kind
    time: AwareDatetime
    by: str
    text: str = ""
    until: AwareDatetime | None = None
    group: str = ""


class Standing(BaseModel):
    """Where the steps leave things: the latest of each kind that still says something."""

    model_config = ConfigDict(frozen=True)

    acknowledge: Step | None = None
    comment: Step | None = None
    assign: Step | None = None
    snooze: Step | None = None
    tag: Step | None = None

    @property
    def tags(self) -> list[str]:
        """The patient's tags."""
        return self.tag.text.split(",") if self.tag and self.tag.text else []


def add(session: Session, vault: Vault, patient_id: uuid.UUID, actor: str, step: Step) -> Standing:
    """Keep a step; where that leaves things.

    Raises:
        UnknownError: There is no such patient.
    """
    lock(session, patient_id)
    key, known_by = person_key(session, vault, patient_id), uuid.uuid4()
    said = step.model_dump_json().encode()
    row = FollowUpRow(
        id=known_by,
        patient_id=patient_id,
        time=step.time,
        actor=actor,
        kind=step.kind,
        sealed=seal(key, said, _TABLE, patient_id, known_by),
    )
    session.add(row)
    before = standing(summaries.get(session, vault, patient_id, "follow_up"))
    now = before.model_copy(update={step.kind: step})
    content = now.model_dump_json().encode()
    summaries.put(session, vault, patient_id, "follow_up", step.time, content)
    return now


_NOTHING_DONE: Final = Standing()


def standing(part: bytes | None) -> Standing:
    """Where things stand, from the panel's part."""
    return Standing.model_validate_json(part) if part else _NOTHING_DONE


def steps(
    session: Session, vault: Vault, patient_id: uuid.UUID, begin: datetime | None = None
) -> list[Step]:
    """All steps from a time on, the newest first.

    Raises:
        UnknownError: There is no such patient.
    """
    key = person_key(session, vault, patient_id)
    found = select(FollowUpRow).where(FollowUpRow.patient_id == patient_id)
    if begin is not None:
        found = found.where(FollowUpRow.time >= begin)
    rows = session.scalars(found.order_by(FollowUpRow.time.desc(), FollowUpRow.id))
    return [
        Step.model_validate_json(unseal(key, row.sealed, _TABLE, patient_id, row.id))
        for row in rows
    ]
