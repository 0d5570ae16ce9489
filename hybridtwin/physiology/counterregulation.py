"""Counter-regulation: glucagon and adrenaline against low glucose, and glucagon as a rescue.

Secretion against low glucose and the liver's answer after Dalla Man et al. 2014, J. Diabetes Sci.
Technol. 8:26, with hormones as excess over their basal level; thresholds from Schwartz et al. 1987,
J. Clin. Invest. 79:777; blunting by recent lows from Dagogo-Jack et al. 1993, J. Clin. Invest.
91:819. In type 1 diabetes little glucagon answers a low (`glucagon_response_pg_ml`).
"""

from typing import Final

import torch
from torch import Tensor

from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.physiology.cascade import Cascade, Flow
from hybridtwin.units import STEP_MIN

CASCADE: Final = Cascade(
    rates={
        "glucagon_depot_ug": "glucagon_rate_per_min",
        "glucagon_plasma_ug": "glucagon_rate_per_min",
    },
    flows=(Flow("glucagon_depot_ug", "glucagon_plasma_ug"),),
    inputs={"glucagon_ug": (("glucagon_depot_ug", 1.0),)},
)

GLUCAGON_BELOW_MG_DL: Final = 70.0
ADRENALINE_BELOW_MG_DL: Final = 68.0
_HALF_DEPTH_MG_DL: Final = 12.0  # half of the most that a gland gives, this far below its threshold
_SOFTNESS_MG_DL: Final = 4.5
HORMONE_RATE_PER_MIN: Final = 0.04  # what they do to the liver fades over half an hour
GLUCAGON_HALF_PG_ML: Final = 3000.0  # mini-doses raise glucose almost in proportion
ADRENALINE_ON_LIVER: Final = 2.5
ADRENALINE_ON_UPTAKE: Final = 0.4
LOW_MEMORY_MIN: Final = float(MINUTES_PER_DAY)  # an afternoon's low still blunts next morning
# An hour of low halves the response; two in an afternoon still take a fourth of it next morning.
_HALF_MEMORY: Final = 60 / MINUTES_PER_DAY


def below(glucose_mg_dl: Tensor, threshold_mg_dl: float) -> Tensor:
    """(B,) 0 to 1: how far glucose is below a threshold, smoothly."""
    half_mg_dl = threshold_mg_dl - _HALF_DEPTH_MG_DL
    return 0.5 * (1 + torch.tanh((half_mg_dl - glucose_mg_dl) / (2 * _SOFTNESS_MG_DL)))


def heed(low_memory: Tensor) -> Tensor:
    """(B,) share of the response that recent lows leave."""
    return _HALF_MEMORY / (_HALF_MEMORY + low_memory)


def low_memory_after(low_memory: Tensor, plasma_mg_dl: Tensor, steps: float = 1.0) -> Tensor:
    """(B,) recent lows some steps on: an average of the last day, 1 for a day far below."""
    now = below(plasma_mg_dl, ADRENALINE_BELOW_MG_DL)
    return low_memory + steps * (STEP_MIN / LOW_MEMORY_MIN) * (now - low_memory)


def recent_lows(glucose_mg_dl: Tensor) -> Tensor:
    """(B,) memory of lows in a past of readings (B, K), oldest first."""
    steps = glucose_mg_dl.shape[1]
    ages = torch.arange(steps - 1, -1, -1, device=glucose_mg_dl.device)
    share = STEP_MIN / LOW_MEMORY_MIN
    lows: Tensor = below(glucose_mg_dl, ADRENALINE_BELOW_MG_DL) @ (share * (1 - share) ** ages)
    return lows


def liver_gain(glucagon_pg_ml: Tensor, adrenaline: Tensor, effect: Tensor) -> Tensor:
    """(B,) factor, at least 1, on the liver's production."""
    bound = glucagon_pg_ml / (GLUCAGON_HALF_PG_ML + glucagon_pg_ml)
    return 1 + effect * bound + ADRENALINE_ON_LIVER * adrenaline


def uptake_restraint(adrenaline: Tensor) -> Tensor:
    """(B,) factor, at most 1, on insulin-dependent uptake."""
    return 1 / (1 + ADRENALINE_ON_UPTAKE * adrenaline)
