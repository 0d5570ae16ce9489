"""Tonight, from midnight to six: how likely a low is in each hour, and how deep it goes."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import pandas as pd
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from hybridtwin.belief import Belief
from hybridtwin.errors import HistoryError
from hybridtwin.forecast import EventProbabilities, Forecast
from hybridtwin.glycemia.episodes import EPISODE_STEPS, LOW_MG_DL, VERY_LOW_MG_DL, lasts
from hybridtwin.night_statistics import EVENING_MIN, evening
from hybridtwin.output_statistics import of_history
from hybridtwin.physiology.covariates import beta_cells
from hybridtwin.plan import HORIZON_MAX_MIN
from hybridtwin.resampling import systematic
from hybridtwin.trust import STALE_MIN
from hybridtwin.twin import Twin
from hybridtwin.units import STEP_MIN

NIGHT_END_H: Final = 6
REACH_FROM_H: Final = 24 + NIGHT_END_H - int(HORIZON_MAX_MIN - STALE_MIN) // 60
"""From this hour of an evening on the coming night is `in_reach`."""
_SHORTEST_MIN: Final = EPISODE_STEPS * STEP_MIN
"""What is left of a night in which there can be a low."""


class HourRisk(BaseModel):
    """Probabilities, 0 to 1, that some of an hour is part of a low of 15 minutes or longer."""

    model_config = ConfigDict(frozen=True)

    begin: datetime = Field(description="Start of the hour, local time.")
    below_70: float = Field(ge=0, le=1, description="Below 70 mg/dL (3.9 mmol/L).")
    below_54: float = Field(ge=0, le=1, description="Below 54 mg/dL (3.0 mmol/L).")


@dataclass(frozen=True)
class Night:
    """The coming night of one patient.

    Attributes:
        begin: Midnight, or now where the night runs; local time.
        end: Six o'clock, local time.
        belief: From which it is looked at.
        forecast: From the last reading to the night's end; its paths are chosen so that lows in
            the night are among them as often as they are likely.
        events: Probabilities in the night.
        chosen: (M,) which of the forecast's own paths these are.
    """

    begin: pd.Timestamp
    end: pd.Timestamp
    belief: Belief
    forecast: Forecast
    events: EventProbabilities
    chosen: Tensor

    @property
    def horizon_min(self) -> int:
        """From the last reading to the night's end, minutes."""
        return STEP_MIN * len(self.forecast.expected_mg_dl)

    @property
    def within(self) -> Tensor:
        """(H,) which of the forecast's times lie in the night."""
        times = self.forecast.times
        return torch.tensor((times >= self.begin) & (times <= self.end))

    def hours(self) -> list[HourRisk]:
        """Each hour of the clock from now to the night's end, the evening's included."""
        local = self.forecast.times.tz_convert(self.begin.tz)
        minute = local.minute.to_numpy()
        first = np.flatnonzero(np.diff(minute, prepend=60) < 0)
        hours = local[first] - pd.to_timedelta(minute[first], unit="min")
        low, very_low = (
            np.logical_or.reduceat(found.numpy(), first, axis=1).mean(0).round(4).tolist()
            for found in (
                in_episode(self.forecast.paths_mg_dl < limit)
                for limit in (LOW_MG_DL, VERY_LOW_MG_DL)
            )
        )
        return [
            HourRisk(begin=begin.to_pydatetime(), below_70=low[row], below_54=very_low[row])
            for row, begin in enumerate(hours)
            if begin < self.end
        ]


def in_episode(beyond: Tensor) -> Tensor:
    """(..., H) which points of `beyond` (..., H) are part of an episode of 15 minutes or longer."""
    lasting = beyond.unfold(-1, EPISODE_STEPS, 1).all(-1)
    found = torch.zeros_like(beyond)
    for shift in range(EPISODE_STEPS):
        found[..., shift : shift + lasting.shape[-1]] |= lasting
    return found


def coming_night(now: pd.Timestamp, time_zone: str) -> tuple[pd.Timestamp, pd.Timestamp]:
    """The night that comes (or runs): from midnight, or from now, to six, local wall time."""
    local = now.tz_convert(time_zone)
    night_runs = local.hour < NIGHT_END_H
    day = local.normalize() if night_runs else local.normalize() + pd.DateOffset(days=1)
    begin = max(local, day) if night_runs else day
    return begin, day + pd.DateOffset(hour=NIGHT_END_H)  # by the wall clock


def in_reach(now: pd.Timestamp, time_zone: str) -> bool:
    """Whether the coming night can be forecast to its end from any last reading not stale, and is
    long enough for a low.
    """
    _, end = coming_night(now, time_zone)
    left_min = (end - now) / pd.Timedelta(minutes=1)
    return bool(_SHORTEST_MIN <= left_min <= HORIZON_MAX_MIN - STALE_MIN)


def forecast_night(twin: Twin, belief: Belief) -> Night:
    """Forecast the night that comes.

    Raises:
        HistoryError: It is too early to look at the night, or too late.
    """
    begin, end = coming_night(belief.now, belief.profile.time_zone)
    if end - belief.now < pd.Timedelta(minutes=_SHORTEST_MIN):
        raise HistoryError.of(
            "now",
            f"the night is over in less than {_SHORTEST_MIN} min, too soon for a low",
            "Review the next night in the evening, after 18:00 local time.",
        )
    horizon_min = int((end - belief.time) / pd.Timedelta(minutes=STEP_MIN)) * STEP_MIN
    if horizon_min > HORIZON_MAX_MIN:
        raise HistoryError.of(
            "now",
            f"the night's end is {horizon_min / 60:.0f} h away, beyond {HORIZON_MAX_MIN // 60} h",
            "Review the night in the evening, after 18:00 local time.",
        )
    forecast = twin.forecast(belief, horizon_min=horizon_min)
    night = forecast.window(begin, end)
    events = night.events()
    ahead_min = (begin - belief.time) / pd.Timedelta(minutes=1)
    events = events.model_copy(update=_lows(twin, belief, events, ahead_min))
    chosen = as_likely(night.paths_mg_dl, events)
    return Night(begin, end, belief, forecast.chosen(chosen), events, chosen)


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
