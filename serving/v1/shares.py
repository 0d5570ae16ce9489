"""Shares of a stored patient: who may do what for them, and for how long."""

import uuid
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path

from serving.access.policy import Action
from serving.store import shares
from serving.v1.permission import PatientId, Permission, may
from serving.v1.schema import ShareList, ShareReport, ShareRequest

router = APIRouter(tags=["consents and shares"])


@router.get("/v1/patients/{patient}/shares", summary="Who may do what?")
def read_shares(
    patient: PatientId, permission: Annotated[Permission, may(Action.SHARE_READ)]
) -> ShareList:
    """All shares, those that are over too."""
    with permission.reading() as session:
        found = shares.of_patient(session, patient)
    return ShareList(shares=[_report(share) for share in found])


@router.post("/v1/patients/{patient}/shares", status_code=201, summary="Share")
def give_share(
    patient: PatientId,
    asked: ShareRequest,
    permission: Annotated[Permission, may(Action.SHARE_GIVE)],
) -> ShareReport:
    """Let somebody read, write or forecast for a time, while there is consent to sharing."""
    with permission.writing() as session:
        found = shares.give(session, patient, asked.subject, asked.scopes, asked.begin, asked.end)
    return _report(found)


@router.delete("/v1/patients/{patient}/shares/{share}", status_code=204, summary="Take it back")
def revoke_share(
    patient: PatientId,
    share: Annotated[uuid.UUID, Path(description="The share's identifier.")],
    permission: Annotated[Permission, may(Action.SHARE_REVOKE)],
) -> None:
    """From the answer on, it gives nothing."""
    with permission.writing() as session:
        shares.revoke(session, patient, share)


def _report(share: shares.Share) -> ShareReport:
    return ShareReport.model_validate(
        {
            "id": share.id,
            "subject": share.subject,
            "scopes": sorted(share.scopes),
            "begin": share.begin,
            "end": share.end,
            "state": share.state(datetime.now(UTC)),
        }
    )
