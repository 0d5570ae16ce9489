"""Covariates: what is known of a person moves the prior of their parameters.

One table says which, by how much and why. What is not known moves nothing.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from hybridtwin.events import Profile
from hybridtwin.physiology.parameters import NAMES, PARAMETERS

_CKD_EPI_HEALTHY_ML_MIN: Final = 90.0


@dataclass(frozen=True)
class Effect:
    """How one covariate moves one parameter's median.

    Attributes:
        covariate: What is known, with its unit.
        parameter: Whose prior moves.
        factor: On the parameter's median, per unit of `measure`.
        measure: How many units of it a person has; None where it is not known.
        source: Where the size comes from.
    """

    covariate: str
    parameter: str
    factor: float
    measure: Callable[[Profile], float | None]
    source: str


def _decades_above_40(profile: Profile) -> float | None:
    return None if profile.age_years is None else (profile.age_years - 40) / 10


def _puberty(profile: Profile) -> float | None:
    return None if profile.age_years is None else float(11 <= profile.age_years <= 18)


def _decades_of_diabetes(profile: Profile) -> float | None:
    # The prior is of people who have had it for about fifteen years.
    years = profile.diabetes_years
    return None if years is None else (min(years, 30) - 15) / 10


def _tens_of_kg_above_70(profile: Profile) -> float | None:
    adult = profile.age_years is None or profile.age_years >= 18
    return (profile.weight_kg - 70) / 10 if profile.weight_kg is not None and adult else None


def _halvings_of_kidney(profile: Profile) -> float | None:
    if profile.egfr_ml_min is None:
        return None
    return max(0.0, math.log2(_CKD_EPI_HEALTHY_ML_MIN / profile.egfr_ml_min))


def _late_pregnancy(profile: Profile) -> float | None:
    week = profile.pregnancy_week
    return None if week is None else min(max(week - 14, 0) / 22, 1.0)


def _takes(medication: str) -> Callable[[Profile], float | None]:
    return lambda profile: float(medication in profile.medications)


def _feature(name: str) -> Callable[[Profile], float | None]:
    return lambda profile: profile.features.get(name)


EFFECTS: Final = (
    Effect("age, per decade above 40 years", "uptake_sensitivity", 0.97, _decades_above_40,
           "DeFronzo 1979, Diabetes 28:1095"),
    Effect("age, per decade above 40 years", "adrenaline_response", 0.95, _decades_above_40,
           "Meneilly et al. 1994, J. Clin. Endocrinol. Metab. 78:1341"),
    Effect("age 11 to 18 years (puberty)", "uptake_sensitivity", 0.7, _puberty,
           "Amiel et al. 1986, N. Engl. J. Med. 315:215"),
    Effect("age 11 to 18 years (puberty)", "dawn_rise", 1.4, _puberty,
           "Beaufrere et al. 1988, Diabetes Care 11:495"),
    Effect("weight, per 10 kg above 70 kg (adults)", "uptake_sensitivity", 0.94,
           _tens_of_kg_above_70, "Ferrannini et al. 1997, J. Clin. Invest. 100:1166"),
    Effect("weight, per 10 kg above 70 kg (adults)", "basal_need_u_h", 1.14,
           _tens_of_kg_above_70, "proportional to weight; Scheiner & Boyer 2005"),
    Effect("diabetes, per decade beyond 15 years", "glucagon_response_pg_ml", 0.6,
           _decades_of_diabetes, "Bolli et al. 1983, Diabetes 32:134"),
    Effect("diabetes, per decade beyond 15 years", "adrenaline_response", 0.8,
           _decades_of_diabetes, "Mokan et al. 1994, Diabetes Care 17:1397"),
    Effect("kidney function, per halving below 90 mL/min", "insulin_clearance_per_min", 0.85,
           _halvings_of_kidney, "Rabkin et al. 1984, Diabetologia 27:351"),
    Effect("kidney function, per halving below 90 mL/min", "liver_maximum", 0.93,
           _halvings_of_kidney, "Gerich et al. 2001, Diabetes Care 24:382"),
    Effect("kidney function, per halving below 90 mL/min", "slow_factor", 1.1,
           _halvings_of_kidney, "Baldwin et al. 2012, Diabetes Care 35:1970 (dose need)"),
    Effect("pregnancy, from week 14 to 36", "uptake_sensitivity", 0.55, _late_pregnancy,
           "Catalano et al. 1993, Am. J. Physiol. 264:E60"),
    Effect("pregnancy, from week 14 to 36", "basal_need_u_h", 1.5, _late_pregnancy,
           "Garcia-Patterson et al. 2010, Diabetologia 53:446"),
    Effect("pregnancy, from week 14 to 36", "stomach_time_min", 1.15, _late_pregnancy,
           "Murphy et al. 2012, Diabetologia 55:1309 (slower absorption)"),
    Effect("metformin", "liver_maximum", 0.85, _takes("metformin"),
           "Hundal et al. 2000, Diabetes 49:2063"),
    Effect("GLP-1 agonist", "gut_time_min", 1.3, _takes("glp1_agonist"),
           "Nauck et al. 2011, Diabetes 60:1561"),
    Effect("GLP-1 agonist", "incretin_gain", 2.0, _takes("glp1_agonist"),
           "Nauck et al. 2011, Diabetes 60:1561"),
    Effect("SGLT2 inhibitor", "basal_need_u_h", 0.9, _takes("sglt2_inhibitor"),
           "Dandona et al. 2017, Lancet Diabetes Endocrinol. 5:864"),
    Effect("glucocorticoid", "uptake_sensitivity", 0.6, _takes("glucocorticoid"),
           "Rizza et al. 1982, J. Clin. Endocrinol. Metab. 54:131"),
    Effect("glucocorticoid", "liver_half_insulin", 1.5, _takes("glucocorticoid"),
           "Rizza et al. 1982, J. Clin. Endocrinol. Metab. 54:131"),
    Effect("beta blocker", "glucagon_effect", 0.9, _takes("beta_blocker"),
           "Clarke et al. 1979, J. Clin. Invest. 63:1036"),
    Effect("beta blocker", "adrenaline_response", 0.6, _takes("beta_blocker"),
           "Clarke et al. 1979, J. Clin. Invest. 63:1036"),
    Effect("feature insulin_resistance_score, per SD", "uptake_sensitivity", 0.93,
           _feature("insulin_resistance_score"),
           "Lotta et al. 2017, Nat. Genet. 49:17 (polygenic score)"),
    Effect("feature glycaemic_microbiome_score, per SD", "carb_availability", 1.02,
           _feature("glycaemic_microbiome_score"), "Zeevi et al. 2015, Cell 163:1079"),
)  # fmt: skip
"""The one table of covariates. Sizes are rounded to what the sources support."""

_BETA_CELLS: Final = {"type 1": 0.0, "type 2": 0.4, "other": 0.0}
_OF_PARAMETER: Final = {parameter.name: parameter for parameter in PARAMETERS}
KNOWN_FEATURES: Final = ("insulin_resistance_score", "glycaemic_microbiome_score")


def prior_scores(profile: Profile) -> Tensor:
    """(P,) standard scores by which a person's covariates move the prior of their parameters."""
    scores = torch.zeros(len(NAMES))
    for effect in EFFECTS:
        units = effect.measure(profile)
        if units:
            scores[NAMES.index(effect.parameter)] += (
                units * math.log(effect.factor) / _OF_PARAMETER[effect.parameter].sd
            )
    return scores


def beta_cells(profile: Profile) -> float:
    """Share of healthy beta-cell function that the type of diabetes leaves.

    Type 2: about half of it is lost at diagnosis and more later (UKPDS 16, 1995, Diabetes 44:1249).
    """
    return _BETA_CELLS[profile.diabetes_type or "type 1"]
