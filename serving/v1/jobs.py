"""Long work: started, and how far it is."""

import uuid
from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field
from starlette.exceptions import HTTPException

from serving.access.door import TheAccess, TheCaller, permit
from serving.access.policy import Action
from serving.access.relations import Relation
from serving.evening import ACTOR
from serving.store import jobs
from serving.store.errors import UnknownError
from serving.v1.permission import PatientId, Permission, may
from serving.v1.schema import Answer, Clinic
from serving.v1.store import TheStore

router = APIRouter(tags=["jobs"])


class JobReport(Answer):
    """A piece of work that takes long."""

    id: uuid.UUID = Field(description="Ask for it by this.")
    kind: jobs.Kind = Field(description="What is done.")
    state: jobs.State = Field(description="Where it stands; it survives a restart.")
    created: datetime = Field(description="When it was asked for.")
    done: int = Field(ge=0, description="Patients done, or parts of an import.")
    total: int = Field(ge=0, description="Of how many; 0 while nobody knows.")
    finished: datetime | None = Field(description="When it ended.")
    problem: str | None = Field(description="The code of the error that ended it, if one did.")


@router.post(
    "/v1/patients/{patient}/personalise", status_code=202, summary="Fit a twin to a patient"
)
def personalise(
    patient: PatientId, permission: Annotated[Permission, may(Action.JOB_START)]
) -> JobReport:
    """From all that is known of them; it answers in the population's place where it is better.

    Asked for again before it began, it is the same job.
    """
    with permission.writing() as session:
        job = jobs.start_once(session, "personalise", permission.caller.subject, patient)
    return JobReport.model_validate(job)


@router.post("/v1/clinics/{clinic}/reviews", status_code=202, summary="Review a clinic's night")
def review(
    clinic: Annotated[Clinic, Path(description="The clinic's name.")],
    permission: Annotated[Permission, may(Action.JOB_START)],
) -> JobReport:
    """The coming night of every patient of the clinic who consents to care.

    Asked for again before it began, it is the same job.
    """
    with permission.writing() as session:
        who, asked = permission.caller.subject, jobs.under_way(session, "review", [clinic])
        waiting = [job for job in asked if job.state == "waiting" and job.actor != ACTOR]
        job = waiting[0] if waiting else jobs.start(session, "review", who, clinic=clinic)
    return JobReport.model_validate(job)


@router.get("/v1/jobs/{job}", summary="How far is it?")
def read_job(
    job: Annotated[uuid.UUID, Path(description="The job's identifier.")],
    store: TheStore,
    access: TheAccess,
    who: TheCaller,
) -> JobReport:
    """A job; it tells nothing of anybody's health."""
    try:
        with store.database.reading() as session:
            found = jobs.find(session, job)
    except UnknownError:
        found = None
    patient = str(found.patient_id) if found and found.patient_id else ""
    tied = set(access.relations(who, patient))
    if found and found.clinic in who.clinics:
        tied.add(Relation.CLINIC)
    permit(access, who, Action.JOB_READ, tied, patient)
    if found is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    Permission(store, who, Action.JOB_READ, found.patient_id).note()
    return JobReport.model_validate(found)
