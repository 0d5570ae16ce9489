"""The encoder: reads the recent history and says where body and latent state start."""

from dataclasses import dataclass, fields
from typing import Final

import torch
from torch import Tensor, nn

from hybridtwin.neural.features import FEATURES
from hybridtwin.physiology.parameters import NAMES

# Parameters that the last hours may show to be other than usual.
SHIFTED: Final = (
    "rapid_time_min",
    "slow_factor",
    "uptake_onset_per_min",
    "liver_onset_per_min",
    "basal_need_u_h",
    "gut_time_min",
    "stomach_time_min",
    "carb_availability",
    "uptake_sensitivity",
    "liver_half_insulin",
    "liver_maximum",
    "liver_half_glucose",
    "glucagon_response_pg_ml",
    "exercise_uptake",
    "recovery_gain",
    "dawn_rise",
    "sensor_delay_min",
)
_SHIFTED_COLUMNS: Final = [NAMES.index(name) for name in SHIFTED]

SCORE_SHIFT = 1.5  # how far, in prior standard deviations, the last hours may move a parameter
PLASMA_SHIFT_MG_DL = 50.0  # plasma against the last reading
TISSUE_SHIFT = 0.4  # relative, tissue against its steady state
_LEAST_DEVIATION = 1e-4  # below it nobody has the feature, and it says nothing
HIDDEN_CARBS_G = 30.0  # scale of food in the gut that nobody logged


@dataclass(frozen=True)
class Start:
    """What the encoder concludes; B rows.

    Attributes:
        scores: (B, P) shift of the parameters' standard scores, for the coming hours.
        plasma_shift_mg_dl: (B,) plasma glucose against the last reading.
        tissue_factor: (B,) on the steady tissue glucose.
        hidden_carbs_g: (B, 2) unlogged carbohydrate in each gut compartment, at least 0.
        latent: (B, Z).
        context: (B, K) for the spread.
        read: (B, F) from what it concludes.
    """

    scores: Tensor
    plasma_shift_mg_dl: Tensor
    tissue_factor: Tensor
    hidden_carbs_g: Tensor
    latent: Tensor
    context: Tensor
    read: Tensor

    def rows(self, index: Tensor) -> "Start":
        """The chosen rows."""
        return Start(*(getattr(self, each.name)[index] for each in fields(self)))


class Encoder(nn.Module):
    """From features and the person's embedding to a `Start`."""

    def __init__(
        self,
        embedding: int,
        hidden: int,
        latent: int,
        context: int,
        dropout: float,
        feature_dropout: float,
    ):
        super().__init__()
        # Set once, before training, to what the features are on average.
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(FEATURES))
        self.register_buffer("deviation", torch.ones(FEATURES))
        self.forget = nn.Dropout(feature_dropout)
        self.sizes = (len(SHIFTED), 1, 1, 2, latent, context)
        self.inlet = nn.Sequential(nn.Linear(FEATURES + embedding, hidden), nn.SiLU())
        self.block = nn.Sequential(
            nn.LayerNorm(hidden),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
        )
        self.outlet = nn.Sequential(nn.LayerNorm(hidden), nn.Linear(hidden, sum(self.sizes)))

    def standard(self, read: Tensor) -> Tensor:
        """Features (..., F) of about the same size, what lies far off drawn in."""
        return torch.asinh((read - self.mean) / self.deviation)

    def standardise(self, read: Tensor) -> None:
        """Take mean and deviation of the features (N, F) of many windows as usual."""
        self.mean.copy_(read.mean(0))
        deviation = read.std(0)
        self.deviation.copy_(torch.where(deviation > _LEAST_DEVIATION, deviation, torch.inf))

    def forward(self, read: Tensor, embedding: Tensor) -> Start:
        """Start of B windows from features (B, F) and embeddings (B, E)."""
        # Outliers weigh little: a sum of doses or a gap may be far from what is usual.
        standard = self.standard(read)
        x = self.inlet(torch.cat([self.forget(standard), embedding], dim=-1))
        x = x + self.block(x)
        scores, plasma, tissue, hidden, latent, context = self.outlet(x).split(self.sizes, dim=-1)
        shift = scores.new_zeros(len(scores), len(NAMES))
        shift[:, _SHIFTED_COLUMNS] = SCORE_SHIFT * torch.tanh(scores / SCORE_SHIFT)
        return Start(
            scores=shift,
            plasma_shift_mg_dl=PLASMA_SHIFT_MG_DL * torch.tanh(plasma.squeeze(-1)),
            tissue_factor=1 + TISSUE_SHIFT * torch.tanh(tissue.squeeze(-1)),
            hidden_carbs_g=HIDDEN_CARBS_G * nn.functional.softplus(hidden - 3),
            latent=torch.tanh(latent),
            context=torch.tanh(context),
            read=read,
        )
