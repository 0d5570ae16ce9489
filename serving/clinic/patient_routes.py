"""One patient's page, their report, and what would help them."""

import uuid
from typing import Annotated, Final

import pandas as pd
from fastapi import APIRouter, Request
from fastapi.responses import Response

from hybridtwin.climatology import CLIMATOLOGY_DAYS
from hybridtwin.glycemia.agp import PERCENTILES
from hybridtwin.glycemia.episodes import HIGH_MG_DL, LOW_MG_DL, VERY_HIGH_MG_DL, VERY_LOW_MG_DL
from hybridtwin.glycemia.metrics import STABLE_CV_PERCENT
from hybridtwin.glycemia.summary import LEAST_WORN_PERCENT
from hybridtwin.review.review import review_night
from serving import clock, page
from serving.access.policy import Action
from serving.clinic import charts, drawing, weeks
from serving.clinic.attention import MARKS
from serving.clinic.panel import DRAWING
from serving.clinic.patient import View, read, view_of
from serving.clinic.report import report
from serving.clinic.summary import PAST_DAYS, PICTURE_MIN
from serving.evening import REVIEW
from serving.personal import record_and_twin
from serving.reader import reader_of
from serving.settings import Settings
from serving.state import TheSettings, TheTwin
from serving.store import patients
from serving.v1.permission import PatientId, Permission, may

router = APIRouter(include_in_schema=False)
_NIGHT_MARKS_MG_DL: Final = (VERY_LOW_MG_DL, LOW_MG_DL, HIGH_MG_DL, VERY_HIGH_MG_DL)


@router.get("/patients/{patient}")
def read_patient(
    request: Request,
    patient: PatientId,
    permission: Annotated[Permission, may(Action.PAGE_READ)],
    settings: TheSettings,
) -> Response:
    """All that is known of one patient."""
    view = _view(permission, patient, settings)
    pregnant = view.profile.pregnancy_week is not None
    known, found = view.weeks, view.sensitivity
    target = next(each for each in charts.ranges_of(pregnant)[0] if each.name == "target")
    return page.answer(
        request,
        "patient.html",
        view=view,
        marks=MARKS,
        drawing=DRAWING,
        rows=charts.glucose_rows(_NIGHT_MARKS_MG_DL, drawing.GLUCOSE),
        columns=charts.hours_around(view.now, view.row.zone),
        hours=charts.hours_of(view.risk.hours, view.forecast) if view.risk else [],
        profile=charts.profile_chart(known, target) if known else None,
        shares=charts.range_shares(known.glycemia, pregnant) if known and known.glycemia else [],
        day_lines=charts.day_lines(known) if known else [],
        percentiles=PERCENTILES,
        least_worn=LEAST_WORN_PERCENT,
        stable_cv=STABLE_CV_PERCENT,
        pattern_days=weeks.DAYS,
        past_days=PAST_DAYS,
        picture_min=PICTURE_MIN,
        over_day=charts.sensitivity_hours(found.hours) if found else None,
        over_weeks=charts.sensitivity_days(found.days) if found else None,
    )


@router.get("/patients/{patient}/report.pdf")
def read_report(
    request: Request,
    patient: PatientId,
    permission: Annotated[Permission, may(Action.REPORT_READ)],
    settings: TheSettings,
) -> Response:
    """The same on one page of paper."""
    view = _view(permission, patient, settings)
    name = f"report-{view.now:%Y-%m-%d}.pdf"  # a patient's name does not belong into a file's
    headers = page.HEADERS | {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(report(view, reader_of(request)), media_type="application/pdf", headers=headers)


@router.get("/patients/{patient}/help")
def read_help(
    request: Request,
    patient: PatientId,
    permission: Annotated[Permission, may(Action.SCENARIO_ASK)],
    twin: TheTwin,
) -> Response:
    """What would help tonight, looked for on what is known now; nothing of it is kept."""
    now, store = clock.now(), permission.store
    with store.database.reading() as session:
        known = patients.find(session, permission.vault, patient)
    record, own = record_and_twin(store, patient, twin, now, CLIMATOLOGY_DAYS)
    risk = review_night(own, record, pd.Timestamp(now), REVIEW).risk
    permission.note()
    zone = known.profile.time_zone
    return page.answer(request, "help.html", patient=known, risk=risk, now=now, zone=zone)


def _view(permission: Permission, patient: uuid.UUID, settings: Settings) -> View:
    now = clock.now()
    with permission.reading() as session:
        kept = read(session, permission.vault, patient, now)
    return view_of(kept, now, settings)
