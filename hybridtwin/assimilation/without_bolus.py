"""Meals that were logged without a bolus, and the bolus that is usual for them."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hybridtwin.assimilation.hours import Hours
from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.timeline import BOLUS, CARBS, CHANNEL, Timeline
from hybridtwin.units import steps

BEFORE: Final = steps(45)
AFTER: Final = steps(60)
"""A bolus so many steps before or after a meal is the meal's."""
_USUAL_DAYS: Final = 14
_USUAL_MEALS: Final = 5


@dataclass(frozen=True)
class Missing:
    """Of B moments' hours: the last meal that has no bolus, though its time is over.

    Attributes:
        there: (B,) whether there is one, and it is known what is usual.
        step: (B,) when it was eaten.
        usual_u: (B,) the bolus that is usual for so many grams; 0 where it is not known.
        spread: (B,) SD of its logarithm among meals.
    """

    there: Tensor
    step: Tensor
    usual_u: Tensor
    spread: Tensor


def missing(timeline: Timeline, at: Tensor, hours: Hours, least_g: float) -> Missing:
    """Meals of so many grams or more.

    Args:
        timeline: The person's.
        at: (B,) grid points at which the hours begin.
        hours: What was logged in them.
        least_g: Of a meal that counts.
    """
    carbs, bolus = hours.total(CARBS), hours.total(BOLUS)
    count = carbs.shape[1]
    span = torch.nn.functional.max_pool1d(
        torch.nn.functional.pad(bolus, (BEFORE, AFTER)).unsqueeze(1), BEFORE + AFTER + 1, 1
    ).squeeze(1)
    inside = torch.arange(count)
    over = (inside >= BEFORE) & (inside < count - AFTER)
    alone = (carbs >= least_g) & (span == 0) & over
    step = (alone * inside).argmax(1)
    grams = carbs.gather(1, step.unsqueeze(1)).squeeze(1)
    logs = _grams_per_u(timeline, least_g)
    usual = torch.tensor([_usual(logs, int(first) + count) for first in at])
    usual_u = (grams / usual[:, 0].exp()).nan_to_num(0.0)
    there = alone.any(1) & ~usual[:, 0].isnan()
    return Missing(there, step, usual_u * there, usual[:, 1].nan_to_num(0.0))


def _grams_per_u(timeline: Timeline, least_g: float) -> NDArray[np.float64]:
    """(n, 2) of every meal that had a bolus: when its bolus was over, log of grams per U."""
    carbs, bolus = (
        timeline.values[:, [CHANNEL[name] for name in names]].sum(1).double().numpy()
        for names in (CARBS, BOLUS)
    )
    given = np.concatenate([[0.0], bolus.cumsum()])
    meals = np.flatnonzero(carbs >= least_g)
    over = np.minimum(meals + AFTER, len(bolus))
    units = given[over] - given[np.maximum(meals - BEFORE, 0)]
    had = units > 0
    return np.stack([over[had], np.log(carbs[meals][had] / units[had])], axis=1)


def _usual(logs: NDArray[np.float64], now: int) -> tuple[float, float]:
    """Median and SD of the last days' meals; NaN where there are too few."""
    reach = _USUAL_DAYS * steps(MINUTES_PER_DAY)
    lately = logs[(logs[:, 0] <= now) & (logs[:, 0] > now - reach), 1]
    if len(lately) < _USUAL_MEALS:
        return np.nan, np.nan
    return float(np.median(lately)), float(lately.std())
