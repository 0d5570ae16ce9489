"""One step of a vector field: fourth-order Runge-Kutta, or adaptive and tight to check against."""

from collections.abc import Callable
from typing import Final

import torch
import torchdiffeq
from torch import Tensor

State = tuple[Tensor, ...]
Field = Callable[[float, State], State]
"""Derivative per minute of a state, given how far into the step, 0 to 1."""


STAGES: Final = (0.0, 1 / 3, 2 / 3, 1.0)
"""How far into a step `rk4_step` asks for a derivative."""


def rk4_step(field: Field, state: State, step_min: float) -> tuple[State, State]:
    """The state one step later, and its derivative per minute before.

    Kutta's 3/8 rule (Hairer, Norsett & Wanner 1993, II.1), the scheme torchdiffeq calls rk4.
    """
    h = step_min
    k1 = field(0.0, state)
    k2 = field(1 / 3, tuple(y + (h / 3) * a for y, a in zip(state, k1, strict=True)))
    k3 = field(
        2 / 3, tuple(y + h * (b - a * (1 / 3)) for y, a, b in zip(state, k1, k2, strict=True))
    )
    k4 = field(
        1.0, tuple(y + h * (a - b + c) for y, a, b, c in zip(state, k1, k2, k3, strict=True))
    )
    after = tuple(
        y + (h / 8) * (a + 3 * (b + c) + d)
        for y, a, b, c, d in zip(state, k1, k2, k3, k4, strict=True)
    )
    return after, k1


def adaptive_step(field: Field, state: State, step_min: float, tolerance: float = 1e-7) -> State:
    """The same step by torchdiffeq's Dormand-Prince scheme, to a relative tolerance."""
    span = torch.tensor([0.0, step_min], dtype=state[0].dtype, device=state[0].device)
    path = torchdiffeq.odeint(
        lambda t, y: field(float(t) / step_min, y),
        state,
        span,
        method="dopri5",
        rtol=tolerance,
        atol=tolerance,
    )
    return tuple(component[-1] for component in path)
