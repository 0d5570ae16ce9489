"""The gut: carbohydrate through two compartments into the blood.

Hovorka et al. 2004, Physiol. Meas. 25:905, equation 3, written with its compartments.
"""

from typing import NamedTuple

from torch import Tensor

from hybridtwin.physiology.parameters import BodyParameters

MG_PER_G = 1000.0


class GutState(NamedTuple):
    """Carbohydrate still in the gut, g, each (B,)."""

    gut_1: Tensor
    gut_2: Tensor


def gut_rates(state: GutState, carbs_g_min: Tensor, p: BodyParameters) -> GutState:
    """Time derivatives per minute, given carbohydrate eaten (B,) in g/min."""
    return GutState(
        gut_1=p.carb_availability * carbs_g_min - state.gut_1 / p.gut_time_min,
        gut_2=(state.gut_1 - state.gut_2) / p.gut_time_min,
    )


def glucose_appearance(state: GutState, p: BodyParameters) -> Tensor:
    """(B,) glucose entering the blood, mg/kg/min."""
    return MG_PER_G * state.gut_2 / (p.gut_time_min * p.weight_kg)
