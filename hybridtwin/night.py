"""Tonight: who is heading for a low between midnight and six."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

import pandas as pd
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from hybridtwin.belief import Belief
from hybridtwin.errors import HistoryError, TwinError
from hybridtwin.forecast import EventProbabilities, Forecast, Nadir
from hybridtwin.glycemia.episodes import LOW_MG_DL, VERY_LOW_MG_DL, lasts
from hybridtwin.night_statistics import EVENING_MIN, evening
from hybridtwin.output_statistics import of_history
from hybridtwin.physiology.covariates import beta_cells
from hybridtwin.plan import HORIZON_MAX_MIN
from hybridtwin.record import Record
from hybridtwin.resampling import systematic
from hybridtwin.trust import Trust
from hybridtwin.twin import Twin
from hybridtwin.units import STEP_MIN, GlucoseUnit

NIGHT_END_H: Final = 6


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
    nadir: Nadir | None = Field(None, description="Lowest point of the night.")
    trust: Trust | None = Field(None, description="How far to rely on it.")
    reason: str = Field("", description="Why there is no forecast.")


@dataclass(frozen=True)
class NightReview:
    """A patient's line, and the forecast behind it where there is one."""

    risk: NightRisk
    forecast: Forecast | None = None


def coming_night(now: pd.Timestamp, time_zone: str) -> tuple[pd.Timestamp, pd.Timestamp]:
    """The night that comes (or runs): from midnight, or from now, to six, local wall time."""
    local = now.tz_convert(time_zone)
    night_runs = local.hour < NIGHT_END_H
    day = local.normalize() if night_runs else local.normalize() + pd.DateOffset(days=1)
    begin = max(local, day) if night_runs else day
    return begin, day + pd.DateOffset(hour=NIGHT_END_H)  # by the wall clock


def review_night(
    twin: Twin, record: Record, now: pd.Timestamp | None = None, unit: GlucoseUnit = "mg/dL"
) -> NightReview:
    """Forecast one patient's night; a patient who cannot be forecast is listed as such.

    Args:
        twin: The patient's twin.
        record: Their record.
        now: The evening from which to look; the last reading's time if None.
        unit: Of the nadir.
    """
    participant = record.profile.participant
    try:
        belief = twin.believe(record, now)
        begin, end = coming_night(belief.now, record.profile.time_zone)
        horizon_min = int((end - belief.time) / pd.Timedelta(minutes=STEP_MIN)) * STEP_MIN
        if horizon_min > HORIZON_MAX_MIN:
            raise HistoryError.of(
                "now",
                f"the night's end is {horizon_min / 60:.0f} h away, "
                f"beyond {HORIZON_MAX_MIN // 60} h",
                "Review the night in the evening, after 18:00 local time.",
            )
        forecast = twin.forecast(belief, horizon_min=horizon_min)
    except TwinError as error:
        return NightReview(NightRisk(participant=participant, status="refused", reason=str(error)))
    night = forecast.window(begin, end)
    ahead = (begin - belief.time) / pd.Timedelta(minutes=1)
    events = night.events()
    events = events.model_copy(update=_lows(twin, belief, events, ahead))
    alike = as_likely(night.paths_mg_dl, events)
    forecast, night = forecast.chosen(alike), night.chosen(alike)
    risk = NightRisk(
        participant=participant,
        status="forecast",
        begin=begin.to_pydatetime(),
        end=end.to_pydatetime(),
        events=events,
        nadir=night.nadir(unit),
        trust=forecast.trust,
    )
    return NightReview(risk, forecast)


def _lows(
    twin: Twin, belief: Belief, events: EventProbabilities, to_midnight_min: float
) -> dict[str, float]:
    """Probabilities of lows as statistics have them; none where these say nothing of now."""
    of_now = 0 < to_midnight_min <= EVENING_MIN and beta_cells(belief.profile) == 0
    if twin.statistics is None or not of_now:
        return {}
    table = evening(of_history(belief.predictors), torch.tensor([to_midnight_min]))
    return {
        name: round(float(statistics.probability(table, torch.tensor([getattr(events, name)]))), 4)
        for name, statistics in twin.statistics.night.items()
        if name in EventProbabilities.model_fields
    }


def as_likely(paths_mg_dl: Tensor, events: EventProbabilities) -> Tensor:
    """(M,) which paths to take, some more than once, so that lows are as many as they are likely.

    Without it the lowest point would tell of another night than the probabilities do. Paths with a
    very low, with a low and with none are resampled each as often as their kind is likely.

    Args:
        paths_mg_dl: (M, H) of the night.
        events: Its probabilities.
    """
    low, very_low = (lasts(paths_mg_dl < limit) for limit in (LOW_MG_DL, VERY_LOW_MG_DL))
    kind = low.long() + very_low
    deep = min(events.below_54, events.below_70)
    likely = torch.tensor([1 - events.below_70, events.below_70 - deep, deep])
    in_order = kind.argsort(stable=True)
    weights = (likely / torch.bincount(kind, minlength=3))[kind[in_order]]
    if weights.sum() == 0:  # no path is of a kind that is likely
        return torch.arange(len(kind))
    drawn = systematic((weights / weights.sum()).unsqueeze(0), torch.tensor([0.5]))
    return in_order[drawn[0]]


def by_attention(reviews: Iterable[NightReview]) -> list[NightReview]:
    """Those who cannot be forecast first, then by falling probability of a low."""

    def need(review: NightReview) -> tuple[bool, float, float]:
        events = review.risk.events
        if events is None:
            return (False, 0.0, 0.0)
        return (True, -events.below_70, -events.below_54)

    return sorted(reviews, key=need)
