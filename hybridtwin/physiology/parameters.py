"""The body's parameters: name, symbol, unit, prior over people, bounds and source, in one place.

A person's parameters are standard scores: 0 is the population's median, 1 is one standard
deviation above it (of the logarithm, unless the parameter may be negative). `values` turns scores
into units.
"""

import math
from dataclasses import dataclass, field, fields
from functools import cached_property, partial
from typing import Any, Final

import torch
from torch import Tensor


@dataclass(frozen=True)
class Parameter:
    """One physiological parameter and its prior over people.

    Attributes:
        name: As in `BodyParameters`.
        symbol: In its paper, or ours.
        unit: Its unit, `1` for none.
        median: Of people with type 1 diabetes.
        sd: Standard deviation over people, of the logarithm where `logarithmic`.
        low: Lower bound.
        high: Upper bound.
        source: Where median or scale come from.
        logarithmic: Log-normal; else normal about the median, and may be negative.
    """

    name: str
    symbol: str
    unit: str
    median: float
    sd: float
    low: float
    high: float
    source: str
    logarithmic: bool = True


def _prior(
    symbol: str, unit: str, median: float, sd: float, low: float, high: float, source: str
) -> Any:
    prior = partial(
        Parameter,
        symbol=symbol,
        unit=unit,
        median=median,
        sd=sd,
        low=low,
        high=high,
        source=source,
        logarithmic=low > 0,
    )
    return field(metadata={"prior": prior})


_HOVORKA = "Hovorka et al. 2004, Physiol. Meas. 25:905"
_DALLA_MAN = "Dalla Man et al. 2007, IEEE TBME 54:1740"
_PROFILE = "Visentin et al. 2015, Diabetes Technol. Ther. 17:1 (size of the daily variation)"
_WIDE = "prior of this model, wide"

# The rest is the same for everyone.
INSULIN_VOLUME_L_KG: Final = 0.12  # Hovorka 2004, V_I
GLUCOSE_VOLUME_DL_KG: Final = 1.88  # Dalla Man 2007, V_G
GLUCAGON_VOLUME_ML_KG: Final = 670.0  # V/F: 1 mg under the skin peaks at 7.9 ng/mL (label)
DEFAULT_WEIGHT_KG: Final = 70.0
MU_PER_U: Final = 1000.0
MG_PER_G: Final = 1000.0
PG_PER_UG: Final = 1e6
# Slow release of the long-acting kinds, min. Glargine is a precipitate that breaks up into crystals
# like those of NPH: half-lives within 13.5 +- 6.9 and 19.0 +- 6.4 h (Becker et al. 2015, Diabetes
# Care 38:637), U100 by how long one dose acts (Lepore et al. 2000, Diabetes 49:2142). Degludec by
# its half-life of 25 h (Heise et al. 2012, Diabetes Obes. Metab. 14:944); NPH and detemir by the
# clamps of Lepore et al. 2000 and Plank et al. 2005, Diabetes Care 28:1107.
NPH_MIN: Final = 185.0
DETEMIR_MIN: Final = 440.0
GLARGINE_U100_MIN: Final = 800.0
GLARGINE_U300_MIN: Final = 1350.0
DEGLUDEC_MIN: Final = 2200.0
HEXAMER_SHARE: Final = 1.7  # time as a hexamer, relative to each later rung
# Time in the second compartment of the gut, relative to the mean of both: what is drunk as glucose
# goes there, and 15 g of it raise glucose by 2.1 mmol/L in 20 min (Slama et al. 1990).
GUT_2_SHARE: Final = 0.625
ALCOHOL_ABSORPTION_MIN: Final = 20.0
ALCOHOL_CLEARANCE_MIN: Final = 150.0  # about 7 g/h of 20 g; Norberg et al. 2003
GLUCAGON_TIME_MIN: Final = 15.0  # glucose peaks after about an hour; Haymond et al. 2016
RECOVERY_MIN: Final = 210.0  # raised sensitivity peaks some hours after and lasts the night
SPRINT_MIN: Final = 20.0  # glucose stays up for two hours; Mitchell et al. 1988
EXERTION_MIN: Final = 15.0


