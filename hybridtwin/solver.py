"""One function that integrates a vector field over a grid of inputs."""

from collections.abc import Callable
from typing import Literal

import torch
import torchdiffeq
from torch import Tensor

State = tuple[Tensor, ...]
Field = Callable[[int, State], State]
"""Derivative per minute of a state, given the index of the current step's inputs."""
Method = Literal["rk4", "torchdiffeq-rk4", "dopri5"]


def integrate(
    field: Field,
    state: State,
    steps: int,
    step_min: float,
    method: Method = "rk4",
    tolerance: float = 1e-6,
) -> list[State]:
    """Integrate over `steps` steps within each of which the inputs are constant.

    `rk4` is the 3/8 rule with one step per grid step, unrolled; `torchdiffeq-rk4` is the same
    scheme by torchdiffeq, and `dopri5` its adaptive one, tight: both slower, to check against.

    Args:
        field: The vector field.
        state: Where to start.
        steps: How many grid steps.
        step_min: Minutes per step.
        method: The scheme.
        tolerance: Relative and absolute, of the adaptive scheme.

    Returns:
        The states at the end of every step, `steps` of them.
    """
    states = []
    for k in range(steps):
        if method == "rk4":
            state = _rk4_step(field, k, state, step_min)
        else:
            state = _torchdiffeq_step(field, k, state, step_min, method, tolerance)
        states.append(state)
    return states


def _rk4_step(field: Field, k: int, state: State, h: float) -> State:
    """Kutta's 3/8 rule (Hairer, Norsett & Wanner 1993, II.1), the scheme torchdiffeq calls rk4."""
    k1 = field(k, state)
    k2 = field(k, tuple(y + (h / 3) * a for y, a in zip(state, k1, strict=True)))
    k3 = field(k, tuple(y + h * (b - a / 3) for y, a, b in zip(state, k1, k2, strict=True)))
    k4 = field(k, tuple(y + h * (a - b + c) for y, a, b, c in zip(state, k1, k2, k3, strict=True)))
    return tuple(
        y + (h / 8) * (a + 3 * (b + c) + d)
        for y, a, b, c, d in zip(state, k1, k2, k3, k4, strict=True)
    )


def _torchdiffeq_step(
    field: Field, k: int, state: State, h: float, method: str, tolerance: float
) -> State:
    span = torch.tensor([0.0, h], dtype=state[0].dtype, device=state[0].device)
    name = "rk4" if method == "torchdiffeq-rk4" else method
    path = torchdiffeq.odeint(
        lambda _, y: field(k, y), state, span, method=name, rtol=tolerance, atol=tolerance
    )
    return tuple(component[-1] for component in path)
