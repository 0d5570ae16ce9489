"""Resampling: members as often as they are likely.

Systematic, so that none is drawn more than one time too often or too rarely (Kitagawa 1996,
J Comput Graph Stat 5:1-25).
"""

import torch
from torch import Tensor


def systematic(weights: Tensor, uniform: Tensor) -> Tensor:
    """(N, M) indices of members, each as often as its weight says, within one.

    Args:
        weights: (N, M) summing to 1.
        uniform: (N,) from 0 to 1.
    """
    count = weights.shape[1]
    at = (torch.arange(count).to(weights) + uniform.unsqueeze(1)) / count
    return torch.searchsorted(weights.cumsum(1), at).clamp(max=count - 1)
