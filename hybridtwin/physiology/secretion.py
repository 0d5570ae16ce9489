"""The pancreas's own insulin: what beta cells still secrete, and the gut's help (type 2).

Secretion follows glucose with a delay (Dalla Man et al. 2007, IEEE TBME 54:1740, equations 21 to
24), raised by incretins while the gut delivers glucose. In type 1 diabetes `beta_cells` is zero,
and so is everything here.
"""

from typing import Final, NamedTuple

import torch
from torch import Tensor

_FROM_MG_DL: Final = 60.0  # below it beta cells are silent
_SOFTNESS_MG_DL: Final = 5.0
_ONSET_PER_MIN: Final = 0.05  # Dalla Man 2007, alpha


class OwnInsulin(NamedTuple):
    """Secretion in mU/L/min; plasma insulin and its actions in mU/L; each (B,)."""

    secretion: Tensor
    plasma: Tensor
    uptake_action: Tensor
    liver_action: Tensor


def secretion_wanted(
    plasma_mg_dl: Tensor, appearance: Tensor, per_mg_dl: Tensor, incretin_gain: Tensor
) -> Tensor:
    """(B,) secretion, mU/L/min, that glucose and the gut's delivery (mg/kg/min) call for."""
    above = plasma_mg_dl - _FROM_MG_DL
    positive = 0.5 * (above + torch.sqrt(above.square() + _SOFTNESS_MG_DL**2))
    return per_mg_dl * positive * (1 + incretin_gain * appearance)


def own_insulin_rates(
    own: OwnInsulin, wanted: Tensor, clearance: Tensor, uptake_onset: Tensor, liver_onset: Tensor
) -> OwnInsulin:
    """Time derivatives per minute; rates in 1/min as of injected insulin."""
    return OwnInsulin(
        secretion=_ONSET_PER_MIN * (wanted - own.secretion),
        plasma=own.secretion - clearance * own.plasma,
        uptake_action=uptake_onset * (own.plasma - own.uptake_action),
        liver_action=liver_onset * (own.plasma - own.liver_action),
    )


def own_insulin_at_rest(wanted: Tensor, clearance: Tensor) -> OwnInsulin:
    """What a constant secretion (B,) in mU/L/min leads to."""
    plasma = wanted / clearance
    return OwnInsulin(wanted, plasma, plasma, plasma)
