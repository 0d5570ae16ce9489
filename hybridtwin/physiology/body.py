"""The body: all organs joined into one vector field.

The state is one tensor (S, B), a row per compartment in the order of `COMPARTMENTS`.
"""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from hybridtwin.physiology.exercise import exercise_uptake, exertion_rate
from hybridtwin.physiology.glucose import (
    GlucoseState,
    available,
    concentration,
    glucose_rates,
)
from hybridtwin.physiology.gut import GutState, glucose_appearance, gut_rates
from hybridtwin.physiology.insulin import InsulinState, insulin_rates
from hybridtwin.physiology.parameters import BodyParameters
from hybridtwin.physiology.sensor import interstitial_rate

COMPARTMENTS: Final = (
    "rapid_1_u",
    "rapid_2_u",
    "long_1_u",
    "long_2_u",
    "insulin_mu_l",
    "uptake_action_mu_l",
    "liver_action_mu_l",
    "gut_1_g",
    "gut_2_g",
    "exertion",
    "plasma_mg_kg",
    "tissue_mg_kg",
    "interstitial_mg_dl",
)
DRIVEN: Final = 9
"""The first compartments: linear, driven by doses and meals alone."""

PLASMA: Final = COMPARTMENTS.index("plasma_mg_kg")
INTERSTITIAL: Final = COMPARTMENTS.index("interstitial_mg_dl")


@dataclass(frozen=True)
class Drivers:
    """What acts on the body during one step, constant within it; each (B,).

    Insulin in U/min, carbohydrate in g/min, exertion 0 to 1, dawn a factor on the liver.
    """

    rapid_u_min: Tensor
    long_u_min: Tensor
    carbs_g_min: Tensor
    exertion: Tensor
    dawn: Tensor


def body_rates(state: Tensor, drivers: Drivers, p: BodyParameters, flux: Tensor | None) -> Tensor:
    """Time derivative (S, B) of the body's state, per minute.

    Args:
        state: (S, B), a row per compartment.
        drivers: What acts on the body now.
        p: The person's parameters.
        flux: (B,) what the equations miss, as a flow into plasma, mg/kg/min; None is none.
    """
    rows = state.unbind(0)
    insulin = InsulinState(*rows[:7])
    gut = GutState(*rows[7:9])
    exertion_felt = rows[9]
    glucose = GlucoseState(*rows[10:12])
    plasma_mg_dl = concentration(glucose.plasma)

    d_insulin = insulin_rates(insulin, drivers.rapid_u_min, drivers.long_u_min, p)
    d_gut = gut_rates(gut, drivers.carbs_g_min, p)
    d_glucose = glucose_rates(
        glucose,
        glucose_appearance(gut, p),
        insulin.uptake_action,
        insulin.liver_action,
        drivers.dawn,
        exercise_uptake(exertion_felt, p),
        p,
    )
    d_plasma = d_glucose.plasma
    if flux is not None:
        # A drain cannot take what is not there.
        d_plasma = d_plasma + torch.where(flux < 0, flux * available(plasma_mg_dl), flux)
    return torch.stack(
        [
            *d_insulin,
            *d_gut,
            exertion_rate(exertion_felt, drivers.exertion),
            d_plasma,
            d_glucose.tissue,
            interstitial_rate(rows[12], plasma_mg_dl, p),
        ]
    )
