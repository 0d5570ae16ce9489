"""The body's parameters: name, symbol, unit, prior over people, bounds and source, in one place.

A person's parameters are standard scores: 0 is the population's median, 1 is one standard
deviation of the logarithm above it. `values` turns scores into units.
"""

import math
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Final

import torch
from torch import Tensor


@dataclass(frozen=True)
class Parameter:
    """One log-normally distributed physiological parameter."""

    name: str
    symbol: str
    unit: str
    median: float
    log_sd: float
    low: float
    high: float
    source: str


_HOVORKA = "Hovorka et al. 2004, Physiol. Meas. 25:905"
_DALLA_MAN = "Dalla Man et al. 2007, IEEE TBME 54:1740"
_WIDE = "prior of this model, wide"

PARAMETERS: Final = (
    Parameter("rapid_time_min", "t_maxI", "min", 55, 0.25, 20, 150, f"{_HOVORKA}, table 1"),
    Parameter(
        "long_time_min", "t_maxL", "min", 420, 0.25, 180, 1200, "glargine clamps, Heise 2015"
    ),
    Parameter("insulin_clearance_per_min", "k_e", "1/min", 0.138, 0.1, 0.08, 0.25, _HOVORKA),
    Parameter("uptake_onset_per_min", "k_a2", "1/min", 0.020, 0.3, 0.005, 0.08, _HOVORKA),
    Parameter("liver_onset_per_min", "k_a3", "1/min", 0.025, 0.3, 0.005, 0.08, _HOVORKA),
    Parameter("uptake_sensitivity", "V_mx", "mg/kg/min per mU/L", 0.23, 0.4, 0.03, 1.5, _DALLA_MAN),
    Parameter("liver_half_insulin", "I_h", "mU/L", 15, 0.35, 3, 80, _HOVORKA),
    Parameter("liver_maximum", "EGP_max", "mg/kg/min", 4.8, 0.2, 2.0, 10, _DALLA_MAN),
    Parameter("liver_half_glucose", "G_h", "mg/dL", 300, 0.3, 80, 1500, _WIDE),
    Parameter("dawn_rise", "a_dawn", "1", 0.12, 0.5, 0.01, 0.8, "Schmidt et al. 1981"),
    Parameter("gut_time_min", "t_maxG", "min", 40, 0.3, 12, 150, f"{_HOVORKA}, table 1"),
    Parameter("carb_availability", "A_G", "1", 0.8, 0.1, 0.4, 1.0, f"{_HOVORKA}, table 1"),
    Parameter("exercise_uptake", "b_ex", "mg/kg/min", 2.0, 0.4, 0.2, 8, "Roy & Parker 2007"),
    Parameter("sensor_delay_min", "tau_s", "min", 7, 0.25, 2, 20, "Keenan et al. 2009"),
    Parameter("basal_need_u_h", "u_b", "U/h", 0.8, 0.45, 0.1, 5, "Scheiner & Boyer 2005"),
)
NAMES: Final = tuple(parameter.name for parameter in PARAMETERS)

# The rest is the same for everyone.
INSULIN_VOLUME_L_KG: Final = 0.12  # Hovorka 2004, V_I
GLUCOSE_VOLUME_DL_KG: Final = 1.88  # Dalla Man 2007, V_G
TO_TISSUE_PER_MIN: Final = 0.065  # Dalla Man 2007, k_1
FROM_TISSUE_PER_MIN: Final = 0.079  # Dalla Man 2007, k_2
UPTAKE_HALF_MG_KG: Final = 225.6  # Dalla Man 2007, K_m0
UPTAKE_CAPACITY_MG_KG_MIN: Final = 25.0  # clamps reach 12 to 15, at half saturation; DeFronzo 1979
BRAIN_UPTAKE_MG_KG_MIN: Final = 1.0  # Dalla Man 2007, F_cns
RENAL_RATE_PER_MIN: Final = 0.0005  # Dalla Man 2007, k_e1
RENAL_THRESHOLD_MG_KG: Final = 339.0  # Dalla Man 2007, k_e2
STARVATION_MG_DL: Final = 25.0  # below about this, uptake falls with what is left
DEFAULT_WEIGHT_KG: Final = 70.0
MU_PER_U: Final = 1000.0
MG_PER_G: Final = 1000.0


@dataclass(frozen=True)
class BodyParameters:
    """Parameter values in their units, each of one shape (B,), and the body weight in kg (B,)."""

    rapid_time_min: Tensor
    long_time_min: Tensor
    insulin_clearance_per_min: Tensor
    uptake_onset_per_min: Tensor
    liver_onset_per_min: Tensor
    uptake_sensitivity: Tensor
    liver_half_insulin: Tensor
    liver_maximum: Tensor
    liver_half_glucose: Tensor
    dawn_rise: Tensor
    gut_time_min: Tensor
    carb_availability: Tensor
    exercise_uptake: Tensor
    sensor_delay_min: Tensor
    basal_need_u_h: Tensor
    weight_kg: Tensor

    # What the vector field needs at every stage of every step, computed once.

    @cached_property
    def rapid_rate_per_min(self) -> Tensor:
        """1 / rapid_time_min."""
        return self.rapid_time_min.reciprocal()

    @cached_property
    def long_rate_per_min(self) -> Tensor:
        """1 / long_time_min."""
        return self.long_time_min.reciprocal()

    @cached_property
    def gut_rate_per_min(self) -> Tensor:
        """1 / gut_time_min."""
        return self.gut_time_min.reciprocal()

    @cached_property
    def sensor_rate_per_min(self) -> Tensor:
        """1 / sensor_delay_min."""
        return self.sensor_delay_min.reciprocal()

    @cached_property
    def plasma_mu_l_per_u(self) -> Tensor:
        """What one unit adds to plasma insulin, mU/L."""
        return MU_PER_U / (INSULIN_VOLUME_L_KG * self.weight_kg)

    @cached_property
    def appearance_mg_kg_per_g(self) -> Tensor:
        """Flow into the blood, mg/kg/min, per gram in the second gut compartment."""
        return MG_PER_G * self.gut_rate_per_min / self.weight_kg

    @cached_property
    def liver_per_insulin(self) -> Tensor:
        """1 / liver_half_insulin."""
        return self.liver_half_insulin.reciprocal()

    @cached_property
    def liver_per_glucose(self) -> Tensor:
        """1 / liver_half_glucose."""
        return self.liver_half_glucose.reciprocal()

    def rows(self, index: Tensor) -> "BodyParameters":
        """The parameters of the chosen rows."""
        return BodyParameters(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


_LOG_MEDIAN = torch.tensor([math.log(p.median) for p in PARAMETERS])
_LOG_SD = torch.tensor([p.log_sd for p in PARAMETERS])
_LOG_LOW = torch.tensor([math.log(p.low) for p in PARAMETERS])
_LOG_HIGH = torch.tensor([math.log(p.high) for p in PARAMETERS])


def values(scores: Tensor, weight_kg: Tensor) -> BodyParameters:
    """Parameter values from standard scores, kept within their bounds.

    Args:
        scores: (B, len(PARAMETERS)) standard scores of the logarithm.
        weight_kg: (B,) body weight.
    """
    log_value = _LOG_MEDIAN.to(scores) + _LOG_SD.to(scores) * scores
    bounded = log_value.clamp(_LOG_LOW.to(scores), _LOG_HIGH.to(scores)).exp()
    columns = dict(zip(NAMES, bounded.unbind(-1), strict=True))
    return BodyParameters(**columns, weight_kg=weight_kg)
