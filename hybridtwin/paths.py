"""Sample paths: members' trajectories with the spread that the ensemble leaves unexplained."""

import functools
from typing import Final

import torch
from torch import Tensor

from hybridtwin.hybrid import log_ratio
from hybridtwin.neural.spread import LEVELS
from hybridtwin.units import GLUCOSE_MAX_MG_DL, GLUCOSE_MIN_MG_DL, STEP_MIN

_KNOTS: Final = torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor(LEVELS))
_INNER_80: Final = 2.5631  # standard deviations between the 10 % and the 90 % quantile
_LEAST_SHARE: Final = 0.2  # of the variance stays with the sensor and the unforeseen
_JITTER: Final = 1e-5


def correlation(steps: int, log_decay: float, memory_min: float) -> Tensor:
    """(H, H) correlation of forecast errors at two horizons s <= t: (s/t)^a exp(-(t - s)/tau).

    Errors add up like a random walk, whose normalised values correlate as (s/t)^0.5, and forget.

    Args:
        steps: H.
        log_decay: a.
        memory_min: tau, minutes.
    """
    minutes = torch.arange(1.0, steps + 1).mul(STEP_MIN)
    earlier = torch.minimum(minutes[:, None], minutes)
    later = torch.maximum(minutes[:, None], minutes)
    return torch.exp(log_decay * torch.log(earlier / later) - (later - earlier) / memory_min)


@functools.lru_cache(maxsize=64)  # a night is as long for nearly everyone
def correlation_factor(steps: int, log_decay: float, memory_min: float) -> Tensor:
    """(H, H) whose product with its transpose is their `correlation`."""
    found = correlation(steps, log_decay, memory_min)
    factor: Tensor = torch.linalg.cholesky(found + _JITTER * torch.eye(steps))
    return factor


def standard_noise(factor: Tensor, members: int, generator: torch.Generator) -> Tensor:
    """(M, H) standard normal values, correlated by a `correlation_factor` (H, H)."""
    return torch.mm(torch.randn(members, len(factor), generator=generator), factor.T)


def quantile_function(normal: Tensor, quantiles: Tensor) -> Tensor:
    """Values (M, H) whose quantiles at `LEVELS` are `quantiles` (H, Q), from normal ones (M, H).

    Linear between the levels on the normal scale, and on beyond the outer two.
    """
    slopes = quantiles.diff(dim=-1) / _KNOTS.diff()
    value = quantiles[..., 0] + torch.zeros_like(normal)
    last = len(LEVELS) - 2
    for i in range(len(LEVELS) - 1):
        low = None if i == 0 else 0.0
        high = None if i == last else float(_KNOTS[i + 1] - _KNOTS[i])
        value = value + slopes[..., i] * (normal - _KNOTS[i]).clamp(low, high)
    return value


def unexplained(trajectories_mg_dl: Tensor, log_quantiles: Tensor, normal: Tensor) -> Tensor:
    """(M, H) log ratio of each path to its member's trajectory: what the ensemble leaves over.

    Args:
        trajectories_mg_dl: (M, H) of the members; the first is the central one.
        log_quantiles: (H, Q) of log(truth / central trajectory), the ensemble's spread included.
        normal: (M, H) standard noise.
    """
    ensemble = log_ratio(trajectories_mg_dl.clamp(min=1), trajectories_mg_dl[:1]).var(0)
    low, high = LEVELS.index(0.1), LEVELS.index(0.9)
    total = ((log_quantiles[:, high] - log_quantiles[:, low]) / _INNER_80).square()
    left = (1 - ensemble / total).clamp(min=_LEAST_SHARE).sqrt()
    middle = log_quantiles[:, LEVELS.index(0.5)]
    return middle + left * (quantile_function(normal, log_quantiles) - middle)


def paths(trajectories_mg_dl: Tensor, log_ratios: Tensor) -> Tensor:
    """(M, H) sensor traces in mg/dL, within what a sensor can show."""
    traces = trajectories_mg_dl * log_ratios.exp()
    return traces.clamp(GLUCOSE_MIN_MG_DL, GLUCOSE_MAX_MG_DL)
