"""A client of the service for Python programs: plain values in, the service's own types out.

    with Client("https://twin.example.org", key="htk_...") as twin:
        twin.send(patient, {"source": "my-app", "units": {"glucose": "mg/dL"}, "glucose": rows})
        forecast = twin.forecast(patient, unit="mg/dL")

Requests that may be repeated are sent again when the service is busy or away. A batch of
observations is one of them: nothing doubles.
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final, Self

import httpx
from httpx_sse import EventSource, connect_sse
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_random_exponential

from hybridtwin.plan import Plan
from hybridtwin.scenario import ScenarioReport
from hybridtwin.units import GlucoseUnit
from serving.schema import ErrorReport
from serving.store.imports import ImportReport
from serving.v1.belief import BeliefReport
from serving.v1.events import NewsReport
from serving.v1.jobs import JobReport
from serving.v1.schema import (
    BatchReport,
    ForecastComparison,
    ForecastList,
    IssuedForecast,
    PatientList,
    PatientReport,
    PatientTies,
)

_BUSY: Final = (429, 503)
_ATTEMPTS: Final = 5
_LONGEST_WAIT_S: Final = 20


class ServiceError(Exception):
    """The service refused; `report` says where, what and what to do."""

    def __init__(self, report: ErrorReport) -> None:
        super().__init__(report.detail)
        self.report = report


def _passes(error: BaseException) -> bool:
    if isinstance(error, ServiceError):
        return error.report.status in _BUSY
    return isinstance(error, httpx.TransportError)


_patiently = retry(
    retry=retry_if_exception(_passes),
    stop=stop_after_attempt(_ATTEMPTS),
    wait=wait_random_exponential(multiplier=0.5, max=_LONGEST_WAIT_S),
    reraise=True,
)


class Client:
    """A connection to the service.

    Args:
        url: Where the service is.
        key: An API key or a token.
        timeout_s: For how long to wait for an answer.
    """

    def __init__(self, url: str, key: str, timeout_s: float = 30.0) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def is_ready(self) -> bool:
        """Whether the service can be asked now."""
        try:
            return self._http.get("/readyz").is_success
        except httpx.TransportError:
            return False

    def patients(self) -> Iterator[PatientTies]:
        """Everybody to whom the key's holder is tied, and how."""
        after: uuid.UUID | None = None
        while True:
            path = "/v1/patients" + (f"?after={after}" if after else "")
            page = PatientList.model_validate(self._again("GET", path))
            yield from page.patients
            after = page.next
            if after is None:
                return

    def create_patient(self, patient: Mapping[str, Any]) -> PatientReport:
        """Enter a patient: `{"clinic": ..., "name": ..., "profile": {...}}`."""
        return PatientReport.model_validate(self._once("POST", "/v1/patients", patient))

    def send(self, patient: uuid.UUID, batch: Mapping[str, Any]) -> BatchReport:
        """Send observations; each row's outcome comes back."""
        path = f"/v1/patients/{patient}/observations"
        return BatchReport.model_validate(self._again("POST", path, batch))

    def belief(self, patient: uuid.UUID) -> BeliefReport:
        """What the twin holds true now."""
        return BeliefReport.model_validate(self._again("GET", f"/v1/patients/{patient}/belief"))

    def forecast(
        self,
        patient: uuid.UUID,
        unit: GlucoseUnit,
        plan: Plan | None = None,
        horizon_min: int = 240,
    ) -> IssuedForecast:
        """What will happen; kept as it was issued."""
        question = {
            "units": {"glucose": unit},
            "plan": (plan or Plan()).model_dump(mode="json"),
            "horizon_min": horizon_min,
        }
        path = f"/v1/patients/{patient}/forecast"
        return IssuedForecast.model_validate(self._once("POST", path, question))

    def scenario(
        self,
        patient: uuid.UUID,
        unit: GlucoseUnit,
        plans: Sequence[Plan],
        horizon_min: int = 240,
    ) -> ScenarioReport:
        """What would happen if: every later plan against the first."""
        question = {
            "units": {"glucose": unit},
            "plans": [plan.model_dump(mode="json") for plan in plans],
            "horizon_min": horizon_min,
        }
        path = f"/v1/patients/{patient}/scenario"
        return ScenarioReport.model_validate(self._again("POST", path, question))

    def forecasts(self, patient: uuid.UUID, limit: int = 20) -> ForecastList:
        """Forecasts as they were issued, the newest first."""
        path = f"/v1/patients/{patient}/forecasts?limit={limit}"
        return ForecastList.model_validate(self._again("GET", path))

    def compared(self, patient: uuid.UUID, forecast: uuid.UUID) -> ForecastComparison:
        """A forecast as it was issued, beside what then happened."""
        path = f"/v1/patients/{patient}/forecasts/{forecast}"
        return ForecastComparison.model_validate(self._again("GET", path))

    def personalise(self, patient: uuid.UUID) -> JobReport:
        """Let a twin be fitted to the patient; ask with `job` how far it is."""
        return JobReport.model_validate(
            self._once("POST", f"/v1/patients/{patient}/personalise", {})
        )

    def start_import(self, patient: uuid.UUID, file: Path) -> JobReport:
        """Let an exported file, or a zip of some, be read in; ask with `job` how far it is."""
        path = f"/v1/patients/{patient}/imports"
        headers = {"Content-Type": "application/octet-stream"}
        answer = self._http.post(path, content=file.read_bytes(), headers=headers)
        return JobReport.model_validate(_good(answer))

    def read_import(self, patient: uuid.UUID, job: uuid.UUID) -> ImportReport:
        """What became of an import's rows, and why some were refused."""
        path = f"/v1/patients/{patient}/imports/{job}"
        return ImportReport.model_validate(self._again("GET", path))

    def job(self, job: uuid.UUID) -> JobReport:
        """How far a job is."""
        return JobReport.model_validate(self._again("GET", f"/v1/jobs/{job}"))

    def events(self, patient: uuid.UUID) -> Iterator[NewsReport]:
        """What is new of the patient, as it happens; connects again when the service hangs up."""
        headers: dict[str, str] = {}
        path = f"/v1/patients/{patient}/events"
        while True:
            with ExitStack() as connection:
                source = self._news(connection, path, headers)
                with suppress(httpx.TransportError):  # its process ended: another goes on
                    for event in source.iter_sse():
                        headers = {"Last-Event-ID": event.id}
                        yield NewsReport.model_validate_json(event.data)

    @_patiently
    def _news(self, connection: ExitStack, path: str, headers: Mapping[str, str]) -> EventSource:
        source = connection.enter_context(connect_sse(self._http, "GET", path, headers=headers))
        if source.response.is_error:
            source.response.read()
            raise _refusal(source.response)
        return source

    @_patiently
    def _again(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return self._once(method, path, body)

    def _once(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return _good(self._http.request(method, path, json=body))


def _good(answer: httpx.Response) -> Any:
    if answer.is_error:
        raise _refusal(answer)
    return answer.json()


def _refusal(answer: httpx.Response) -> ServiceError:
    return ServiceError(ErrorReport.model_validate_json(answer.content))
