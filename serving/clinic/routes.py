"""The pages of the clinic's team."""

import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Any, Final, get_args

import pandas as pd
from fastapi import APIRouter, Depends, Form, Path, Request
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from hybridtwin.review.night import REACH_FROM_H, in_reach
from serving import clock, page
from serving.access.browser import own_path
from serving.access.door import TheAccess, TheCaller, permit
from serving.access.policy import Action
from serving.access.relations import Relation
from serving.clinic import panel
from serving.clinic.attention import MARKS
from serving.clinic.figures import figures
from serving.clinic.sheet import sheet
from serving.clinic.summary import PAST_DAYS, Nights
from serving.evening import ACTOR
from serving.reader import reader_of
from serving.state import TheSettings
from serving.store import follow_ups, jobs, patients, summaries
from serving.v1.permission import PatientId, Permission, may
from serving.v1.schema import Clinic
from serving.v1.store import TheStore

router = APIRouter(include_in_schema=False)
SHOWN: Final = 20
"""So many of a group are shown at first."""
_AGAIN: Final = timedelta(minutes=1)
"""When an open panel looks for what is new."""
_AGAIN_LEAST_S: Final = 5.0
SNOOZE_H: Final = (12, 24, 72, 168)


def _of_own_clinics(action: Action) -> Any:
    """The permission to do something with the clinics of whoever asks."""

    def permission(store: TheStore, access: TheAccess, who: TheCaller) -> Permission:
        permit(access, who, action, {Relation.CLINIC} if who.clinics else set())
        return Permission(store, who, action)

    return Depends(permission)


@router.get("/")
def read_panel(
    request: Request,
    settings: TheSettings,
    permission: Annotated[Permission, _of_own_clinics(Action.PANEL_READ)],
    choice: Annotated[panel.Choice, Depends()],
) -> Response:
    """Who needs attention now."""
    now = clock.now()
    clinics = sorted(permission.caller.clinics)
    with permission.reading() as session:
        people = summaries.of_clinics(session, permission.vault, clinics, panel.PARTS)
        running = jobs.under_way(session, "review", clinics)
    rows = [panel.row_of(one, now, settings) for one in people]
    groups = panel.grouped(panel.chosen(rows, choice))
    zones = {row.zone for row in rows}
    late = {zone for zone in zones if in_reach(pd.Timestamp(now), zone)}
    shown = page.answer(
        request,
        "panel.html",
        now=now,
        zone=zones.pop() if len(zones) == 1 else "UTC",
        clinics=clinics,
        tags=sorted({tag for row in rows for tag in row.standing.tags}),
        choice=choice,
        total=len(rows),
        found=sum(map(len, groups.values())),
        groups=groups,
        shown=len(rows) if choice.group else SHOWN,
        marks=MARKS,
        running=running,
        settings=settings,
        timedelta=timedelta,
        night_ahead=any(row.night for row in rows),
        reviewable=sorted({row.clinic for row in rows if row.zone in late}),
        reviewable_from_h=REACH_FROM_H,
        again_s=round(max(clock.wait_s(_AGAIN), _AGAIN_LEAST_S), 1),
        several=len(clinics) > 1,
        snooze_h=SNOOZE_H,
        drawing=panel.DRAWING,
    )
    # Templates hold what they were given in a cycle: a thousand rows would wait there until Python
    # looks for cycles, which takes as long as the page.
    groups.clear()
    return shown


@router.get("/panel.csv")
def read_sheet(
    request: Request,
    settings: TheSettings,
    permission: Annotated[Permission, _of_own_clinics(Action.PANEL_EXPORT)],
    choice: Annotated[panel.Choice, Depends()],
) -> Response:
    """The same as a table for other programs."""
    now, clinics = clock.now(), sorted(permission.caller.clinics)
    with permission.reading() as session:
        people = summaries.of_clinics(session, permission.vault, clinics, panel.PARTS)
    rows = [panel.row_of(one, now, settings) for one in people]
    groups = panel.grouped(panel.chosen(rows, choice))
    shown = {group: rows for group, rows in groups.items() if choice.group in ("", group)}
    name = f'attachment; filename="panel-{now:%Y-%m-%d}.csv"'
    headers = page.HEADERS | {"Content-Disposition": name}
    return Response(sheet(shown, reader_of(request)), media_type="text/csv", headers=headers)


