"""The evening's review: who is heading for a low tonight, how surely, why, and what would help."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from hybridtwin.errors import TwinError
from hybridtwin.forecast import EventProbabilities, Forecast, Nadir
from hybridtwin.record import Record
from hybridtwin.review.night import HourRisk, forecast_night
from hybridtwin.review.reasons import Explanation, explain
from hybridtwin.review.settings import ReviewSettings
from hybridtwin.review.suggestions import Advice, advise
from hybridtwin.trust import Trust
from hybridtwin.twin import Twin
from hybridtwin.units import GlucoseUnit, from_mg_dl

_DIGITS: Final[dict[GlucoseUnit, int]] = {"mg/dL": 1, "mmol/L": 2}


class NightRisk(BaseModel):
    """One patient's line in tonight's list."""

    model_config = ConfigDict(frozen=True)

    participant: str = Field(description="Whose night (a pseudonym).")
    status: Literal["forecast", "refused"] = Field(
        description="refused: the data allow no forecast, which does not mean safe."
    )
    begin: datetime | None = Field(None, description="Start of the night, local time.")
    end: datetime | None = Field(None, description="End of the night, local time.")
    events: EventProbabilities | None = Field(None, description="In the night, 0 to 1.")
    hours: list[HourRisk] = Field(
        default_factory=list, description="Hour by hour, from now to the night's end."
    )
    nadir: Nadir | None = Field(None, description="Lowest point of the night.")
    trust: Trust | None = Field(None, description="How far to rely on it.")
    explanation: Explanation | None = Field(
        None, description="Why, where a low is likely enough to be explained."
    )
    advice: Advice | None = Field(
        None, description="What would help, where that is asked for; no instruction."
    )
    reason: str = Field("", description="Why there is no forecast.")

    def in_unit(self, unit: GlucoseUnit) -> "NightRisk":
        """The line with its glucose in another unit than mg/dL."""
        if self.nadir is None:
            return self
        depths = {
            name: round(from_mg_dl(getattr(self.nadir, name), unit), _DIGITS[unit])
            for name in ("median", "low")
        }
        changed: dict[str, object] = {"nadir": self.nadir.model_copy(update=depths)}
        for name in ("explanation", "advice"):
            if getattr(self, name) is not None:
                changed[name] = getattr(self, name).in_unit(unit)
        return self.model_copy(update=changed)


@dataclass(frozen=True)
class NightReview:
    """A patient's line, and the forecast behind it where there is one."""

    risk: NightRisk
    forecast: Forecast | None = None


def refusal(participant: str, reason: str) -> NightReview:
    """Somebody of whom nothing can be said."""
    return NightReview(NightRisk(participant=participant, status="refused", reason=reason))


def review_night(
    twin: Twin,
    record: Record,
    now: pd.Timestamp | None = None,
    settings: ReviewSettings | None = None,
) -> NightReview:
    """Forecast one patient's night and explain it, glucose in mg/dL.

    A patient who cannot be forecast is listed as such.

    Args:
        twin: The patient's twin.
        record: Their record.
        now: The evening from which to look; the last reading's time if None.
        settings: What is explained and tried.
    """
    settings = settings or ReviewSettings()
    try:
        night = forecast_night(twin, twin.believe(record, now))
    except TwinError as error:
        return refusal(record.profile.participant, str(error))
    likely = night.events.below_70 >= settings.explain_from
    risk = NightRisk(
        participant=record.profile.participant,
        status="forecast",
        begin=night.begin.to_pydatetime(),
        end=night.end.to_pydatetime(),
        events=night.events,
        hours=night.hours(),
        nadir=night.forecast.window(night.begin, night.end).nadir(),
        trust=night.belief.trust,
        explanation=explain(twin, night) if likely else None,
        advice=advise(twin, record, night, settings) if settings.suggest else None,
    )
    return NightReview(risk, night.forecast)


def by_attention(reviews: Iterable[NightReview]) -> list[NightReview]:
    """Those who cannot be forecast first, then by falling probability of a low."""

    def need(review: NightReview) -> tuple[bool, float, float]:
        events = review.risk.events
        if events is None:
            return (False, 0.0, 0.0)
        return (True, -events.below_70, -events.below_54)

    return sorted(reviews, key=need)
