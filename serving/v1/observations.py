"""Observations of a stored patient: sending, reading and taking back."""

import uuid
from collections import Counter
from contextlib import closing
from datetime import timedelta
from itertools import islice
from typing import Annotated, Final, get_args

from fastapi import APIRouter, Path, Query

from hybridtwin.events import GlucoseReading
from hybridtwin.units import GlucoseUnit, from_mg_dl
from serving import clock
from serving.access.policy import Action
from serving.schema import ProblemItem
from serving.store import jobs, observations
from serving.store.batch import Batch
from serving.v1.permission import PatientId, Permission, may
from serving.v1.schema import (
    BatchReport,
    KeptGlucose,
    KeptReport,
    Kind,
    ObservationList,
    OutcomeReport,
    Time,
)

router = APIRouter(tags=["observations"])
_NEW: Final = ("accepted", "corrected")
_RECENT: Final = timedelta(days=1)


@router.post("/v1/patients/{patient}/observations", summary="What happened?")
def send_observations(
    patient: PatientId,
    batch: Batch,
    permission: Annotated[Permission, may(Action.OBSERVATIONS_WRITE)],
) -> BatchReport:
    """Every row is accepted, already known, corrected or refused with a reason, by itself.

    What was answered is kept for good; what the twin holds true follows within moments. Without
    an answer, send the batch again: nothing doubles.
    """
    with permission.writing() as session:
        found = observations.accept(session, permission.vault, patient, batch)
        if any(outcome.outcome in _NEW for outcome in found):
            jobs.start_once(session, "advance", permission.caller.subject, patient)
    counts = Counter(outcome.outcome for outcome in found)
    return BatchReport(
        accepted=counts["accepted"],
        known=counts["known"],
        corrected=counts["corrected"],
        refused=counts["refused"],
        outcomes=[_outcome(outcome) for outcome in found],
    )


@router.get("/v1/patients/{patient}/observations", summary="What is known?")
def read_observations(
    patient: PatientId,
    permission: Annotated[Permission, may(Action.OBSERVATIONS_READ)],
    kind: Annotated[list[Kind] | None, Query(description="Of which tables; all if absent.")] = None,
    begin: Annotated[
        Time | None, Query(alias="from", description="From this time on; a day ago if absent.")
    ] = None,
    end: Annotated[Time | None, Query(alias="to", description="Up to this time.")] = None,
    limit: Annotated[int, Query(ge=1, le=10_000, description="At most so many rows.")] = 1000,
    unit: Annotated[GlucoseUnit, Query(description="Unit of every glucose value.")] = "mg/dL",
) -> ObservationList:
    """The rows that count, in order of their time."""
    begin = begin or clock.now() - _RECENT
    kinds = kind or get_args(Kind)
    with (
        permission.reading() as session,
        closing(observations.kept(session, permission.vault, patient, kinds, begin, end)) as kept,
    ):
        found = list(islice(kept, limit + 1))
    rows = [_kept(row, unit) for row in found[:limit]]
    return ObservationList(unit=unit, rows=rows, more=len(found) > limit)


@router.delete(
    "/v1/patients/{patient}/observations/{row}", status_code=204, summary="It did not happen"
)
def withdraw_observation(
    patient: PatientId,
    row: Annotated[uuid.UUID, Path(description="Identifier of the row's present version.")],
    permission: Annotated[Permission, may(Action.OBSERVATIONS_WITHDRAW)],
) -> None:
    """Take a row back; it is kept, but no longer counts."""
    with permission.writing() as session:
        observations.withdraw(session, patient, row)
        jobs.start_once(session, "advance", permission.caller.subject, patient)


def _outcome(outcome: observations.Outcome) -> OutcomeReport:
    problem = outcome.problem
    return OutcomeReport(
        where=outcome.where,
        outcome=outcome.outcome,
        id=outcome.id,
        problem=problem
        and ProblemItem(where=problem.where, what=problem.what, advice=problem.advice),
    )


def _kept(row: observations.Kept, unit: GlucoseUnit) -> KeptReport:
    event = row.event
    shown = _in_unit(event, unit) if isinstance(event, GlucoseReading) else event
    return KeptReport.model_validate(
        {
            "id": row.id,
            "kind": row.kind,
            "source": row.source,
            "sender_id": row.sender_id,
            "received": row.received,
            "event": shown,
        }
    )


def _in_unit(reading: GlucoseReading, unit: GlucoseUnit) -> KeptGlucose:
    return KeptGlucose(
        time=reading.time,
        value=round(from_mg_dl(reading.mg_dl, unit), 4),
        source=reading.source,
        interpolated=reading.interpolated,
    )
