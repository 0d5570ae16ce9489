"""The paths that every service has: questions to the twin, and tonight's list."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.params import Depends
from starlette.exceptions import HTTPException

from hybridtwin.forecast import ForecastReport
from hybridtwin.scenario import ScenarioReport, compare
from hybridtwin.units import GlucoseUnit
from serving import meters
from serving.access.policy import Action
from serving.history import check_times, present, to_record
from serving.schema import ForecastRequest, ModelReport, ScenarioRequest
from serving.state import TheModel, TheReview, TheTwin
from serving.tonight import Tonight, TonightReport

Unit = Annotated[GlucoseUnit, Query(description="Unit of every glucose value in the answer.")]


def router(guard: Callable[[Action], Sequence[Depends]]) -> APIRouter:
    """The paths, each behind the dependencies that guard its action."""
    found = APIRouter()
    asked = guard(Action.TWIN_FORECAST)
    found.post(
        "/v1/forecast",
        dependencies=asked,
        responses={503: {}},
        summary="What will happen?",
        tags=["twin"],
    )(forecast)
    asked = guard(Action.TWIN_SCENARIO)
    found.post(
        "/v1/scenario",
        dependencies=asked,
        responses={503: {}},
        summary="What would happen if?",
        tags=["twin"],
    )(scenario)
    known = guard(Action.MODEL_READ)
    found.get("/v1/model", dependencies=known, summary="Which twin answers?", tags=["twin"])(model)
    seen = guard(Action.TONIGHT_READ)
    found.get(
        "/v1/tonight",
        dependencies=seen,
        responses={404: {}, 503: {}},
        summary="Who is heading for a low?",
        tags=["clinic"],
    )(tonight)
    found.get("/metrics", include_in_schema=False)(meters.figures)
    return found


def forecast(question: ForecastRequest, twin: TheTwin) -> ForecastReport:
    """Glucose ahead under one plan: quantiles, probabilities of lows and highs, and trust."""
    now = present(question)
    check_times([question.plan], now)
    belief = twin.believe(to_record(question, now), now)
    found = twin.forecast(belief, question.plan, question.horizon_min)
    return found.report(question.units.glucose)


def scenario(question: ScenarioRequest, twin: TheTwin) -> ScenarioReport:
    """Two or more plans from one present, and what each changes against the first."""
    now = present(question)
    check_times(question.plans, now)
    belief = twin.believe(to_record(question, now), now)
    found = compare(twin, belief, question.plans, question.horizon_min)
    return found.report(question.units.glucose)


def model(twin: TheModel) -> ModelReport:
    """The twin of everybody who has none of their own."""
    return ModelReport(
        name=twin.config.name,
        version=twin.config.version,
        participants=len(twin.config.learnt_from) or None,
    )


def reviewed(review: Future[Tonight] | None) -> Tonight:
    """The clinic's review, once it is done.

    Raises:
        HTTPException: 404 where there is no clinic, 503 until then.
    """
    if review is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    if not review.done():
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, headers={"Retry-After": "5"})
    return review.result()


def tonight(review: TheReview, unit: Unit = "mg/dL") -> TonightReport:
    """The coming night of every patient of the clinic, those who need attention first."""
    found = reviewed(review)
    return TonightReport(
        now=found.now.to_pydatetime(),
        unit=unit,
        patients=[patient.risk.in_unit(unit) for patient in found.patients],
    )
