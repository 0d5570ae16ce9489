"""The audit log: what was done to a patient's data, and whether the log is whole."""

from typing import Annotated

from fastapi import APIRouter, Query

from serving.access.policy import Action
from serving.store import audit
from serving.v1.permission import PatientId, Permission, may
from serving.v1.schema import AuditHeadReport, AuditList, AuditReport

router = APIRouter(tags=["keys and audit"])


@router.get("/v1/patients/{patient}/audit", summary="Who did what to a patient's data?")
def read_audit(
    patient: PatientId, permission: Annotated[Permission, may(Action.AUDIT_READ)]
) -> AuditList:
    """What was done and what was denied; entries hold no health data."""
    with permission.reading() as session:
        found = audit.entries(session, patient)
    return AuditList(entries=[AuditReport.model_validate(entry) for entry in found])


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
