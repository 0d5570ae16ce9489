"""The page of tonight's list of a folder, made on the server."""

from concurrent.futures import Future
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from hybridtwin.errors import TwinError
from hybridtwin.glycemia.episodes import LOW_MG_DL, VERY_LOW_MG_DL
from serving import page
from serving.api import Unit, reviewed
from serving.settings import Settings
from serving.state import TheReview, TheSettings
from serving.tonight import Group, Patient, Tonight

router = APIRouter(include_in_schema=False)
MARKS: Final[dict[Group, str]] = {"refused": "?", "low": "▼", "watch": "◆", "quiet": "●"}
"""The groups of the list, in its order."""


@dataclass(frozen=True)
class Section:
    """One group of the list."""

    group: Group
    mark: str
    patients: list[Patient]


@router.get("/")
def tonight_page(request: Request, review: TheReview, settings: TheSettings) -> Response:
    """Tonight's list for people, in whatever state the review is."""
    template, said = state_of(review, settings)
    return page.answer(request, template, **said)


def state_of(review: Future[Tonight] | None, settings: Settings) -> tuple[str, dict[str, Any]]:
    """Which template shows the review, and what it needs."""
    if review is None:
        return "none.html", {}
    if not review.done():
        return "reviewing.html", {}
    try:
        tonight = review.result()
    except TwinError as error:
        return "failed.html", {"problems": error.problems}
    zones = {patient.time_zone for patient in tonight.patients}
    return "tonight.html", {
        "sections": [
            Section(group, mark, [one for one in tonight.patients if one.group == group])
            for group, mark in MARKS.items()
        ],
        "total": len(tonight.patients),
        "now": tonight.now,
        "zone": zones.pop() if len(zones) == 1 else "UTC",
        "likely_low": settings.likely_low,
        "watch": settings.watch,
        "low_mg_dl": LOW_MG_DL,
        "very_low_mg_dl": VERY_LOW_MG_DL,
    }


@router.get("/tonight/{participant}.svg")
def chart(participant: str, review: TheReview, unit: Unit = "mg/dL") -> Response:
    """The picture of one patient's night."""
    for patient in reviewed(review).patients:
        if patient.risk.participant == participant and unit in patient.charts:
            headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
            return Response(patient.charts[unit].svg, headers=headers, media_type="image/svg+xml")
    raise HTTPException(HTTPStatus.NOT_FOUND)
