"""What the encoder reads: levels, trends and what is still acting, by few summaries.

Summaries generalise where raw series do not: recordings of tens of people are few for a network
that has to find slopes and decays itself.
"""

import functools
import math
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.history import HISTORY_STEPS, History
from hybridtwin.physiology.body import ROW
from hybridtwin.timeline import BOLUS, CARBS, LONG_ACTING
from hybridtwin.units import STEP_MIN, steps

TYPICAL_MG_DL: Final = 140.0
_MIN_PER_H: Final = 60.0
_DAY: Final = slice(-steps(MINUTES_PER_DAY), None)
_LAGS_MIN: Final = (5, 10, 15, 20, 25, 30, 45, 60, 90, 120, 180, 240, 300, 360)
_SLOPES_MIN: Final = (15, 30, 60)
_SPANS_MIN: Final = (60, 180, 360, MINUTES_PER_DAY)
_BEND_MIN: Final = 15
# What glucose did at this hour of the day before, so long after the anchor's clock time.
_YESTERDAY_MIN: Final = (60, 120, 240, 480)
# Time constants over which an amount fades from what is still acting.
_ACTING_MIN: Final = (
    (BOLUS, (20, 45, 90, 180)),
    (("basal_u",), (45, 180)),
    (LONG_ACTING, (720,)),
    (CARBS, (20, 45, 90, 180)),
    (("fat_g",), (180,)),
    (("protein_g",), (180,)),
    (("steps",), (15, 60, 360)),
)
_RECENT_MIN: Final = (10, 30, 60, 120)
_HEART_MIN: Final = (15, 60, 360)
_BASAL_MIN: Final = (30, 120, 360)
_LAST_EVENT_MIN: Final = 360
_KNOWN: Final = (BOLUS, ("basal_u",), LONG_ACTING, CARBS, ("heart_rate_bpm",), ("steps",))
_DRIVEN: Final = (
    ("depot_1_u",),
    ("depot_2_u",),
    LONG_ACTING,
    ("plasma_insulin_u",),
    ("uptake_effect_u",),
    ("liver_effect_u",),
    ("stomach_g", "gut_1_g"),
    ("gut_2_g",),
    ("protein_2_g",),
    ("fat_2_g",),
    ("recovery_1",),
    ("recovery_2",),
)


def clock_features(minute_of_day: Tensor) -> Tensor:
    """(..., 4) first two harmonics of the day."""
    angle = 2 * math.pi * minute_of_day / MINUTES_PER_DAY
    return torch.stack([angle.sin(), angle.cos(), (2 * angle).sin(), (2 * angle).cos()], dim=-1)


