"""The residual: a latent neural ODE whose one bounded flux is what the equations miss.

It reads neither planned insulin nor planned carbohydrate nor a compartment that they fill, and its
latent state does not read glucose. The flux reads glucose at the same instant only. So the sum of
body and residual stays cooperative, and a dose has the right sign by construction. Where the plan
is complete the flux does not read glucose either: people answer their glucose with what an open
plan leaves unsaid, and where all is said a dose has the size that the body gives it.

People are columns here: what is read has shape (rows, B).
"""

from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from hybridtwin.neural.features import clock_features
from hybridtwin.physiology.glucose import concentration

FLUX_LIMIT_MG_KG_MIN: Final = 5.0  # about the fastest appearance of an ordinary meal
_TYPICAL_MG_DL, _SPREAD_MG_DL = 140.0, 60.0
_SURROUNDINGS: Final = 5  # clock, exertion


class ResidualWeights(NamedTuple):
    """What a step needs of the residual, as plain tensors."""

    latent: Tensor
    surroundings: Tensor
    drift: Tensor
    drift_bias: Tensor
    rate_per_min: Tensor
    glucose: Tensor
    flux: Tensor
    flux_bias: Tensor


class Residual(nn.Module):
    """Latent dynamics and flux."""

    def __init__(self, embedding: int, latent: int, hidden: int, flux_hidden: int):
        super().__init__()
        both = hidden + flux_hidden
        self.person = nn.Linear(1 + embedding, both)
        self.surroundings = nn.Linear(_SURROUNDINGS, both, bias=False)
        self.latent_in = nn.Linear(latent, both, bias=False)
        self.glucose_in = nn.Linear(1, flux_hidden, bias=False)
        self.drift = nn.Linear(hidden, latent)
        self.flux = nn.Linear(flux_hidden, 1)
        self.log_rate_per_min = nn.Parameter(torch.full((latent,), -4.5))
        nn.init.normal_(self.flux.weight, std=0.01)
        nn.init.zeros_(self.flux.bias)

    def fixed(self, is_open: Tensor, embedding: Tensor) -> Tensor:
        """(R, B) what plan (B,) and person (B, E) contribute throughout."""
        read: Tensor = self.person(torch.cat([is_open.unsqueeze(-1), embedding], dim=-1))
        return read.T.contiguous()

    def weights(self) -> ResidualWeights:
        """For `read`, `target` and `flux`."""
        return ResidualWeights(
            self.latent_in.weight,
            self.surroundings.weight,
            self.drift.weight,
            self.drift.bias.unsqueeze(-1),
            self.log_rate_per_min.exp().unsqueeze(-1),
            self.glucose_in.weight,
            self.flux.weight.T.contiguous(),
            self.flux.bias,
        )


def surroundings(minute_of_day: Tensor, exertion: Tensor) -> Tensor:
    """(H, 5, B) what the residual reads of clock, (H, B) or (H, 1), and exertion, (H, B)."""
    clock = clock_features(minute_of_day).movedim(-1, 1).expand(-1, -1, exertion.shape[-1])
    return torch.cat([clock, exertion.unsqueeze(1)], dim=1)


def read(latent: Tensor, context: Tensor, w: ResidualWeights) -> tuple[Tensor, Tensor]:
    """What drift (hidden, B) and flux (flux_hidden, B) read of the latent state (Z, B).

    Args:
        latent: The latent state.
        context: (R, B) what surroundings and person contribute.
        w: The weights.
    """
    both = torch.mm(w.latent, latent) + context
    hidden = w.drift.shape[1]
    return both[:hidden], both[hidden:]


def target(for_drift: Tensor, w: ResidualWeights) -> Tensor:
    """(Z, B) where the latent state is drawn to, at `rate_per_min`."""
    return torch.tanh(torch.mm(w.drift, silu(for_drift)) + w.drift_bias)


def flux(plasma_mg_kg: Tensor, for_flux: Tensor, is_open: Tensor, w: ResidualWeights) -> Tensor:
    """(B,) flow into plasma, mg/kg/min."""
    glucose = (concentration(plasma_mg_kg) - _TYPICAL_MG_DL) * (1 / _SPREAD_MG_DL)
    hidden = silu(for_flux + w.glucose * (is_open * glucose))
    return FLUX_LIMIT_MG_KG_MIN * torch.tanh((w.flux * hidden).sum(0) + w.flux_bias)
