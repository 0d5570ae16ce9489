"""Exercise: how hard the body works, what working muscle takes up, and the hours after.

Uptake after Roy & Parker 2007, J. Diabetes Sci. Technol. 1:338, reduced to one delayed demand;
sensitivity that stays raised for hours after McMahon et al. 2007, J. Clin. Endocrinol. Metab.
92:963; the liver's output after sprints after Marliss & Vranic 2002, Diabetes 51:S271.
"""

from typing import Final

import torch
from torch import Tensor

from hybridtwin.physiology.cascade import Cascade, Flow

ONSET_MIN: Final = 15.0
RESTING_BPM: Final = 75.0
MAXIMAL_BPM: Final = 185.0
# Below a fifth of the heart-rate reserve it is daily life, not exercise.
EXERTION_THRESHOLD: Final = 0.2
# What working legs take up at the most; Romijn et al. 1993, Am. J. Physiol. 265:E380.
MUSCLE_CAPACITY_MG_KG_MIN: Final = 12.0
BRISK_STEPS_PER_MIN: Final = 120.0  # Tudor-Locke 2018: 100 moderate, 130 vigorous
BRISK_EXERTION: Final = 0.5
ANAEROBIC_FROM: Final = 0.8  # about the second lactate threshold; above it adrenaline surges

CASCADE: Final = Cascade(
    rates={
        "exertion": "exertion_rate_per_min",
        "recovery_1": "recovery_rate_per_min",
        "recovery_2": "recovery_rate_per_min",
        "sprint_1": "sprint_rate_per_min",
        "sprint_2": "sprint_rate_per_min",
    },
    flows=(
        Flow("exertion", "recovery_1"),
        Flow("recovery_1", "recovery_2"),
        Flow("sprint_1", "sprint_2"),
    ),
    # Per minute: so that steady exertion is felt as itself, and sprints use muscle by half.
    inputs={
        "exertion": (("exertion", 1 / ONSET_MIN),),
        "sprint": (("sprint_1", 1 / ONSET_MIN), ("exertion", 0.5 / ONSET_MIN)),
    },
)


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


def sprint(exertion_now: Tensor, stated_sprint: Tensor) -> Tensor:
    """Anaerobic exertion, 0 to 1: as stated, or what exceeds the anaerobic threshold."""
    above = ((exertion_now - ANAEROBIC_FROM) / (1 - ANAEROBIC_FROM)).clamp(0, 1)
    return torch.maximum(above, stated_sprint)
