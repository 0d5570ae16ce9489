"""The residual: a latent neural ODE whose one bounded flux is what the equations miss.

It reads neither planned insulin nor planned carbohydrate nor a compartment that they fill, and its
latent state does not read glucose. The flux reads glucose at the same instant only. So the sum of
body and residual stays cooperative, and a dose has the right sign by construction.
"""

import torch
from torch import Tensor, nn

from hybridtwin.neural.encoder import clock_features
from hybridtwin.physiology.glucose import concentration

FLUX_LIMIT_MG_KG_MIN = 5.0  # about the fastest appearance of an ordinary meal
_TYPICAL_MG_DL, _SPREAD_MG_DL = 140.0, 60.0
_CLOCK = 4


class Residual(nn.Module):
    """Latent dynamics and flux."""

    def __init__(self, embedding: int, latent: int, hidden: int):
        super().__init__()
        context = _CLOCK + 2 + embedding  # clock, exertion, open plan, person
        self.surroundings = nn.Linear(context, 2 * hidden)
        self.latent_in = nn.Linear(latent, 2 * hidden, bias=False)
        self.glucose_in = nn.Linear(1, hidden, bias=False)
        self.drift = nn.Linear(hidden, latent)
        self.flux = nn.Linear(hidden, 1)
        self.log_rate_per_min = nn.Parameter(torch.full((latent,), -4.5))
        nn.init.normal_(self.flux.weight, std=0.01)
        nn.init.zeros_(self.flux.bias)

    def surround(
        self, minute_of_day: Tensor, exertion: Tensor, is_open: Tensor, embedding: Tensor
    ) -> Tensor:
        """(H, B, 2 hidden) what clock, exertion (H, B), plan (B,) and person (B, E) contribute."""
        steps = len(minute_of_day)
        read = torch.cat(
            [
                clock_features(minute_of_day),
                exertion.unsqueeze(-1),
                is_open.expand(steps, -1).unsqueeze(-1),
                embedding.expand(steps, -1, -1),
            ],
            dim=-1,
        )
        hidden: Tensor = self.surroundings(read)
        return hidden

    def forward(
        self, latent: Tensor, plasma_mg_kg: Tensor, surrounding: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Derivative (B, Z) of the latent state per minute, and the flux (B,) in mg/kg/min."""
        for_drift, for_flux = (self.latent_in(latent) + surrounding).chunk(2, dim=-1)
        glucose = (concentration(plasma_mg_kg) - _TYPICAL_MG_DL) / _SPREAD_MG_DL
        target = torch.tanh(self.drift(nn.functional.silu(for_drift)))
        drift = (target - latent) * self.log_rate_per_min.exp()
        read = nn.functional.silu(for_flux + self.glucose_in(glucose.unsqueeze(-1)))
        flux = FLUX_LIMIT_MG_KG_MIN * torch.tanh(self.flux(read).squeeze(-1))
        return drift, flux
