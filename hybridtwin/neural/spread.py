"""The spread: how far truth may lie from the trajectory, as quantiles of the log ratio.

It reads what the encoder saw and the horizon, never the plan's doses, so that every quantile
moves with the trajectory and keeps a dose's sign.
"""

from typing import Final

import torch
from torch import Tensor, nn

KNOTS_MIN: Final = (30, 60, 120, 240, 480)
"""Horizons at which the spread is calibrated; between them in the logarithm of time."""
LEVELS: Final = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
_MEDIAN: Final = LEVELS.index(0.5)
_GROWTH_MIN: Final = 120.0
_TYPICAL_LOG_SPREAD: Final = 0.3
_HORIZON_SCALE_MIN: Final = 720.0


class Spread(nn.Module):
    """Quantiles of log(sensor glucose / trajectory) at every horizon."""

    def __init__(self, embedding: int, context: int, hidden: int):
        super().__init__()
        self.fixed = nn.Linear(context + embedding + 1, hidden)
        self.horizon = nn.Linear(3, hidden, bias=False)
        self.outlet = nn.Sequential(nn.SiLU(), nn.Linear(hidden, len(LEVELS)))
        # Set after training, on windows that it did not learn from.
        self.widening: Tensor
        self.register_buffer("widening", torch.ones(2, len(KNOTS_MIN)))

    def forward(
        self, context: Tensor, embedding: Tensor, is_open: Tensor, minutes: Tensor
    ) -> Tensor:
        """(B, H, Q) increasing log ratios at `LEVELS`, for horizons (H,) in minutes."""
        fixed = self.fixed(torch.cat([context, embedding, is_open.unsqueeze(-1)], dim=-1))
        share = minutes / _HORIZON_SCALE_MIN
        shape = torch.stack([share, share.sqrt(), torch.log1p(minutes / 30)], dim=-1)
        raw = self.outlet(fixed.unsqueeze(1) + self.horizon(shape))
        growth = 1 - torch.exp(-(minutes + 5) / _GROWTH_MIN)
        scale = (_TYPICAL_LOG_SPREAD * growth).unsqueeze(-1)
        middle = raw[..., _MEDIAN : _MEDIAN + 1]
        below = nn.functional.softplus(raw[..., :_MEDIAN]).flip(-1).cumsum(-1).flip(-1)
        above = nn.functional.softplus(raw[..., _MEDIAN + 1 :]).cumsum(-1)
        lower, upper = self._widening(minutes).unsqueeze(-1)
        return scale * torch.cat([middle - lower * below, middle, middle + upper * above], dim=-1)

    def _widening(self, minutes: Tensor) -> Tensor:
        """(2, H) factors on the distances below and above the median."""
        knots = torch.tensor(KNOTS_MIN, dtype=minutes.dtype)
        return between(self.widening, knots.log(), minutes.log())


def between(values: Tensor, knots: Tensor, at: Tensor) -> Tensor:
    """Values (..., K) at rising knots (K,), read at (H,): linear in between, held beyond."""
    at = at.clamp(knots[0], knots[-1]).contiguous()
    right = torch.searchsorted(knots, at).clamp(1, len(knots) - 1)
    share = (at - knots[right - 1]) / (knots[right] - knots[right - 1])
    return torch.lerp(values[..., right - 1], values[..., right], share)
