"""Slow parameters: the few directions in which a person's parameters are followed over days.

Days of ordinary life tell few parameters apart. What is followed is what clinicians name: how
strongly insulin acts, on uptake and liver alike, over weeks and within the day; what the liver
makes, which is the basal need; how much of the carbohydrate arrives, and how fast; and the profile
of sensitivity over the day. A direction's value is the deviation of a logarithm from the person's
own (of the value itself, for the profile).
"""

from typing import Final

import torch
from torch import Tensor

from hybridtwin.assimilation.settings import SlowSettings
from hybridtwin.hybrid import People
from hybridtwin.physiology.parameters import NAMES, PARAMETERS

_SENSITIVITY: Final = {"uptake_sensitivity": 1.0, "liver_half_insulin": -1.0}
_PARAMETERS: Final = {
    "sensitivity": _SENSITIVITY,
    "sensitivity_now": _SENSITIVITY,
    "liver_output": {"liver_maximum": 1.0},
    "carbohydrate": {"carb_availability": 1.0},
    "absorption": {"gut_time_min": 1.0},
    "profile_sine": {"day_sine": 1.0},
    "profile_cosine": {"day_cosine": 1.0},
}
"""By direction: which parameters it moves, and which way."""
DIRECTIONS: Final = tuple(SlowSettings.model_fields)
SENSITIVITIES: Final = [DIRECTIONS.index(name) for name in ("sensitivity", "sensitivity_now")]
"""Their sum is the sensitivity."""


def _scores() -> Tensor:
    """(K, P) standard scores per unit of each direction."""
    found = torch.zeros(len(DIRECTIONS), len(NAMES))
    for row, direction in enumerate(DIRECTIONS):
        for name, sign in _PARAMETERS[direction].items():
            column = NAMES.index(name)
            found[row, column] = sign / PARAMETERS[column].sd
    return found


_SCORES: Final = _scores()


def with_slow(people: People, slow: Tensor) -> People:
    """People (B) whose parameters deviate from their own by slow (B, K)."""
    scores = people.scores + slow @ _SCORES
    return People(people.embedding, scores, people.weight_kg, people.beta_cells)
