"""Imports: files that were exported elsewhere, read in for a stored patient."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Body, Path

from serving.access.policy import Action
from serving.archives import check
from serving.schema import MAX_IMPORT_BYTES
from serving.store import imports, jobs
from serving.store.imports import ImportReport
from serving.v1.jobs import JobReport
from serving.v1.permission import PatientId, Permission, may

router = APIRouter(tags=["observations"])


@router.post(
    "/v1/patients/{patient}/imports",
    status_code=202,
    responses={409: {}},
    summary="Read in what was exported elsewhere",
)
def start_import(
    patient: PatientId,
    content: Annotated[
        bytes,
        Body(
            min_length=1,
            media_type="application/octet-stream",
            description="One person's files as they were exported, one file or a zip of them: "
            f"at most {MAX_IMPORT_BYTES // 2**20} MiB.",
        ),
    ],
    permission: Annotated[Permission, may(Action.OBSERVATIONS_WRITE)],
) -> JobReport:
    """Let a file be read; the formats are those of `hybridtwin import`, found by their content.

    The job says how far it is, and `imports/{job}` what became of every row. Rows that are known
    already change nothing. Each patient has one file read at a time.
    """
    check(content)
    with permission.writing() as session:
        job = jobs.start(session, "import", permission.caller.subject, patient_id=patient)
        imports.begin(session, permission.vault, patient, job.id, content)
    return JobReport.model_validate(job)


@router.get("/v1/patients/{patient}/imports/{job}", summary="What became of the rows?")
def read_import(
    patient: PatientId,
    job: Annotated[uuid.UUID, Path(description="The identifier of the import's job.")],
    permission: Annotated[Permission, may(Action.JOB_READ)],
) -> ImportReport:
    """How many rows were accepted, known, corrected and refused, why, and the importer's notes."""
    with permission.reading() as session:
        return imports.report(session, permission.vault, patient, job)
