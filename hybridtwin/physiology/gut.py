"""The gut: carbohydrate through two compartments into the blood.

Hovorka et al. 2004, Physiol. Meas. 25:905, equation 3, written with its compartments.
"""

from typing import NamedTuple

from torch import Tensor

from hybridtwin.physiology.parameters import BodyParameters


class GutState(NamedTuple):
    """Carbohydrate still in the gut, g, each (B,)."""

    gut_1: Tensor
    gut_2: Tensor


def gut_rates(state: GutState, carbs_g_min: Tensor, p: BodyParameters) -> GutState:
    """Time derivatives per minute, given carbohydrate eaten (B,) in g/min."""
    passed = p.gut_rate_per_min * state.gut_1
    return GutState(
        gut_1=p.carb_availability * carbs_g_min - passed,
        gut_2=passed - p.gut_rate_per_min * state.gut_2,
    )


def glucose_appearance(state: GutState, p: BodyParameters) -> Tensor:
    """(B,) glucose entering the blood, mg/kg/min."""
    return p.appearance_mg_kg_per_g * state.gut_2
