"""One patient, as their page and their report show them: from what evenings and mornings left."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.orm import Session

from hybridtwin.events import Profile
from hybridtwin.forecast import ForecastReport
from hybridtwin.review.review import NightRisk
from hybridtwin.review.suggestions import Advice
from hybridtwin.trust import STALE_MIN
from serving.clinic import panel
from serving.clinic.figures import Figures, figures
from serving.clinic.sensitivity import DAYS, Sensitivity, sensitivity
from serving.clinic.summary import PAST_DAYS, Night, NightPicture, NightPictures, Nights, PastNight
from serving.clinic.weeks import Weeks
from serving.settings import Settings
from serving.store import follow_ups, issued, summaries
from serving.store.vault import Vault

_PARTS: Final[tuple[summaries.Part, ...]] = (*panel.PARTS, "nights", "night_pictures", "weeks")
_KEPT_WITHIN: Final = timedelta(hours=1)
"""A review's forecast is kept a little after it was made."""
_HELPS_FOR: Final = timedelta(minutes=STALE_MIN)
"""What would help is told for so long after the review; then it has to be looked for again."""


@dataclass(frozen=True)
class Kept:
    """What the store holds of one patient, as it was kept.

    Attributes:
        summary: The panel's parts, and those of the page alone.
        beliefs: Of the last weeks, the newest first.
        forecasts: Made at about the time of the night's review.
        steps: What the staff did, the newest first.
    """

    summary: summaries.Summary
    beliefs: Sequence[bytes]
    forecasts: Sequence[bytes]
    steps: Sequence[follow_ups.Step]


@dataclass(frozen=True)
class View:
    """What is shown of one patient.

    Attributes:
        now: The present.
        row: Theirs on the panel.
        profile: What the twin knows of them.
        risk: The row's night, whole.
        advice: What would help; None where it was not looked for, or too long ago.
        forecast: Behind it; None without one.
        weeks: The last weeks; None before the first review of readings.
        sensitivity: What the twin held true of it; None where that is too little.
        nights: Past ones beside what was forecast, in order.
        pictures: Of the last of them.
        figures: What these say of the forecasts.
        steps: What the staff did, the newest first.
    """

    now: datetime
    row: panel.Row
    profile: Profile
    risk: NightRisk | None
    advice: Advice | None
    forecast: ForecastReport | None
    weeks: Weeks | None
    sensitivity: Sensitivity | None
    nights: list[PastNight]
    pictures: list[NightPicture]
    figures: Figures
    steps: Sequence[follow_ups.Step]


def read(session: Session, vault: Vault, patient: uuid.UUID, now: datetime) -> Kept:
    """What the store holds of a patient who consents to care.

    Raises:
        UnknownError: There is no such patient.
    """
    found = summaries.of_patient(session, vault, patient, _PARTS)
    night = _night(found)
    forecasts: list[issued.Document] = []
    if night:
        until = night.issued + _KEPT_WITHIN
        forecasts = issued.find(session, vault, patient, "forecast", night.issued, until)
    beliefs = issued.find(session, vault, patient, "belief", now - timedelta(days=DAYS))
    return Kept(
        summary=found,
        beliefs=[one.content for one in beliefs],
        forecasts=[one.content for one in forecasts],
        steps=follow_ups.steps(session, vault, patient),
    )


def view_of(kept: Kept, now: datetime, settings: Settings) -> View:
    """What is shown of them now."""
    row = panel.row_of(kept.summary, now, settings)
    night = _night(kept.summary)
    parts, since = kept.summary.parts, now - timedelta(days=PAST_DAYS)
    past = Nights.model_validate_json(parts["nights"]).nights if "nights" in parts else []
    nights = [one for one in past if one.end >= since]
    drawn = parts.get("night_pictures", b"{}")
    fresh = night and row.night and now - night.issued <= _HELPS_FOR
    reports = [ForecastReport.model_validate_json(one) for one in kept.forecasts]
    return View(
        now=now,
        row=row,
        profile=Profile.model_validate(kept.summary.profile),
        risk=night.risk if night and row.night else None,
        advice=night.risk.advice if night and fresh else None,
        forecast=next(
            (one for one in reports if row.night and one.issued == row.night.issued), None
        ),
        weeks=Weeks.model_validate_json(parts["weeks"]) if "weeks" in parts else None,
        sensitivity=sensitivity(kept.beliefs, row.zone),
        nights=nights,
        pictures=NightPictures.model_validate_json(drawn).nights,
        figures=figures(nights, (settings.likely_low, settings.watch)),
        steps=kept.steps,
    )


def _night(one: summaries.Summary) -> Night | None:
    return Night.model_validate_json(one.parts["night"]) if "night" in one.parts else None