@dataclass(frozen=True, kw_only=True)
class BodyParameters:
    """Parameter values in their units, each (B,); weight in kg and beta cells' share are given."""

    rapid_time_min: Tensor = _prior("t_maxI", "min", 55, 0.25, 20, 150, f"{_HOVORKA}, table 1")
    slow_factor: Tensor = _prior("f_slow", "1", 1.0, 0.2, 0.5, 2.0, "Heise et al. 2012")
    insulin_clearance_per_min: Tensor = _prior("k_e", "1/min", 0.138, 0.1, 0.08, 0.25, _HOVORKA)
    uptake_onset_per_min: Tensor = _prior("k_a2", "1/min", 0.020, 0.3, 0.005, 0.08, _HOVORKA)
    liver_onset_per_min: Tensor = _prior("k_a3", "1/min", 0.025, 0.3, 0.005, 0.08, _HOVORKA)
    basal_need_u_h: Tensor = _prior("u_b", "U/h", 0.8, 0.45, 0.1, 5, "Scheiner & Boyer 2005")

    gut_time_min: Tensor = _prior("t_maxG", "min", 40, 0.3, 12, 150, f"{_HOVORKA}, table 1")
    stomach_time_min: Tensor = _prior("t_S", "min", 90, 0.3, 30, 240, "Gentilcore et al. 2006")
    carb_availability: Tensor = _prior("A_G", "1", 0.8, 0.1, 0.4, 1.0, f"{_HOVORKA}, table 1")
    protein_time_min: Tensor = _prior("t_P", "min", 120, 0.25, 40, 240, "Paterson et al. 2016")
    protein_yield: Tensor = _prior("A_P", "g/g", 0.3, 0.3, 0.05, 0.6, "Paterson et al. 2016")
    fat_time_min: Tensor = _prior("t_F", "min", 150, 0.25, 60, 360, "Wolpert et al. 2013")
    fat_resistance_per_g: Tensor = _prior(
        "r_F", "1/g", 0.015, 0.4, 0.002, 0.06, "Wolpert et al. 2013"
    )
    alcohol_hold: Tensor = _prior("h_A", "1", 0.2, 0.2, 0.05, 0.8, "Siler et al. 1998")

    uptake_sensitivity: Tensor = _prior(
        "V_mx", "mg/kg/min per mU/L", 0.23, 0.4, 0.03, 1.5, _DALLA_MAN
    )
    liver_half_insulin: Tensor = _prior("I_h", "mU/L", 15, 0.35, 3, 80, _HOVORKA)
    liver_maximum: Tensor = _prior("EGP_max", "mg/kg/min", 4.8, 0.2, 2.0, 10, _DALLA_MAN)
    liver_half_glucose: Tensor = _prior("G_h", "mg/dL", 300, 0.3, 80, 1500, _WIDE)

    glucagon_effect: Tensor = _prior(
        "xi", "1", 12.0, 0.25, 3, 36, "Ranjan et al. 2016, Diabetes Obes. Metab. 18:410"
    )
    glucagon_response_pg_ml: Tensor = _prior(
        "delta", "pg/mL", 25, 0.5, 2, 250, "Bolli et al. 1983, Diabetes 32:134"
    )
    adrenaline_response: Tensor = _prior(
        "epsilon", "1", 0.6, 0.4, 0.05, 2, "Amiel et al. 1988, Diabetes 37:901"
    )

    exercise_uptake: Tensor = _prior("b_ex", "mg/kg/min", 6.0, 0.4, 0.5, 20, "Roy & Parker 2007")
    exercise_clock: Tensor = _prior(
        "c_ex", "1", 0.4, 0.15, -0.6, 0.9, "Ruegemer et al. 1990, Diabetes Care 13:104"
    )
    sprint_output: Tensor = _prior(
        "b_sp", "mg/kg/min", 14, 0.4, 1, 40, "Marliss & Vranic 2002, Diabetes 51:S271"
    )
    recovery_gain: Tensor = _prior("g_rec", "1", 0.4, 0.4, 0.05, 1.5, "McMahon et al. 2007")
    fitness: Tensor = _prior("f_fit", "1", 1.0, 0.2, 0.4, 2.5, _WIDE)

    dawn_rise: Tensor = _prior("a_dawn", "1", 0.12, 0.5, 0.01, 0.8, "Schmidt et al. 1981")
    day_sine: Tensor = _prior("s_1", "1", 0.0, 0.1, -0.5, 0.5, _PROFILE)
    day_cosine: Tensor = _prior("c_1", "1", 0.0, 0.1, -0.5, 0.5, _PROFILE)
    half_day_sine: Tensor = _prior("s_2", "1", 0.0, 0.07, -0.3, 0.3, _PROFILE)
    half_day_cosine: Tensor = _prior("c_2", "1", 0.0, 0.07, -0.3, 0.3, _PROFILE)
    illness_resistance: Tensor = _prior(
        "r_ill", "1", 0.5, 0.4, 0.05, 2, "Yki-Jarvinen et al. 1989, J. Clin. Endo. Metab. 69:317"
    )
    stress_resistance: Tensor = _prior(
        "r_str", "1", 0.15, 0.5, 0.02, 1, "Moberg et al. 1994, Diabetologia 37:247"
    )
    sleep_resistance: Tensor = _prior(
        "r_slp", "1", 0.17, 0.4, 0.02, 0.8, "Donga et al. 2010, Diabetes Care 33:1573"
    )
    luteal_resistance: Tensor = _prior(
        "r_lut", "1", 0.1, 0.5, 0.01, 0.6, "Brown et al. 2015, J. Diabetes Sci. Technol. 9:1192"
    )

    secretion_per_min: Tensor = _prior(
        "Phi", "mU/L/min per mg/dL", 0.035, 0.4, 0.005, 0.2, _DALLA_MAN
    )
    incretin_gain: Tensor = _prior(
        "g_inc",
        "1 per mg/kg/min",
        0.03,
        0.4,
        0.003,
        0.3,
        "Nauck et al. 1986, J. Clin. Endo. 63:492",
    )

    sensor_delay_min: Tensor = _prior("tau_s", "min", 7, 0.25, 2, 20, "Keenan et al. 2009")

    weight_kg: Tensor
    beta_cells: Tensor

    # What is needed at every step, computed once.

    @cached_property
    def nph_rate_per_min(self) -> Tensor:
        """Rate of NPH's slow release, as those that follow of theirs."""
        return 1 / (NPH_MIN * self.slow_factor)

    @cached_property
    def detemir_rate_per_min(self) -> Tensor:
        """Detemir."""
        return 1 / (DETEMIR_MIN * self.slow_factor)

    @cached_property
    def glargine_u100_rate_per_min(self) -> Tensor:
        """Glargine U100."""
        return 1 / (GLARGINE_U100_MIN * self.slow_factor)

    @cached_property
    def glargine_u300_rate_per_min(self) -> Tensor:
        """Glargine U300."""
        return 1 / (GLARGINE_U300_MIN * self.slow_factor)

    @cached_property
    def degludec_rate_per_min(self) -> Tensor:
        """Degludec."""
        return 1 / (DEGLUDEC_MIN * self.slow_factor)

    @cached_property
    def hexamer_rate_per_min(self) -> Tensor:
        """Of hexamers falling apart."""
        return 1 / (HEXAMER_SHARE * self.rapid_time_min)

    @cached_property
    def rapid_rate_per_min(self) -> Tensor:
        """1 / rapid_time_min."""
        return self.rapid_time_min.reciprocal()

    @cached_property
    def stomach_rate_per_min(self) -> Tensor:
        """1 / stomach_time_min."""
        return self.stomach_time_min.reciprocal()

    @cached_property
    def gut_1_rate_per_min(self) -> Tensor:
        """Out of the gut's first compartment; `gut_time_min` is the mean of both."""
        return 1 / ((2 - GUT_2_SHARE) * self.gut_time_min)

    @cached_property
    def gut_2_rate_per_min(self) -> Tensor:
        """Out of the second, into the blood."""
        return 1 / (GUT_2_SHARE * self.gut_time_min)

    @cached_property
    def protein_rate_per_min(self) -> Tensor:
        """1 / protein_time_min."""
        return self.protein_time_min.reciprocal()

    @cached_property
    def fat_rate_per_min(self) -> Tensor:
        """1 / fat_time_min."""
        return self.fat_time_min.reciprocal()

    @cached_property
    def alcohol_absorption_per_min(self) -> Tensor:
        """The same for everyone, as those that follow."""
        return torch.full_like(self.weight_kg, 1 / ALCOHOL_ABSORPTION_MIN)

    @cached_property
    def alcohol_clearance_per_min(self) -> Tensor:
        """Of alcohol in the body."""
        return torch.full_like(self.weight_kg, 1 / ALCOHOL_CLEARANCE_MIN)

    @cached_property
    def glucagon_rate_per_min(self) -> Tensor:
        """Of injected glucagon, under the skin and in plasma."""
        return torch.full_like(self.weight_kg, 1 / GLUCAGON_TIME_MIN)

    @cached_property
    def exertion_rate_per_min(self) -> Tensor:
        """At which muscle catches up with exertion."""
        return torch.full_like(self.weight_kg, 1 / EXERTION_MIN)

    @cached_property
    def recovery_rate_per_min(self) -> Tensor:
        """Of what follows exercise."""
        return torch.full_like(self.weight_kg, 1 / RECOVERY_MIN)

    @cached_property
    def sprint_rate_per_min(self) -> Tensor:
        """Of what follows a sprint."""
        return torch.full_like(self.weight_kg, 1 / SPRINT_MIN)

    @cached_property
    def plasma_mu_l_per_u(self) -> Tensor:
        """Plasma insulin, mU/L, per unit in plasma."""
        return MU_PER_U / (INSULIN_VOLUME_L_KG * self.weight_kg)

    @cached_property
    def appearance_mg_kg_per_g(self) -> Tensor:
        """Flow into the blood, mg/kg/min, per gram in the second gut compartment."""
        return MG_PER_G * self.carb_availability * self.gut_2_rate_per_min / self.weight_kg

    @cached_property
    def protein_mg_kg_per_g(self) -> Tensor:
        """Flow into the blood, mg/kg/min, per gram in the second protein compartment."""
        return MG_PER_G * self.protein_yield * self.protein_rate_per_min / self.weight_kg

    @cached_property
    def glucagon_pg_ml_per_ug(self) -> Tensor:
        """Plasma glucagon, pg/mL, per microgram in plasma."""
        return PG_PER_UG / (GLUCAGON_VOLUME_ML_KG * self.weight_kg)


