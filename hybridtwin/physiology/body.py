"""The body: all organs joined.

What doses, meals and exercise drive is one linear cascade; what glucose feeds back on is the core.
The state is one tensor (S, B), a row per compartment in the order of `COMPARTMENTS`.
"""

from typing import Final, NamedTuple

import torch
from torch import Tensor

from hybridtwin.physiology import counterregulation, exercise, gut, insulin
from hybridtwin.physiology.cascade import joined
from hybridtwin.physiology.clock import Rhythm
from hybridtwin.physiology.exercise import MUSCLE_CAPACITY_MG_KG_MIN
from hybridtwin.physiology.glucose import Core, Signals, bounded
from hybridtwin.physiology.parameters import BodyParameters

ORGANS: Final = (insulin.CASCADE, gut.CASCADE, counterregulation.CASCADE, exercise.CASCADE)
CASCADE: Final = joined(ORGANS)
DRIVEN: Final = CASCADE.compartments
"""Compartments that inputs alone drive: the first rows."""
OUTSIDE: Final = ("interstitial_mg_dl", "low_memory")
"""Compartments that only follow plasma glucose: the last rows."""
COMPARTMENTS: Final = (*DRIVEN, *Core._fields, *OUTSIDE)
ROUTING: Final = CASCADE.routing
ENTRY: Final = CASCADE.entry
INPUTS: Final = tuple(CASCADE.inputs)
"""What drives the body, per minute: amounts in U, g and ug, exertion and sprint from 0 to 1."""
ROW: Final = {name: row for row, name in enumerate(COMPARTMENTS)}
_HALF_ALCOHOL_G: Final = 8.0  # one drink's worth holds half of what alcohol can hold back


def rates_of_emptying(p: BodyParameters) -> Tensor:
    """(n, B) of the driven compartments, 1/min."""
    return torch.stack([getattr(p, name) for name in CASCADE.rates.values()])


class Readings(NamedTuple):
    """Factors that turn the driven compartments' contents into signals; each (B,)."""

    appearance_per_g: Tensor
    protein_per_g: Tensor
    sprint: Tensor
    muscle: Tensor
    uptake_per_insulin: Tensor
    uptake_mu_l_per_u: Tensor
    liver_per_insulin: Tensor
    liver_mu_l_per_u: Tensor
    glucagon_pg_ml_per_ug: Tensor
    alcohol_hold: Tensor
    fat_resistance_per_g: Tensor
    recovery_gain: Tensor


def readings(p: BodyParameters) -> Readings:
    """Of a person's parameters."""
    # An effect compartment is filled by what leaves plasma and empties at its own rate; scaled by
    # both it is the concentration that acts.
    per_u = p.insulin_clearance_per_min.reciprocal() * p.plasma_mu_l_per_u
    return Readings(
        p.appearance_mg_kg_per_g,
        p.protein_mg_kg_per_g,
        p.sprint_output,
        p.exercise_uptake,
        p.uptake_sensitivity,
        per_u * p.uptake_onset_per_min,
        p.liver_half_insulin.reciprocal(),
        per_u * p.liver_onset_per_min,
        p.glucagon_pg_ml_per_ug,
        p.alcohol_hold,
        p.fat_resistance_per_g,
        p.fitness * p.recovery_gain,
    )


def signals(driven: Tensor, rhythm: Rhythm, r: Readings) -> Signals:
    """What the driven compartments (n, B) and the clock do to glucose."""
    alcohol = driven[ROW["alcohol_2_g"]]
    sensitivity = (
        rhythm.sensitivity
        * (1 + r.recovery_gain * driven[ROW["recovery_2"]])
        / (1 + r.fat_resistance_per_g * driven[ROW["fat_2_g"]])
    )
    return Signals(
        appearance=r.appearance_per_g * driven[ROW["gut_2_g"]]
        + r.protein_per_g * driven[ROW["protein_2_g"]],
        sprint=r.sprint * driven[ROW["sprint_2"]],
        muscle=bounded(
            r.muscle * rhythm.muscle * driven[ROW["exertion"]], MUSCLE_CAPACITY_MG_KG_MIN
        ),
        uptake_per_insulin=r.uptake_per_insulin * sensitivity,
        uptake_insulin=r.uptake_mu_l_per_u * driven[ROW["uptake_effect_u"]],
        restraint_per_insulin=r.liver_per_insulin * sensitivity,
        liver_insulin=r.liver_mu_l_per_u * driven[ROW["liver_effect_u"]],
        liver=rhythm.liver * (1 - r.alcohol_hold * alcohol / (_HALF_ALCOHOL_G + alcohol)),
        glucagon_pg_ml=r.glucagon_pg_ml_per_ug * driven[ROW["glucagon_plasma_ug"]],
    )
