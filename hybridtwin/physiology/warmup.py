"""The doses, meals and exercise of the last days, carried to the present.

What inputs alone drive is linear, so its state now is a sum over past inputs. It is summed
pairwise: x over 2n steps is Phi^n times the first half's plus the second half's.
"""

import torch
from torch import Tensor

from hybridtwin.physiology.body import ORGANS
from hybridtwin.physiology.cascade import Cascade, transition
from hybridtwin.physiology.parameters import BodyParameters
from hybridtwin.physiology.steady import resting_gain
from hybridtwin.units import STEP_MIN


def driven_now(
    inputs: Tensor, rest: Tensor, p: BodyParameters, person: Tensor | None = None
) -> Tensor:
    """The driven compartments (n, B) after K steps of inputs.

    Args:
        inputs: (B, K, m) per minute, in the order of `INPUTS`; K a power of two.
        rest: (B, m) inputs at which the body rested before.
        p: Parameters of P people.
        person: (B,) whose window each is; None if they are row by row.
    """
    parts, first = [], 0
    for organ in ORGANS:
        own = slice(first, first + len(organ.inputs))
        parts.append(_organ_now(organ, inputs[..., own], rest[:, own], p, person))
        first = own.stop
    return torch.cat(parts)


def _organ_now(
    organ: Cascade, inputs: Tensor, rest: Tensor, p: BodyParameters, person: Tensor | None
) -> Tensor:
    if not bool(inputs.any() or rest.any()):
        return inputs.new_zeros(len(organ.compartments), len(inputs))
    rates = torch.stack([getattr(p, name) for name in organ.rates.values()], dim=1)
    phi, filling = transition(rates * STEP_MIN, organ.routing.to(rates))
    gamma = torch.matmul(filling, organ.entry.to(rates)) * STEP_MIN
    resting = resting_gain(organ, rates)
    if person is not None:
        phi, gamma, resting = (each.index_select(0, person) for each in (phi, gamma, resting))
    terms = inputs @ gamma.transpose(1, 2)
    power = phi
    while terms.shape[1] > 1:
        earlier, later = terms[:, 0::2], terms[:, 1::2]
        terms = earlier @ power.transpose(1, 2) + later
        power = power @ power
    begun = power @ (resting @ rest.unsqueeze(-1))
    return (begun.squeeze(-1) + terms[:, 0]).T