PARAMETERS: Final[tuple[Parameter, ...]] = tuple(
    f.metadata["prior"](name=f.name) for f in fields(BodyParameters) if f.metadata
)
NAMES: Final = tuple(parameter.name for parameter in PARAMETERS)

FITTED: Final = (
    "rapid_time_min",
    "slow_factor",
    "insulin_clearance_per_min",
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
    "glucagon_effect",
    "glucagon_response_pg_ml",
    "adrenaline_response",
    "exercise_uptake",
    "recovery_gain",
    "fitness",
    "dawn_rise",
    "day_sine",
    "day_cosine",
    "half_day_sine",
    "half_day_cosine",
    "sensor_delay_min",
)
"""Parameters that days of ordinary life say something about; the others keep their prior."""
FITTED_COLUMNS: Final = [NAMES.index(name) for name in FITTED]


def _scale(value: float, parameter: Parameter) -> float:
    return math.log(value) if parameter.logarithmic else value


_MEDIAN = torch.tensor([_scale(p.median, p) for p in PARAMETERS])
_SD = torch.tensor([p.sd for p in PARAMETERS])
_LOW = torch.tensor([_scale(p.low, p) for p in PARAMETERS])
_HIGH = torch.tensor([_scale(p.high, p) for p in PARAMETERS])
_LOGARITHMIC = torch.tensor([p.logarithmic for p in PARAMETERS])


def values(scores: Tensor, weight_kg: Tensor, beta_cells: Tensor) -> BodyParameters:
    """Parameter values from standard scores, kept within their bounds.

    Args:
        scores: (B, len(PARAMETERS)) standard scores.
        weight_kg: (B,) body weight.
        beta_cells: (B,) share of healthy beta-cell function, 0 in type 1 diabetes.
    """
    raw = _MEDIAN.to(scores) + _SD.to(scores) * scores
    bounded = raw.clamp(_LOW.to(scores), _HIGH.to(scores))
    # exp is taken of zero where it is not wanted, so that its gradient stays finite.
    logarithm = torch.where(_LOGARITHMIC, bounded, 0.0)
    value = torch.where(_LOGARITHMIC, logarithm.exp(), bounded)
    columns = dict(zip(NAMES, value.unbind(-1), strict=True))
    return BodyParameters(**columns, weight_kg=weight_kg, beta_cells=beta_cells)
