"""When a person eats: at which times a meal is likely that nobody logged.

People eat at much the same times every day, and log most of it. So a meal that was logged on a day
before speaks for one at its time of day (a kernel density over the clock, with some meals that may
lie anywhere), unless one was logged about then: where breakfast is logged, no other is missing.
"""

import math
from typing import Final

import torch
from torch import Tensor

from hybridtwin.assimilation.settings import HabitSettings
from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.timeline import CARBS, CHANNEL, Timeline
from hybridtwin.units import STEP_MIN, steps

_DAY: Final = steps(MINUTES_PER_DAY)


def meal_odds(
    timeline: Timeline, at: Tensor, begins: Tensor, count: int, settings: HabitSettings
) -> Tensor:
    """(B, K) how much likelier a meal without a log is than at just any time.

    Args:
        timeline: The person's.
        at: (B,) grid points at which hours begin; what comes after these hours is not looked at.
        begins: (K,) steps after them.
        count: Steps of the hours.
        settings: How alike days are.
    """
    eats = timeline.values[:, [CHANNEL[name] for name in CARBS]].sum(1) > 0
    before = torch.nn.functional.pad(eats, (1, 0))[:-1]
    meals = torch.nonzero(eats & ~before).flatten()  # what is eaten in several steps is one
    return torch.stack([_odds(meals, int(first), begins, count, settings) for first in at])


def _odds(meals: Tensor, first: int, begins: Tensor, count: int, settings: HabitSettings) -> Tensor:
    """(K,) of one look, whose hours begin at grid point `first`; meals are grid points."""
    reach, taken = round(settings.days * _DAY), settings.taken_min / STEP_MIN
    past = meals[(meals < first) & (meals >= first - reach)]
    today = meals[(meals >= first - taken) & (meals < first + count)]
    then = first + begins.unsqueeze(1)
    later = _over_the_clock(past - then)
    apart = (then + later).unsqueeze(-1) - today
    free = ~(apart.abs() <= taken).any(-1)
    away = STEP_MIN * later.double() / settings.sd_min
    at_best = MINUTES_PER_DAY / (settings.sd_min * math.sqrt(math.tau))
    density = at_best * (-0.5 * away.square()).exp()
    return (settings.anywhere + (density * free).sum(1)) / (settings.anywhere + len(past))


def _over_the_clock(apart: Tensor) -> Tensor:
    """Steps between times of day, less than half a day to either side."""
    return (apart + _DAY // 2) % _DAY - _DAY // 2
