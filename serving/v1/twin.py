"""Questions about a stored patient to the twin: what is, what will be, and what would be if."""

import uuid
from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated

import pandas as pd
from fastapi import APIRouter, Path, Query
from starlette.exceptions import HTTPException

from hybridtwin.assimilation.unlogged import lately
from hybridtwin.belief import Belief
from hybridtwin.climatology import CLIMATOLOGY_DAYS
from hybridtwin.forecast import ForecastReport
from hybridtwin.plan import Plan
from hybridtwin.scenario import ScenarioReport, compare
from hybridtwin.twin import Twin
from serving import clock
from serving.access.policy import Action
from serving.history import check_times
from serving.personal import record_and_twin
from serving.state import TheTwin
from serving.store import issued
from serving.v1.belief import BeliefList, BeliefReport, model_of, report_of
from serving.v1.permission import PatientId, Permission, may
from serving.v1.schema import (
    ForecastComparison,
    ForecastList,
    ForecastQuestion,
    IssuedForecast,
    ScenarioQuestion,
    Time,
    UnloggedList,
)

router = APIRouter(tags=["twin of a patient"])
Limit = Annotated[int, Query(ge=1, le=100, description="At most so many.")]
Begin = Annotated[Time | None, Query(alias="from", description="Issued from this time on.")]
End = Annotated[Time | None, Query(alias="to", description="Issued up to this time.")]


@router.post("/v1/patients/{patient}/forecast", status_code=201, summary="What will happen?")
def ask_forecast(
    patient: PatientId,
    question: ForecastQuestion,
    permission: Annotated[Permission, may(Action.FORECAST_ASK)],
    twin: TheTwin,
) -> IssuedForecast:
    """Glucose ahead under one plan, kept as it was issued, and the belief behind it."""
    belief, twin = _believe(permission, patient, twin, [question.plan])
    forecast = twin.forecast(belief, question.plan, question.horizon_min)
    report = forecast.report(question.units.glucose)
    model, time = model_of(twin), report.issued
    behind = report_of(twin, belief).model_dump_json().encode()
    said = report.model_dump_json().encode()
    with permission.writing() as session:
        vault = permission.vault
        issued.keep(session, vault, patient, "belief", time, model, behind)
        found = issued.keep(session, vault, patient, "forecast", time, model, said)
    return IssuedForecast(id=found, model=model, forecast=report)


@router.post("/v1/patients/{patient}/scenario", summary="What would happen if?")
def ask_scenario(
    patient: PatientId,
    question: ScenarioQuestion,
    permission: Annotated[Permission, may(Action.SCENARIO_ASK)],
    twin: TheTwin,
) -> ScenarioReport:
    """Two or more plans from now, and what each changes against the first; not kept."""
    belief, twin = _believe(permission, patient, twin, question.plans)
    found = compare(twin, belief, question.plans, question.horizon_min)
    permission.note()
    return found.report(question.units.glucose)


@router.get("/v1/patients/{patient}/belief", summary="What does the twin hold true?")
def read_belief(
    patient: PatientId,
    permission: Annotated[Permission, may(Action.BELIEF_READ)],
    twin: TheTwin,
) -> BeliefReport:
    """The person's parameters as the twin holds them now, and how far to trust them."""
    belief, twin = _believe(permission, patient, twin)
    permission.note()
    return report_of(twin, belief)


@router.get("/v1/patients/{patient}/beliefs", summary="What did it hold true?")
def read_beliefs(
    patient: PatientId,
    permission: Annotated[Permission, may(Action.BELIEF_READ)],
    begin: Begin = None,
    end: End = None,
    limit: Limit = 20,
) -> BeliefList:
    """The last of every hour and those behind forecasts, the newest first."""
    with permission.reading() as session:
        kept = issued.find(session, permission.vault, patient, "belief", begin, end, limit)
    return BeliefList(beliefs=[BeliefReport.model_validate_json(one.content) for one in kept])


@router.get("/v1/patients/{patient}/unlogged", summary="What was probably not logged?")
def read_unlogged(
    patient: PatientId,
    permission: Annotated[Permission, may(Action.BELIEF_READ)],
    twin: TheTwin,
    hours: Annotated[float, Query(ge=0, le=72, description="Over how many hours is looked.")] = 24,
) -> UnloggedList:
    """Meals, missed boluses, failing infusion sites and exercise that readings speak for.

    Each is probable and no fact; none is written into the record. Experimental.
    """
    now = clock.now()
    record, twin = record_and_twin(permission.store, patient, twin, now, CLIMATOLOGY_DAYS)
    found = lately(twin, record, pd.Timestamp(now), hours=hours)
    permission.note()
    return UnloggedList(unlogged=found, last_reading_time=record.glucose["time"].iloc[-1])


@router.get("/v1/patients/{patient}/forecasts", summary="What was forecast?")
def read_forecasts(
    patient: PatientId,
    permission: Annotated[Permission, may(Action.FORECAST_READ)],
    begin: Begin = None,
    end: End = None,
    limit: Limit = 20,
) -> ForecastList:
    """Forecasts as they were issued, the newest first."""
    with permission.reading() as session:
        kept = issued.find(session, permission.vault, patient, "forecast", begin, end, limit)
    return ForecastList(
        forecasts=[
            IssuedForecast(
                id=one.id,
                model=one.model,
                forecast=ForecastReport.model_validate_json(one.content),
            )
            for one in kept
        ]
    )


@router.get(
    "/v1/patients/{patient}/forecasts/{forecast}", summary="What was forecast, and what happened?"
)
def read_forecast(
    patient: PatientId,
    forecast: Annotated[uuid.UUID, Path(description="The forecast's identifier.")],
    permission: Annotated[Permission, may(Action.FORECAST_READ)],
) -> ForecastComparison:
    """A forecast as it was issued, beside the readings that then came."""
    with permission.reading() as session:
        kept = issued.get(session, permission.vault, patient, forecast)
        if kept.kind != "forecast":
            raise HTTPException(HTTPStatus.NOT_FOUND)
        compared = issued.compare(session, permission.vault, patient, kept)
    return ForecastComparison(
        id=kept.id, model=kept.model, forecast=compared.report, observed=compared.observed
    )


def _believe(
    permission: Permission, patient: uuid.UUID, population: Twin, plans: Sequence[Plan] = ()
) -> tuple[Belief, Twin]:
    """What is held true now of a stored patient, from their last days, and by which twin."""
    now = clock.now()
    check_times(plans, pd.Timestamp(now))
    record, twin = record_and_twin(permission.store, patient, population, now, CLIMATOLOGY_DAYS)
    return twin.believe(record, pd.Timestamp(now)), twin
