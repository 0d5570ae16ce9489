"""What training minimises and watches, window by window."""

from typing import Final

import torch
from torch import Tensor

from hybridtwin.hybrid import log_ratio
from hybridtwin.neural.spread import LEVELS

# Smaller effects count as if they were as large: there is little to learn from them.
_LEAST_EFFECT_MG_DL: Final = 10.0
_LEAST_MISS_MG_DL: Final = 1.0


def trajectory_scale_mg_dl(minutes: Tensor) -> Tensor:
    """(H,) about persistence's error at each horizon, so that horizons weigh alike."""
    return 75 * (1 - torch.exp(-minutes / 90))


def effect_error(expected_mg_dl: Tensor, true_mg_dl: Tensor) -> Tensor:
    """(B,) error of effects (B, H), which are differences of two futures, over their size."""
    missed = _rms(expected_mg_dl - true_mg_dl, _LEAST_MISS_MG_DL)
    return missed / _rms(true_mg_dl, _LEAST_EFFECT_MG_DL)


def pinball_loss(observed_mg_dl: Tensor, trajectory_mg_dl: Tensor, quantiles: Tensor) -> Tensor:
    """(B, H) mean pinball loss over levels, in log space, scaled to about 1."""
    levels = quantiles.new_tensor(LEVELS)
    miss = log_ratio(observed_mg_dl.clamp(min=1), trajectory_mg_dl).unsqueeze(-1) - quantiles
    return 10 * torch.maximum(levels * miss, (levels - 1) * miss).mean(-1)


def inside_80(observed: Tensor, trajectory: Tensor, quantiles: Tensor) -> Tensor:
    """(B, H) whether a reading lies in the central 80 % interval."""
    ratio = log_ratio(observed.clamp(min=1), trajectory)
    low, high = quantiles[..., LEVELS.index(0.1)], quantiles[..., LEVELS.index(0.9)]
    return (ratio >= low) & (ratio <= high)


def _rms(values: Tensor, least: float) -> Tensor:
    """(B,) root mean square over (B, H), and at least about `least`."""
    return (values.square().mean(1) + least**2).sqrt()
