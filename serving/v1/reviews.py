"""Nights as they were reviewed: of a clinic's patients, and of one patient."""

import uuid
from datetime import datetime, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Path
from pydantic import Field

from hybridtwin.review.review import NightReview, NightRisk, by_attention
from serving import clock
from serving.access.policy import Action
from serving.store import audit, issued
from serving.v1.permission import PatientId, Permission, may
from serving.v1.schema import Answer, Clinic
from serving.v1.twin import Begin, End, Limit

router = APIRouter(tags=["clinic"])
_RECENT: Final = timedelta(days=1)


class ReviewReport(Answer):
    """A night as it was reviewed; it never changes."""

    id: uuid.UUID = Field(description="Of the review.")
    patient: uuid.UUID = Field(description="Whose night.")
    time: datetime = Field(description="When it was reviewed.")
    model: str = Field(description="Which version of the twin made the forecast.")
    night: NightRisk = Field(description="What was expected of it; glucose in mg/dL.")


class ReviewList(Answer):
    """Nights as they were reviewed."""

    reviews: list[ReviewReport] = Field(
        description="Of a clinic those who need attention first, of a patient the newest first."
    )


@router.get("/v1/clinics/{clinic}/reviews", summary="Who is heading for a low?")
def read_reviews_of_clinic(
    clinic: Annotated[Clinic, Path(description="The clinic's name.")],
    permission: Annotated[Permission, may(Action.TONIGHT_READ)],
) -> ReviewList:
    """The latest review of the last day of everybody who consents to care now."""
    with permission.reading() as session:
        kept = issued.reviews_of(session, permission.vault, clinic, clock.now() - _RECENT)
    with permission.store.database.session() as session:  # everybody may know who looked
        for patient in kept:
            audit.append(session, permission.caller.subject, permission.action, patient)
    found = {id(one.night): one for one in (_report(*each) for each in kept.items())}
    order = by_attention(NightReview(one.night) for one in found.values())
    return ReviewList(reviews=[found[id(review.risk)] for review in order])


@router.get("/v1/patients/{patient}/reviews", summary="How were their nights reviewed?")
def read_reviews(
    patient: PatientId,
    permission: Annotated[Permission, may(Action.FORECAST_READ)],
    begin: Begin = None,
    end: End = None,
    limit: Limit = 20,
) -> ReviewList:
    """Reviews as they were issued, the newest first; the forecasts behind them are kept too."""
    with permission.reading() as session:
        kept = issued.find(session, permission.vault, patient, "review", begin, end, limit)
    return ReviewList(reviews=[_report(patient, one) for one in kept])


def _report(patient: uuid.UUID, review: issued.Document) -> ReviewReport:
    night = NightRisk.model_validate_json(review.content)
    return ReviewReport(
        id=review.id, patient=patient, time=review.time, model=review.model, night=night
    )
