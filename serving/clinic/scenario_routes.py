"""The pages of the scenario bench: ask, keep, open again, drop."""

import uuid
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any, Final
from urllib.parse import parse_qsl, urlencode

from fastapi import APIRouter, Form, Path, Request
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from hybridtwin.climatology import CLIMATOLOGY_DAYS
from hybridtwin.twin import Twin
from serving import clock, page
from serving.access.door import TheAccess, is_allowed
from serving.access.policy import Action
from serving.clinic import drawing, scenario_form, scenario_picture
from serving.clinic.scenario_comparison import Comparison, Refusal, answer
from serving.personal import record_and_twin
from serving.reader import Reader, reader_of
from serving.state import TheTwin
from serving.store import issued, patients
from serving.v1.belief import model_of
from serving.v1.permission import PatientId, Permission, may

router = APIRouter(prefix="/patients/{patient}/scenarios", include_in_schema=False)
ComparisonId = Annotated[uuid.UUID, Path()]
_LONGEST: Final = 20
"""Of what is typed into a field."""


@router.get("")
def read_bench(
    request: Request,
    patient: PatientId,
    permission: Annotated[Permission, may(Action.SCENARIO_ASK)],
    access: TheAccess,
    twin: TheTwin,
) -> Response:
    """What happens as usual beside what if, and both futures."""
    now = clock.now()
    known = _patient(permission, patient)
    typed = _typed(request.query_params)
    form = scenario_form.Form(typed, now, known.profile.time_zone)
    question, faults = form.read()
    found, own = _ask(permission, patient, twin, now, question) if question else (None, twin)
    if isinstance(found, Refusal):
        faults |= found.faults
    permission.note()
    tied = access.relations(permission.caller, str(patient))
    return page.answer(
        request,
        "scenarios.html",
        patient=known,
        form=form,
        faults=faults,
        refusal=found if isinstance(found, Refusal) else None,
        choices=scenario_form,
        horizons=_horizons(reader_of(request)),
        query=urlencode(typed),
        may_keep=is_allowed(permission.caller, Action.COMPARISON_KEEP, tied),
        may_read=is_allowed(permission.caller, Action.COMPARISON_READ, tied),
        **_shown(request, found, now, model_of(own), known.profile.time_zone),
    )


@router.get("/kept")
def read_kept(
    request: Request,
    patient: PatientId,
    permission: Annotated[Permission, may(Action.COMPARISON_READ)],
) -> Response:
    """All comparisons that were kept, the newest first."""
    with permission.reading() as session:
        known = patients.find(session, permission.vault, patient)
        documents = issued.find(session, permission.vault, patient, "comparison")
    kept = [(one, Comparison.model_validate_json(one.content)) for one in documents]
    return page.answer(request, "scenarios_kept.html", patient=known, kept=kept)


@router.post("/kept")
def keep(
    patient: PatientId,
    permission: Annotated[Permission, may(Action.COMPARISON_KEEP)],
    twin: TheTwin,
    query: Annotated[str, Form(max_length=4000)] = "",
    name: Annotated[str, Form(max_length=80)] = "",
) -> Response:
    """Keep a comparison, as the twin answers it now; back to the bench where it does not."""
    now = clock.now()
    known = _patient(permission, patient)
    typed = _typed(dict(parse_qsl(query)))
    question, _ = scenario_form.Form(typed, now, known.profile.time_zone).read()
    bench = f"/patients/{patient}/scenarios"
    if question is None:
        return _to(f"{bench}?{urlencode(typed)}")
    found, own = _ask(permission, patient, twin, now, question)
    if isinstance(found, Refusal):
        return _to(f"{bench}?{urlencode(typed)}")
    who = permission.caller
    said = {"name": name.strip(), "by": who.name or who.subject, "typed": typed}
    content = found.model_copy(update=said).model_dump_json().encode()
    with permission.writing() as session:
        vault, model = permission.vault, model_of(own)
        kept = issued.keep(session, vault, patient, "comparison", now, model, content)
    return _to(f"{bench}/kept/{kept}")


@router.get("/kept/{comparison}")
def read_one(
    request: Request,
    patient: PatientId,
    comparison: ComparisonId,
    permission: Annotated[Permission, may(Action.COMPARISON_READ)],
    access: TheAccess,
) -> Response:
    """A comparison as it was computed when it was kept."""
    with permission.reading() as session:
        known = patients.find(session, permission.vault, patient)
        document = issued.get(session, permission.vault, patient, comparison)
    if document.kind != "comparison":
        raise HTTPException(HTTPStatus.NOT_FOUND)
    found = Comparison.model_validate_json(document.content)
    tied = access.relations(permission.caller, str(patient))
    return page.answer(
        request,
        "scenarios_one.html",
        patient=known,
        document=document,
        query=urlencode(found.typed),
        may_ask=is_allowed(permission.caller, Action.SCENARIO_ASK, tied),
        may_drop=is_allowed(permission.caller, Action.COMPARISON_DROP, tied),
        **_shown(request, found, document.time, document.model, known.profile.time_zone),
    )


@router.post("/kept/{comparison}/drop")
def drop(
    patient: PatientId,
    comparison: ComparisonId,
    permission: Annotated[Permission, may(Action.COMPARISON_DROP)],
) -> Response:
    """Forget a comparison."""
    with permission.writing() as session:
        issued.drop_comparison(session, patient, comparison)
    return _to(f"/patients/{patient}/scenarios/kept")


def _patient(permission: Permission, patient: uuid.UUID) -> patients.Patient:
    with permission.store.database.reading() as session:
        return patients.find(session, permission.vault, patient)


def _horizons(reader: Reader) -> list[tuple[str, str]]:
    words = reader.text("%(count)s hours")
    return [(str(hours), words % {"count": hours}) for hours in scenario_form.HORIZONS_H]


def _typed(said: Any) -> dict[str, str]:
    """What was typed into the bench's fields; anything else in an address is left out."""
    return {name: said[name][:_LONGEST] for name in scenario_form.fields() if said.get(name)}


def _ask(
    permission: Permission,
    patient: uuid.UUID,
    population: Twin,
    now: datetime,
    question: scenario_form.Question,
) -> tuple[Comparison | Refusal, Twin]:
    """The twin's answer, and which twin it is."""
    record, twin = record_and_twin(permission.store, patient, population, now, CLIMATOLOGY_DAYS)
    return answer(twin, record, now, question), twin


def _shown(
    request: Request, found: Comparison | Refusal | None, computed: datetime, model: str, zone: str
) -> dict[str, Any]:
    """What the answer's template needs."""
    if not isinstance(found, Comparison):
        return {"comparison": None}
    reader = reader_of(request)
    return {
        "comparison": found,
        "picture": scenario_picture.draw(found, zone, reader),
        "height": drawing.HEIGHT,
        "rows": scenario_picture.rows(found),
        "signed": scenario_picture.signed,
        "model": model,
        "computed": computed,
        "zone": zone,
        "timedelta": timedelta,
    }


def _to(path: str) -> Response:
    return RedirectResponse(path, HTTPStatus.SEE_OTHER, {"Cache-Control": "no-store"})
