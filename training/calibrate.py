"""Calibration: widen or narrow the spread until it holds on windows it did not learn from.

Conformalised quantile regression (Romano, Patterson & Candes 2019, NeurIPS 32), by factors instead
of shifts, below and above the median by themselves and at each horizon. The windows are forecast
without a name, as for people of whom nothing is known.
"""

import math
from typing import Final

import torch
from torch import Tensor

from hybridtwin.neural.spread import LEVELS, Spread

_LOW, _MEDIAN, _HIGH = (LEVELS.index(level) for level in (0.1, 0.5, 0.9))
_OUTSIDE: Final = 0.1
_FEWEST: Final = 200
"""With fewer windows at a horizon the spread stays as it was learnt."""


def conformal(spread: Spread, beyond: Tensor) -> None:
    """Set the spread's widening so that a tenth of readings lies beyond each outer decile.

    Args:
        spread: Whose widening was 1 when the windows were forecast.
        beyond: (2, N, K) of `beyond_median` at `KNOTS_MIN`; NaN without a reading.
    """
    for side in range(2):
        for knot in range(beyond.shape[-1]):
            values = beyond[side, :, knot]
            values = values[~values.isnan()]
            if len(values) >= _FEWEST:
                spread.widening[side, knot] = conformal_quantile(values, _OUTSIDE)


def beyond_median(ratio: Tensor, quantiles: Tensor) -> Tensor:
    """(2, B, H) how far readings lie below and above the median, in distances of the outer deciles.

    Args:
        ratio: (B, H) log of reading to trajectory.
        quantiles: (B, H, Q) of it at `LEVELS`.
    """
    low, median, high = (quantiles[..., level] for level in (_LOW, _MEDIAN, _HIGH))
    return torch.stack([(median - ratio) / (median - low), (ratio - median) / (high - median)])


def conformal_quantile(values: Tensor, outside: float) -> Tensor:
    """The value that a new one exceeds with a probability of at most `outside`.

    Args:
        values: (N,) exchangeable with the new one.
        outside: Between 0 and 1.
    """
    above = math.floor((len(values) + 1) * outside)
    return values.sort(descending=True).values[above]
