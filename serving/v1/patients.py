"""Patients: entering, reading, changing, taking along and forgetting them."""

import uuid
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response
from starlette.exceptions import HTTPException

from serving.access.caller import Caller
from serving.access.door import TheAccess, TheCaller, permit
from serving.access.policy import Action
from serving.access.relations import Relation, relations
from serving.store import consents, patients, shares
from serving.store.errors import ConflictError
from serving.store.export import export as everything_of
from serving.v1.access import identifier, ties_of
from serving.v1.permission import PatientId, Permission, may
from serving.v1.schema import PatientChange, PatientList, PatientReport, PatientRequest, PatientTies
from serving.v1.store import TheStore

router = APIRouter(tags=["patients"])


@router.post("/v1/patients", status_code=201, responses={409: {}}, summary="Enter a patient")
def create_patient(
    asked: PatientRequest, who: TheCaller, access: TheAccess, store: TheStore, response: Response
) -> PatientReport:
    """A patient enters themself, a clinician somebody of their clinic, an app a user of its own.

    Nobody but the patient sees them before they consent to it; a clinic that has their consent on
    paper says so here.
    """
    permit(access, who, Action.PATIENT_CREATE, _ties_to_new(who, asked))
    if asked.id and str(asked.id) not in who.patients:  # it would tell which identifiers are taken
        raise HTTPException(HTTPStatus.FORBIDDEN)
    with store.database.session() as session:
        found = patients.create(
            session, store.vault, asked.profile, asked.clinic, asked.name, asked.id
        )
        Permission(store, who, Action.PATIENT_CREATE, found.id).append(session)
        for purpose, version in asked.consents.items():
            consents.give(session, found.id, purpose, version)
            Permission(store, who, Action.CONSENT_GIVE, found.id).append(session)
    return _report(found, response)


def _ties_to_new(who: Caller, asked: PatientRequest) -> set[Relation]:
    own = asked.id is not None and str(asked.id) in who.patients
    of_clinic = asked.clinic is not None and asked.clinic in who.clinics
    return {tie for tie, there in ((Relation.OWN, own), (Relation.CLINIC, of_clinic)) if there}


@router.get("/v1/patients", summary="To whom am I tied?")
def list_patients(
    permission: Annotated[Permission, may(Action.PATIENT_LIST)],
    after: Annotated[uuid.UUID | None, Query(description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="At most so many.")] = 100,
) -> PatientList:
    """Oneself, who shares with the caller now, and who is in care of the caller's clinics."""
    who, now = permission.caller, datetime.now(UTC)
    with permission.reading() as session:
        candidates = {found for own in who.patients if (found := identifier(own))}
        candidates |= {share.patient_id for share in shares.with_subject(session, who.subject)}
        for clinic in who.clinics:
            candidates |= set(patients.in_clinic(session, clinic, after, limit))
        page = sorted(one for one in candidates if after is None or one > after)[:limit]
        tied = {one: relations(who, ties_of(session, one), now) for one in page}
        known = patients.known(session, page)
    return PatientList(
        patients=[
            PatientTies(id=one, relations=sorted(tied[one]))
            for one in page
            if one in known and tied[one]
        ],
        next=page[-1] if len(page) == limit else None,
    )


@router.get("/v1/patients/{patient}", summary="Who is it?")
def read_patient(
    patient: PatientId,
    permission: Annotated[Permission, may(Action.PATIENT_READ)],
    response: Response,
) -> PatientReport:
    """Name and profile, with their version as the ETag."""
    with permission.reading() as session:
        found = patients.find(session, permission.vault, patient)
    return _report(found, response)


@router.put(
    "/v1/patients/{patient}", responses={412: {}, 428: {}}, summary="Change name and profile"
)
def change_patient(
    patient: PatientId,
    asked: PatientChange,
    permission: Annotated[Permission, may(Action.PATIENT_CHANGE)],
    response: Response,
    if_match: Annotated[str | None, Header(description="The ETag that was read before.")] = None,
) -> PatientReport:
    """Put name and profile in the place of what was read before."""
    if if_match is None:
        raise HTTPException(HTTPStatus.PRECONDITION_REQUIRED)
    version = if_match.strip().strip('"')
    if not version.isdecimal() or not version.isascii():
        raise HTTPException(HTTPStatus.PRECONDITION_FAILED)
    try:
        with permission.writing() as session:
            found = patients.change(
                session, permission.vault, patient, asked.profile, asked.name, int(version)
            )
    except ConflictError as error:
        raise HTTPException(HTTPStatus.PRECONDITION_FAILED) from error
    return _report(found, response)


@router.delete("/v1/patients/{patient}", status_code=204, summary="Forget a patient")
def erase_patient(
    patient: PatientId, permission: Annotated[Permission, may(Action.PATIENT_ERASE)]
) -> None:
    """Destroy the person's key and delete all their rows, for good; it may be repeated."""
    patients.erase(permission.store.database, patient, permission.caller.subject)


@router.get("/v1/patients/{patient}/export", summary="Everything that is known of a patient")
def export_patient(
    patient: PatientId, permission: Annotated[Permission, may(Action.PATIENT_EXPORT)]
) -> dict[str, Any]:
    """All that is kept of a person, corrected and withdrawn rows too; glucose in mg/dL."""
    with permission.reading() as session:
        return everything_of(session, permission.vault, patient)


def _report(patient: patients.Patient, response: Response) -> PatientReport:
    response.headers["ETag"] = f'"{patient.version}"'
    return PatientReport.model_validate(patient)
