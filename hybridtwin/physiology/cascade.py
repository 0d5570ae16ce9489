"""Cascades: compartments that empty at a constant rate into one another, driven from outside alone.

Depots, gut, effort and what follows them are such cascades. Each organ states its own; `joined`
puts them side by side, so that all are carried over a step together: the outflow of every
compartment is its rate times its content, and a constant matrix says where each outflow goes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import torch
from torch import Tensor

_ORDER: Final = 4
"""Of the Taylor series; for a linear system and constant inputs, Runge-Kutta's fourth order."""


@dataclass(frozen=True)
class Flow:
    """From one compartment into another.

    Attributes:
        source: Whose outflow it is.
        target: Where it goes.
        follows: True where the target only follows the source and takes no mass from it.
    """

    source: str
    target: str
    follows: bool = False


@dataclass(frozen=True)
class Cascade:
    """Compartments driven by inputs.

    Attributes:
        rates: Every compartment's rate of emptying: a property of `BodyParameters`, 1/min.
        flows: Where outflows go; what goes nowhere leaves the body or is read elsewhere.
        inputs: Of every input, the compartment that it fills and by how much per unit.
    """

    rates: dict[str, str]
    flows: tuple[Flow, ...]
    inputs: dict[str, tuple[tuple[str, float], ...]]

    @property
    def compartments(self) -> tuple[str, ...]:
        """Their names, in the order of the state's rows."""
        return tuple(self.rates)

    @cached_property
    def routing(self) -> Tensor:
        """(n, n) content's rate of change per outflow."""
        with torch.inference_mode(False):  # made once, for forecasts and for training
            matrix = -torch.eye(len(self.rates))
        index = {name: row for row, name in enumerate(self.rates)}
        for flow in self.flows:
            matrix[index[flow.target], index[flow.source]] += 1
        return matrix

    @cached_property
    def entry(self) -> Tensor:
        """(n, m) content's rate of change per input."""
        with torch.inference_mode(False):
            matrix = torch.zeros(len(self.rates), len(self.inputs))
        index = {name: row for row, name in enumerate(self.rates)}
        for column, targets in enumerate(self.inputs.values()):
            for target, share in targets:
                matrix[index[target], column] += share
        return matrix


def joined(cascades: Sequence[Cascade]) -> Cascade:
    """Several cascades side by side."""
    return Cascade(
        rates={name: rate for one in cascades for name, rate in one.rates.items()},
        flows=tuple(flow for one in cascades for flow in one.flows),
        inputs={name: targets for one in cascades for name, targets in one.inputs.items()},
    )


def advance(
    state: Tensor, rates_per_step: Tensor, filled_per_step: Tensor, routing: Tensor
) -> Tensor:
    """The compartments (n, B) one step later.

    Args:
        state: (n, B).
        rates_per_step: (n, B) rates of emptying times the step.
        filled_per_step: (n, B) what the step's inputs fill in.
        routing: (n, n).
    """
    term = filled_per_step + torch.mm(routing, rates_per_step * state)
    state = state + term
    for order in range(2, _ORDER + 1):
        term = torch.mm(routing, rates_per_step * term) / order
        state = state + term
    return state


def between(
    begin: Tensor, end: Tensor, slope_begin: Tensor, slope_end: Tensor, share: float
) -> Tensor:
    """The compartments (n, B) within a step: Hermite's cubic through its ends.

    Args:
        begin: (n, B) as the step begins.
        end: (n, B) as it ends.
        slope_begin: (n, B) change per step as it begins.
        slope_end: (n, B) and as it ends.
        share: How far into the step, 0 to 1.
    """
    if share in (0, 1):
        return end if share else begin
    rest = 1 - share
    return (
        (rest * rest * (1 + 2 * share)) * begin
        + (share * share * (1 + 2 * rest)) * end
        + (share * rest * rest) * slope_begin
        - (share * share * rest) * slope_end
    )


def transition(rates_per_step: Tensor, routing: Tensor) -> tuple[Tensor, Tensor]:
    """The same step as matrices.

    Args:
        rates_per_step: (P, n).
        routing: (n, n).

    Returns:
        (P, n, n) what becomes of the state; (P, n, n) what becomes of what is filled in.
    """
    one = torch.eye(routing.shape[0], dtype=routing.dtype, device=routing.device)
    matrix = routing * rates_per_step.unsqueeze(1)
    filling = one.expand_as(matrix)
    term = filling
    for order in range(2, _ORDER + 1):
        term = torch.bmm(term, matrix) / order
        filling = filling + term
    return one + torch.bmm(filling, matrix), filling
