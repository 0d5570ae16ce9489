"""The paths of the service: questions to the twin, and tonight's list."""

from concurrent.futures import Future
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Query, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from hybridtwin.forecast import ForecastReport
from hybridtwin.scenario import ScenarioReport, compare
from hybridtwin.twin import Twin
from hybridtwin.units import GlucoseUnit
from serving import page
from serving.history import check_times, present, to_record
from serving.problems import MEDIA_TYPE, handle_problems
from serving.schema import ErrorReport, ForecastRequest, ScenarioRequest
from serving.settings import Settings
from serving.tonight import Tonight, TonightReport, in_unit

DESCRIPTION: Final = """\
A digital twin for diabetes: what will a person's glucose do, and what would it do if.

**Decision support for research; not a certified medical device.** No dose may be changed on its
word alone.

- Stateless: a question carries the history that it needs, and nothing of it is kept.
- Units are stated, never guessed: glucose in `units.glucose`, insulin in U, food in g, times with a
  zone. Answers come in the unit of the question and in the person's time zone.
- A log that is absent is unknown; an empty list says that nothing happened.
- Every error is a problem report (RFC 9457): where, what, and what to do.
- `/livez`, `/readyz` and `/metrics` are for whoever runs the service; `/` is tonight's list.
"""
"""Said once, to whoever reads the API's description."""

_PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": ErrorReport, "description": meaning}
    for status, meaning in (
        (400, "The body is not JSON."),
        (413, "The body is too large."),
        (415, "The body is not declared as JSON."),
        (422, "The question cannot be answered; the problems say why."),
        (500, "The service failed."),
    )
}
_NO_LIST: Final[dict[int | str, dict[str, Any]]] = {
    404: {"model": ErrorReport, "description": "No clinic is configured."},
    422: _PROBLEMS[422],
    500: _PROBLEMS[500],
    503: {"model": ErrorReport, "description": "The review is still running; ask again."},
}
"""Errors of the list."""


def _twin(request: Request) -> Twin:
    twin: Twin = request.app.state.twin
    return twin


def _review(request: Request) -> Future[Tonight] | None:
    review: Future[Tonight] | None = request.app.state.review
    return review


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


TheTwin = Annotated[Twin, Depends(_twin)]
TheReview = Annotated[Future[Tonight] | None, Depends(_review)]
TheSettings = Annotated[Settings, Depends(_settings)]
Unit = Annotated[GlucoseUnit, Query(description="Unit of every glucose value in the answer.")]


class _App(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """The description, with errors under their own media type."""
        if self.openapi_schema is None:
            found = get_openapi(
                title=self.title,
                version=self.version,
                description=self.description,
                routes=self.routes,
            )
            for path in found["paths"].values():
                for operation in path.values():
                    for status, response in operation["responses"].items():
                        if status >= "400":
                            response["content"] = {
                                MEDIA_TYPE: response["content"].pop("application/json")
                            }
            self.openapi_schema = found
        return self.openapi_schema


app = _App(
    title="hybridtwin",
    version="1",
    description=DESCRIPTION,
    docs_url=None,  # its pages load scripts from other hosts
    redoc_url=None,
)
handle_problems(app)
app.mount("/static", StaticFiles(directory=page.HERE / "static"))


@app.post("/v1/forecast", responses=_PROBLEMS, summary="What will happen?", tags=["twin"])
def forecast(question: ForecastRequest, twin: TheTwin) -> ForecastReport:
    """Glucose ahead under one plan: quantiles, probabilities of lows and highs, and trust."""
    now = present(question)
    check_times([question.plan], now)
    belief = twin.believe(to_record(question, now), now)
    found = twin.forecast(belief, question.plan, question.horizon_min)
    return found.report(question.units.glucose)


@app.post("/v1/scenario", responses=_PROBLEMS, summary="What would happen if?", tags=["twin"])
def scenario(question: ScenarioRequest, twin: TheTwin) -> ScenarioReport:
    """Two or more plans from one present, and what each changes against the first."""
    now = present(question)
    check_times(question.plans, now)
    belief = twin.believe(to_record(question, now), now)
    found = compare(twin, belief, question.plans, question.horizon_min)
    return found.report(question.units.glucose)


def _reviewed(review: Future[Tonight] | None) -> Tonight:
    if review is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    if not review.done():
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, headers={"Retry-After": "5"})
    return review.result()


@app.get("/v1/tonight", responses=_NO_LIST, summary="Who is heading for a low?", tags=["clinic"])
def tonight(review: TheReview, unit: Unit = "mg/dL") -> TonightReport:
    """The coming night of every patient of the clinic, those who need attention first."""
    found = _reviewed(review)
    return TonightReport(
        now=found.now.to_pydatetime(),
        unit=unit,
        patients=[in_unit(patient.risk, unit) for patient in found.patients],
    )


@app.get("/", include_in_schema=False)
def tonight_page(review: TheReview, settings: TheSettings, unit: Unit = "mg/dL") -> Response:
    """Tonight's list for people."""
    return HTMLResponse(page.render(review, settings, unit), headers=page.HEADERS)


@app.get("/tonight/{participant}.svg", include_in_schema=False)
def chart(participant: str, review: TheReview, unit: Unit = "mg/dL") -> Response:
    """The picture of one patient's night."""
    for patient in _reviewed(review).patients:
        if patient.risk.participant == participant and unit in patient.charts:
            headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
            return Response(patient.charts[unit].svg, headers=headers, media_type="image/svg+xml")
    raise HTTPException(HTTPStatus.NOT_FOUND)
