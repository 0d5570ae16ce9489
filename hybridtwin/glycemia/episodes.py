"""Lows and highs that last: the consensus counts an event from 15 minutes on.

Battelino et al. 2023, Lancet Diabetes Endocrinol. 11:42.
"""

from typing import Final

from torch import Tensor

LOW_MG_DL: Final = 70.0
VERY_LOW_MG_DL: Final = 54.0
HIGH_MG_DL: Final = 180.0
VERY_HIGH_MG_DL: Final = 250.0
EPISODE_STEPS: Final = 3
"""15 minutes on the 5-minute grid."""


def lasts(beyond: Tensor, steps: int = EPISODE_STEPS) -> Tensor:
    """(...) whether `beyond` (..., H) holds for at least `steps` consecutive grid points."""
    if beyond.shape[-1] < steps:
        return beyond.new_zeros(beyond.shape[:-1])
    return beyond.unfold(-1, steps, 1).all(-1).any(-1)
