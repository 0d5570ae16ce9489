"""The encoder: reads the recent history and says where body and latent state start."""

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.history import History
from hybridtwin.physiology.body import ROW
from hybridtwin.physiology.parameters import NAMES
from hybridtwin.timeline import BOLUS, CARBS, LONG_ACTING
from hybridtwin.units import STEP_MIN

# Bins that widen with age: 2 h at 5 min, then to 6 h at 15 min, then to 24 h at 60 min.
_BINS = ((24, 1), (48, 3), (216, 12))
_READ_STEPS = sum(count for count, _ in _BINS)
_TYPICAL_MG_DL, _SPREAD_MG_DL, _CHANGE_MG_DL = 140.0, 60.0, 40.0
# Divisors that bring amounts per 5-minute step to about 1.
_READ: Final = (
    (BOLUS, 1.0),
    (("basal_u",), 0.1),
    (LONG_ACTING, 10.0),
    (CARBS, 20.0),
)
# Driven compartments that it reads, and their usual size.
_DRIVEN: Final = (
    (("depot_1_u",), 2.0),
    (("depot_2_u",), 2.0),
    (LONG_ACTING, 10.0),
    (("plasma_insulin_u",), 0.2),
    (("uptake_effect_u",), 1.0),
    (("liver_effect_u",), 1.0),
    (("stomach_g", "gut_1_g"), 20.0),
    (("gut_2_g",), 20.0),
    (("protein_2_g",), 20.0),
    (("fat_2_g",), 20.0),
    (("recovery_1",), 1.0),
    (("recovery_2",), 1.0),
)
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
    """

    scores: Tensor
    plasma_shift_mg_dl: Tensor
    tissue_factor: Tensor
    hidden_carbs_g: Tensor
    latent: Tensor
    context: Tensor


def clock_features(minute_of_day: Tensor) -> Tensor:
    """(..., 4) first two harmonics of the day."""
    angle = 2 * math.pi * minute_of_day / MINUTES_PER_DAY
    return torch.stack([angle.sin(), angle.cos(), (2 * angle).sin(), (2 * angle).cos()], dim=-1)


def carry_forward(glucose: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Last known reading at every step, and its age.

    Args:
        glucose: (B, K) mg/dL.
        known: (B, K).

    Returns:
        (B, K) readings, a typical value before the first; (B, K) age in steps, K before it.
    """
    steps = torch.arange(glucose.shape[1], device=glucose.device).expand_as(glucose)
    last = torch.where(known, steps, -1).cummax(dim=1).values
    seen = last >= 0
    value = torch.where(seen, glucose.gather(1, last.clamp(min=0)), _TYPICAL_MG_DL)
    return value, torch.where(seen, steps - last, glucose.shape[1])


def _binned(series: Tensor) -> Tensor:
    """(B, bins) means over the widening bins of the last 24 h, newest first."""
    parts, end = [], series.shape[1]
    for count, width in _BINS:
        part = series[:, end - count : end].unflatten(1, (count // width, width)).mean(-1)
        parts.append(part.flip(1))
        end -= count
    return torch.cat(parts, dim=1)


def features(history: History, driven: Tensor) -> Tensor:
    """What the encoder reads: (B, F), all about 1 in size.

    Args:
        history: The last hours.
        driven: (n, B) compartments that inputs drive, as physiology has them.
    """
    glucose, age = carry_forward(history.glucose_mg_dl, history.glucose_known)
    last = glucose[:, -1:]
    known = history.glucose_known.float()
    recent = slice(-_READ_STEPS, None)
    total = known[:, recent].sum(1, keepdim=True).clamp(min=1)
    mean = (glucose * known)[:, recent].sum(1, keepdim=True) / total
    deviation = ((glucose - mean).square() * known)[:, recent].sum(1, keepdim=True) / total
    columns = [
        _binned((glucose - last) / _CHANGE_MG_DL),
        _binned(known),
        (last - _TYPICAL_MG_DL) / _SPREAD_MG_DL,
        torch.log(last / _TYPICAL_MG_DL),
        (mean - _TYPICAL_MG_DL) / _SPREAD_MG_DL,
        deviation.sqrt() / _SPREAD_MG_DL,
        age[:, -1:] / (60 / STEP_MIN),
        _binned(history.exertion()),
        history.channel_known("heart_rate_bpm").float()[:, recent].mean(1, keepdim=True),
        clock_features(history.minute_of_day),
        *(
            driven[[ROW[name] for name in names]].sum(0).unsqueeze(-1) / scale
            for names, scale in _DRIVEN
        ),
    ]
    for names, scale in _READ:
        columns.append(_binned(history.total(names) / scale))
        columns.append(history.channel_known(names[0]).float()[:, recent].mean(1, keepdim=True))
    return torch.cat(columns, dim=1)


FEATURES = (3 + len(_READ)) * sum(c // w for c, w in _BINS) + 6 + 4 + len(_DRIVEN) + len(_READ)


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

    def forward(self, read: Tensor, embedding: Tensor) -> Start:
        """Start of B windows from features (B, F) and embeddings (B, E)."""
        x = self.inlet(torch.cat([self.forget(read), embedding], dim=-1))
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
        )
