"""The doses and meals of the last days, carried to the present exactly.

Depots, plasma insulin, its actions and the gut are linear and driven from outside alone, so their
state now is a sum over past inputs. It is summed pairwise: x over 2n steps is Phi^n times the
first half's plus the second half's.
"""

import torch
from torch import Tensor

from hybridtwin.physiology.body import DRIVEN
from hybridtwin.physiology.gut import GutState, gut_rates
from hybridtwin.physiology.insulin import InsulinState, insulin_rates
from hybridtwin.physiology.parameters import BodyParameters
from hybridtwin.units import STEP_MIN

INPUTS = 3  # rapid U/min, long-acting U/min, carbohydrate g/min
_MIN_PER_H = 60.0


def _linear_rates(x: Tensor, u: Tensor, p: BodyParameters) -> Tensor:
    insulin = insulin_rates(InsulinState(*x[:7]), u[0], u[1], p)
    gut = gut_rates(GutState(*x[7:9]), u[2], p)
    return torch.stack([*insulin, *gut])


def transition(p: BodyParameters) -> tuple[Tensor, Tensor, Tensor]:
    """How one step moves the driven compartments.

    Args:
        p: Parameters of P people.

    Returns:
        Phi (P, 9, 9), the step's matrix; Gamma (P, 9, 3), what the step's inputs add; and the
        resting state (P, 9) at the basal need.
    """
    people = len(p.weight_kg)
    nothing = p.weight_kg.new_zeros(people)
    size = DRIVEN + INPUTS
    columns = []
    for j in range(size):
        unit = [nothing + 1.0 if i == j else nothing for i in range(size)]
        columns.append(_linear_rates(torch.stack(unit[:DRIVEN]), torch.stack(unit[DRIVEN:]), p))
    matrix = torch.stack(columns, dim=-1).transpose(0, 1)  # (P, 9, 12)
    padded = torch.cat([matrix, matrix.new_zeros(people, INPUTS, size)], dim=1)
    step = torch.linalg.matrix_exp(padded * STEP_MIN)
    rest_rates = -matrix[:, :, DRIVEN] * (p.basal_need_u_h / _MIN_PER_H).unsqueeze(-1)
    rest = torch.linalg.solve(matrix[:, :, :DRIVEN], rest_rates)
    return step[:, :DRIVEN, :DRIVEN], step[:, :DRIVEN, DRIVEN:], rest


def driven_state(phi: Tensor, gamma: Tensor, rest: Tensor, inputs: Tensor) -> Tensor:
    """The driven compartments now, after K steps of inputs from rest.

    Args:
        phi: (B, 9, 9).
        gamma: (B, 9, 3).
        rest: (B, 9).
        inputs: (B, K, 3) in U/min, U/min and g/min; K a power of two.

    Returns:
        (B, 9).
    """
    terms = inputs @ gamma.transpose(1, 2)
    power = phi
    while terms.shape[1] > 1:
        earlier, later = terms[:, 0::2], terms[:, 1::2]
        terms = earlier @ power.transpose(1, 2) + later
        power = power @ power
    return (power @ rest.unsqueeze(-1)).squeeze(-1) + terms[:, 0]
