"""Exercise: exertion from heart rate or steps, and the uptake that it drives.

Roy & Parker 2007, J. Diabetes Sci. Technol. 1:338, reduced to one delayed uptake.
"""

from typing import Final

import torch
from torch import Tensor

from hybridtwin.physiology.parameters import BodyParameters

RESTING_BPM: Final = 75.0
MAXIMAL_BPM: Final = 185.0
# Below a fifth of the heart-rate reserve it is daily life, not exercise.
EXERTION_THRESHOLD: Final = 0.2
BRISK_STEPS_PER_MIN: Final = 120.0  # Tudor-Locke 2018: 100 moderate, 130 vigorous
BRISK_EXERTION: Final = 0.5
ONSET_MIN: Final = 15.0


def exertion(
    heart_rate_bpm: Tensor, heart_rate_known: Tensor, steps_per_min: Tensor, stated: Tensor
) -> Tensor:
    """Exertion from 0 (rest) to 1 (maximal), from whichever source says most.

    Unknown heart rate, steps or statements (0) say nothing; shapes broadcast.
    """
    reserve = (heart_rate_bpm - RESTING_BPM) / (MAXIMAL_BPM - RESTING_BPM)
    from_heart = ((reserve - EXERTION_THRESHOLD) / (1 - EXERTION_THRESHOLD)).clamp(0, 1)
    from_steps = (BRISK_EXERTION * steps_per_min / BRISK_STEPS_PER_MIN).clamp(0, 1)
    return torch.maximum(torch.maximum(from_heart * heart_rate_known, from_steps), stated)


def exertion_rate(felt: Tensor, exertion_now: Tensor) -> Tensor:
    """Time derivative (B,) of the exertion that muscle has caught up with, per minute."""
    return (exertion_now - felt) / ONSET_MIN


def exercise_uptake(felt: Tensor, p: BodyParameters) -> Tensor:
    """(B,) uptake by working muscle, mg/kg/min, while there is glucose enough."""
    return p.exercise_uptake * felt
