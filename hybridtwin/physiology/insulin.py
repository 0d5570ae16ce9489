"""Insulin: subcutaneous depots, plasma, and its two delayed actions.

Hovorka et al. 2004, Physiol. Meas. 25:905: equations 4 and 5 (two depots in series, plasma),
6 to 8 (remote actions). Long-acting insulin uses a second, slower pair of depots.
"""

from typing import NamedTuple

from torch import Tensor

from hybridtwin.physiology.parameters import BodyParameters


class InsulinState(NamedTuple):
    """Depots in U; plasma insulin and its actions in mU/L; each (B,)."""

    rapid_1: Tensor
    rapid_2: Tensor
    long_1: Tensor
    long_2: Tensor
    plasma: Tensor
    uptake_action: Tensor
    liver_action: Tensor


def insulin_rates(
    state: InsulinState, rapid_u_min: Tensor, long_u_min: Tensor, p: BodyParameters
) -> InsulinState:
    """Time derivatives per minute, given the rates (B,) at which insulin is injected in U/min."""
    rapid_on = p.rapid_rate_per_min * state.rapid_1
    rapid_out = p.rapid_rate_per_min * state.rapid_2
    long_on = p.long_rate_per_min * state.long_1
    long_out = p.long_rate_per_min * state.long_2
    return InsulinState(
        rapid_1=rapid_u_min - rapid_on,
        rapid_2=rapid_on - rapid_out,
        long_1=long_u_min - long_on,
        long_2=long_on - long_out,
        plasma=p.plasma_mu_l_per_u * (rapid_out + long_out)
        - p.insulin_clearance_per_min * state.plasma,
        uptake_action=p.uptake_onset_per_min * (state.plasma - state.uptake_action),
        liver_action=p.liver_onset_per_min * (state.plasma - state.liver_action),
    )
