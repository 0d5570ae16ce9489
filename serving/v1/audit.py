"""The audit log: what was done to a patient's data, and whether the log is whole."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query

from serving.access.policy import Action
from serving.store import audit
from serving.store.tables import AuditEntry
from serving.v1.permission import PatientId, Permission, may
from serving.v1.schema import AuditHeadReport, AuditList, AuditReport

router = APIRouter(tags=["keys and audit"])
After = Annotated[
    int, Query(ge=0, lt=2**63, description="`next` of the page before; 0 is the begin.")
]
Limit = Annotated[int, Query(ge=1, le=1000, description="At most so many.")]


@router.get("/v1/patients/{patient}/audit", summary="Who did what to a patient's data?")
def read_audit_of_patient(
    patient: PatientId,
    permission: Annotated[Permission, may(Action.AUDIT_READ)],
    after: After = 0,
    limit: Limit = 1000,
) -> AuditList:
    """What was done and what was denied; entries hold no health data."""
    with permission.reading() as session:
        found = audit.entries(session, patient, after, limit)
    return _page(found, limit)


@router.get("/v1/audit", summary="Who did what?")
def read_audit(
    permission: Annotated[Permission, may(Action.AUDIT_READ)],
    after: After = 0,
    limit: Limit = 1000,
) -> AuditList:
    """What was done and what was denied to whomsoever; entries hold no health data."""
    with permission.reading() as session:
        found = audit.entries(session, None, after, limit)
    return _page(found, limit)


@router.get("/v1/audit/head", responses={409: {}}, summary="Is the audit log whole?")
def verify_audit(
    permission: Annotated[Permission, may(Action.AUDIT_VERIFY)],
    anchor: Annotated[
        str | None,
        Query(pattern=r"^[0-9]{1,18}:[0-9a-f]{64}$", description="An earlier head."),
    ] = None,
) -> AuditHeadReport:
    """Follow the whole chain of hashes; 409 where it is broken."""
    with permission.reading() as session:
        head = audit.verify(session, audit.head_from(anchor) if anchor else None)
    return AuditHeadReport(head=str(head))


def _page(found: Sequence[AuditEntry], limit: int) -> AuditList:
    return AuditList(
        entries=[
            AuditReport(
                sequence=entry.sequence,
                time=entry.time,
                actor=entry.actor,
                action=entry.action,
                patient=entry.patient_id,
                outcome=entry.outcome,
            )
            for entry in found
        ],
        next=found[-1].sequence if len(found) == limit else None,
    )
