"""Insulin: subcutaneous depots, plasma, and its two delayed actions.

Hovorka et al. 2004, Physiol. Meas. 25:905: equations 4 and 5 (two depots in series, plasma),
6 to 8 (remote actions). Long-acting insulin uses a second, slower pair of depots.
"""

from typing import NamedTuple

from torch import Tensor

from hybridtwin.physiology.parameters import INSULIN_VOLUME_L_KG, BodyParameters

MU_PER_U = 1000.0


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
    rapid_out = state.rapid_2 / p.rapid_time_min
    long_out = state.long_2 / p.long_time_min
    appearance = MU_PER_U * (rapid_out + long_out) / (INSULIN_VOLUME_L_KG * p.weight_kg)
    return InsulinState(
        rapid_1=rapid_u_min - state.rapid_1 / p.rapid_time_min,
        rapid_2=state.rapid_1 / p.rapid_time_min - rapid_out,
        long_1=long_u_min - state.long_1 / p.long_time_min,
        long_2=state.long_1 / p.long_time_min - long_out,
        plasma=appearance - p.insulin_clearance_per_min * state.plasma,
        uptake_action=p.uptake_onset_per_min * (state.plasma - state.uptake_action),
        liver_action=p.liver_onset_per_min * (state.plasma - state.liver_action),
    )
