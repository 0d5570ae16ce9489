"""Consents of a stored patient: care, sharing and research."""

from typing import Annotated

from fastapi import APIRouter, Path

from serving.access.policy import Action
from serving.store import consents
from serving.store.consents import Purpose
from serving.v1.permission import PatientId, Permission, may
from serving.v1.schema import ConsentList, ConsentReport, ConsentRequest

router = APIRouter(tags=["consents and shares"])
ThePurpose = Annotated[Purpose, Path(description="To which use of their data.")]


@router.get("/v1/patients/{patient}/consents", summary="To what did they agree?")
def read_consents(
    patient: PatientId, permission: Annotated[Permission, may(Action.CONSENT_READ)]
) -> ConsentList:
    """All agreements, those that ended too."""
    with permission.reading() as session:
        found = consents.history(session, patient)
    return ConsentList(consents=[ConsentReport.model_validate(one) for one in found])


@router.put("/v1/patients/{patient}/consents/{purpose}", status_code=204, summary="Agree")
def give_consent(
    patient: PatientId,
    purpose: ThePurpose,
    asked: ConsentRequest,
    permission: Annotated[Permission, may(Action.CONSENT_GIVE)],
) -> None:
    """Agree to a version of a purpose's text; it takes the place of an earlier one."""
    with permission.writing() as session:
        consents.give(session, patient, purpose, asked.version)


@router.delete(
    "/v1/patients/{patient}/consents/{purpose}", status_code=204, summary="No longer agree"
)
def withdraw_consent(
    patient: PatientId,
    purpose: ThePurpose,
    permission: Annotated[Permission, may(Action.CONSENT_WITHDRAW)],
) -> None:
    """From the answer on, nobody uses the data for this purpose."""
    with permission.writing() as session:
        consents.withdraw(session, patient, purpose)