def interpolated(glucose: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Readings with a straight line through every gap, and the age of the last one.

    Args:
        glucose: (B, K) mg/dL.
        known: (B, K).

    Returns:
        (B, K) mg/dL, held beyond the first and the last reading, a typical value where there is
        none; (B,) age of the last reading in steps, K without one.
    """
    count = glucose.shape[1]
    index = torch.arange(count, device=glucose.device).expand_as(glucose)
    last = torch.where(known, index, -1).cummax(dim=1).values
    following = torch.where(known, index, count).flip(1).cummin(dim=1).values.flip(1)
    seen, coming = last >= 0, following < count
    left = torch.where(seen, last, following).clamp(max=count - 1)
    right = torch.where(coming, following, last).clamp(min=0)
    low, high = glucose.gather(1, left), glucose.gather(1, right)
    share = (index - left) / (right - left).clamp(min=1)
    line = low + (high - low) * share
    age = torch.where(seen[:, -1], count - 1 - last[:, -1], count)
    return torch.where(seen | coming, line, TYPICAL_MG_DL), age


@functools.cache
def _fading(times_min: tuple[int, ...]) -> Tensor:
    """(K, n) weights of an amount that fades, the latest 1."""
    age_min = STEP_MIN * torch.arange(HISTORY_STEPS - 1.0, -1, -1)
    return torch.exp(-age_min.unsqueeze(-1) / torch.tensor(times_min))


@functools.cache
def _within(spans_min: tuple[int, ...]) -> Tensor:
    """(K, n) 1 in the last minutes, else 0."""
    age = torch.arange(HISTORY_STEPS - 1, -1, -1).unsqueeze(-1)
    return (age < torch.tensor([steps(span) for span in spans_min])).float()


@functools.cache
def _slope_weights() -> Tensor:
    """(K, n) weights of the least-squares slope per step, one for each span."""
    columns = []
    for span in _SLOPES_MIN:
        count = steps(span) + 1
        centred = torch.arange(count) - (count - 1) / 2
        weights = torch.zeros(HISTORY_STEPS)
        weights[-count:] = centred / centred.square().sum()
        columns.append(weights)
    return torch.stack(columns, dim=1)


def _mean_of_known(history: History, name: str, spans_min: tuple[int, ...]) -> Tensor:
    """(B, n) mean of what is known of a channel, 0 where nothing is."""
    known = history.channel_known(name).float()
    within = _within(spans_min)
    return (history.channel(name) * known) @ within / (known @ within).clamp(min=1)


def _since_last(amounts: Tensor) -> Tensor:
    """(B, 2) hours since the last amount, and that amount; what is long ago is as long ago."""
    recent = amounts[:, -steps(_LAST_EVENT_MIN) :]
    count = recent.shape[1]
    index = torch.arange(count, device=amounts.device)
    last = torch.where(recent > 0, index, -1).amax(dim=1)
    amount = recent.gather(1, last.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    hours = (count - last) * (STEP_MIN / _MIN_PER_H)
    return torch.stack([hours, torch.where(last >= 0, amount, 0.0)], dim=1)


def _glucose_features(history: History) -> list[Tensor]:
    known = history.glucose_known
    glucose, age = interpolated(history.glucose_mg_dl, known)
    last = glucose[:, -1:]
    lagged = glucose[:, [-1 - steps(lag) for lag in _LAGS_MIN]]
    bend = steps(_BEND_MIN)
    share = known.float() @ _within(_SPANS_MIN)
    within = _within(_SPANS_MIN) / torch.tensor([steps(span) for span in _SPANS_MIN])
    change = glucose - last
    mean = change @ within
    spread = (change.square() @ within - mean.square()).clamp(min=0).sqrt()
    day = -1 - steps(MINUTES_PER_DAY)
    yesterday = glucose[:, [day + steps(ahead) for ahead in _YESTERDAY_MIN]]
    return [
        last,
        last - lagged,
        glucose @ _slope_weights(),
        last - 2 * glucose[:, [-1 - bend]] + glucose[:, [-1 - 2 * bend]],
        mean,
        spread,
        share,
        age.unsqueeze(-1).float(),
        last - glucose[:, [day]],
        yesterday - glucose[:, [day]],
    ]


def features(history: History, driven: Tensor) -> Tensor:
    """What the encoder reads: (B, F), each in its own unit.

    An unknown amount is 0 here; how much of the day is known stands beside it.

    Args:
        history: The last hours.
        driven: (n, B) compartments that inputs drive, as physiology has them.
    """
    columns = [*_glucose_features(history), clock_features(history.minute_of_day)]
    columns += [history.total(names) @ _fading(times) for names, times in _ACTING_MIN]
    for names in (BOLUS, CARBS):
        amounts = history.total(names)
        columns += [amounts @ _within(_RECENT_MIN), _since_last(amounts)]
    columns += [
        _mean_of_known(history, "heart_rate_bpm", _HEART_MIN),
        _mean_of_known(history, "basal_u", _BASAL_MIN),
        history.exertion() @ _within(_HEART_MIN),
    ]
    columns += [_known_share(history, names) for names in _KNOWN]
    columns += [driven[[ROW[name] for name in names]].sum(0).unsqueeze(-1) for names in _DRIVEN]
    return torch.cat(columns, dim=1)


def _known_share(history: History, names: Sequence[str]) -> Tensor:
    """(B, 1) of the last day."""
    return history.channel_known(names[0])[:, _DAY].float().mean(1, keepdim=True)


FEATURES: Final = sum(
    (
        *(2, 4, len(_LAGS_MIN), len(_SLOPES_MIN), 1, 3 * len(_SPANS_MIN), 1, len(_YESTERDAY_MIN)),
        sum(len(times) for _, times in _ACTING_MIN),
        2 * (len(_RECENT_MIN) + 2),
        2 * len(_HEART_MIN) + len(_BASAL_MIN),
        *(len(_KNOWN), len(_DRIVEN)),
    )
)
"""How many there are, F."""
