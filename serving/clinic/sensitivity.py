"""How strongly insulin acts on a person, as the twin's beliefs told: over the day and the weeks."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd
import torch
from torch import Tensor

from hybridtwin.physiology.clock import daily_profile
from hybridtwin.physiology.parameters import NAMES, BodyParameters

DAYS: Final = 28
"""How far back beliefs are asked."""
_LEAST_DAYS: Final = 3
_TOLD_AS: Final = "uptake_sensitivity"
_PROFILE: Final = ("day_sine", "day_cosine", "half_day_sine", "half_day_cosine")
_ASKED: Final = {_TOLD_AS, *_PROFILE}
_LEVELS: Final = ("low", "value", "high")


@dataclass(frozen=True)
class Sensitivity:
    """What beliefs told of insulin's action, as factors on the person's own median of these weeks.

    Attributes:
        hours: Rows by local hour, 0 to 23; `value` is the median of what was held most likely, and
            `low` and `high` of what 10 % of the ensemble lay below and above. NaN where no belief
            tells.
        days: The same by local date, from the first day to the last.
        personal: Whether the twin was fitted to this person when the last belief was formed.
    """

    hours: pd.DataFrame
    days: pd.DataFrame
    personal: bool


def sensitivity(beliefs: Sequence[bytes], zone: str) -> Sensitivity | None:
    """What beliefs told; None where they are of too few days.

    Args:
        beliefs: Each a `BeliefReport` as it was kept, the newest first.
        zone: In which the person lives.
    """
    if not beliefs:
        return None
    told = [json.loads(belief) for belief in beliefs]
    times = pd.to_datetime([one["time"] for one in told], utc=True, format="ISO8601")
    time = times.tz_convert(zone)
    parameters = [
        {one["name"]: one for one in belief["parameters"] if one["name"] in _ASKED}
        for belief in told
    ]
    clock = daily_profile(torch.tensor(60.0 * time.hour + time.minute), _bodies(parameters))
    own = pd.DataFrame([one[_TOLD_AS] for one in parameters])
    levels = own[list(_LEVELS)].mul(clock.double().numpy(), axis=0)
    levels /= levels["value"].median()
    days = levels.groupby(time.date).median()
    if len(days) < _LEAST_DAYS:
        return None
    every_day = [day.date() for day in pd.date_range(days.index[0], days.index[-1])]
    return Sensitivity(
        hours=levels.groupby(time.hour).median().reindex(range(24)),
        days=days.reindex(every_day),
        personal=bool(own["personal"].iloc[0]),
    )


def _bodies(parameters: Sequence[dict[str, Any]]) -> BodyParameters:
    """The profiles of all beliefs side by side, as they were held most likely; the rest is NaN."""

    def values(name: str) -> Tensor:
        return torch.tensor([one[name]["value"] for one in parameters])

    known = dict.fromkeys((*NAMES, "weight_kg", "beta_cells"), torch.tensor(torch.nan))
    return BodyParameters(**(known | {name: values(name) for name in _PROFILE}))
