"""Lows and highs that last: the consensus counts an event from 15 minutes on.

Battelino et al. 2023, Lancet Diabetes Endocrinol. 11:42.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
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
    windows = beyond.shape[-1] - steps + 1
    held = beyond[..., :windows]
    for later in range(1, steps):
        held = held & beyond[..., later : later + windows]
    return held.any(-1)


@dataclass(frozen=True)
class Episode:
    """A stretch of a trace beyond a limit.

    Attributes:
        begin: Its first grid point.
        end: The first grid point after it.
    """

    begin: int
    end: int

    @property
    def span(self) -> slice:
        """Its grid points."""
        return slice(self.begin, self.end)


def episodes(
    beyond: NDArray[np.bool_], known: NDArray[np.bool_], steps: int = EPISODE_STEPS
) -> list[Episode]:
    """The stretches beyond a limit, in the order of time.

    One begins with `steps` grid points beyond the limit and is over when as many lie on its other
    side, or when nothing is known any more.

    Args:
        beyond: (T,) whether glucose is known to be beyond the limit.
        known: (T,) whether it is known.
        steps: How long it takes to begin and to end.
    """
    found: list[Episode] = []
    edges = np.flatnonzero(np.diff(np.concatenate([[False], beyond, [False]])))
    for begin, end in edges.reshape(-1, 2).tolist():
        if found and begin - found[-1].end < steps and known[found[-1].end : begin].all():
            found[-1] = Episode(found[-1].begin, end)
        elif end - begin >= steps:
            found.append(Episode(begin, end))
    return found