@router.post("/reviews")
def review(
    clinic: Annotated[Clinic, Form()],
    store: TheStore,
    access: TheAccess,
    who: TheCaller,
) -> Response:
    """Review a clinic's night now, unless that is under way."""
    permit(access, who, Action.JOB_START, {Relation.CLINIC} if clinic in who.clinics else set())
    with Permission(store, who, Action.JOB_START).writing() as session:
        started = [job for job in jobs.under_way(session, "review", [clinic]) if job.actor != ACTOR]
        if not started:
            jobs.start(session, "review", who.subject, clinic=clinic)
    return _to("/")


@router.get("/nights")
def read_nights(
    request: Request,
    settings: TheSettings,
    permission: Annotated[Permission, _of_own_clinics(Action.PANEL_READ)],
) -> Response:
    """How good the last weeks' forecasts were."""
    clinics = sorted(permission.caller.clinics)
    with permission.reading() as session:
        people = summaries.of_clinics(session, permission.vault, clinics, ["nights"])
    since = clock.now() - timedelta(days=PAST_DAYS)
    kept = [Nights.model_validate_json(one.parts["nights"]) for one in people if one.parts]
    nights = [night for one in kept for night in one.nights if night.end >= since]
    found = figures(nights, (settings.likely_low, settings.watch))
    return page.answer(
        request, "nights.html", figures=found, days=PAST_DAYS, settings=settings, clinics=clinics
    )


@router.get("/patients/{patient}/follow-up")
def read_follow_up(
    request: Request,
    patient: PatientId,
    permission: Annotated[Permission, may(Action.FOLLOW_UP_READ)],
) -> Response:
    """What was done about a patient, and what may be done now."""
    with permission.reading() as session:
        known = patients.find(session, permission.vault, patient)
        steps = follow_ups.steps(session, permission.vault, patient)
        part = summaries.get(session, permission.vault, patient, "follow_up")
    return page.answer(
        request,
        "follow_up.html",
        patient=known,
        steps=steps,
        standing=follow_ups.standing(part),
        snooze_h=SNOOZE_H,
    )


def _step(kind: follow_ups.Kind) -> Callable[..., Response]:
    action = Action(f"follow_up.{kind}")

    def take(
        patient: Annotated[uuid.UUID, Path()],
        permission: Annotated[Permission, may(action)],
        settings: TheSettings,
        text: Annotated[str, Form(max_length=2000)] = "",
        hours: Annotated[int, Form()] = 0,
        back: Annotated[str, Form()] = "/",
    ) -> Response:
        now = clock.now()
        if hours not in ((0, *SNOOZE_H) if kind == "snooze" else (0,)):
            raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY)
        if kind == "comment" and not text.strip():
            return _to(back)
        with permission.writing() as session:
            shown = summaries.of_patient(session, permission.vault, patient, ["lately", "night"])
            step = follow_ups.Step(
                kind=kind,
                time=now,
                by=permission.caller.name or permission.caller.subject,
                text=",".join(_tags(text)) if kind == "tag" else text.strip(),
                until=now + timedelta(hours=hours) if hours else None,
                group=panel.row_of(shown, now, settings).group,
            )
            follow_ups.add(session, permission.vault, patient, permission.caller.subject, step)
        return _to(back)

    return take


for _kind in get_args(follow_ups.Kind):
    router.post(f"/patients/{{patient}}/follow-up/{_kind}")(_step(_kind))


def _tags(text: str) -> Iterator[str]:
    """The tags that somebody wrote, each once."""
    yield from dict.fromkeys(tag for part in text.split(",") if (tag := part.strip()[:40]))


def _to(path: str) -> Response:
    return RedirectResponse(own_path(path), HTTPStatus.SEE_OTHER, {"Cache-Control": "no-store"})
