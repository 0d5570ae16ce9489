"""What is known of a person moves the prior by what the table says; the rest moves nothing."""

import math
from typing import get_args

import pytest
import torch

from hybridtwin.events import Medication, Profile
from hybridtwin.physiology.covariates import EFFECTS, KNOWN_FEATURES, beta_cells, prior_scores
from hybridtwin.physiology.parameters import NAMES, PARAMETERS, values
from hybridtwin.simulation import typical_person

DECADES, PUBERTY = "age, per decade above 40 years", "age 11 to 18 years (puberty)"
WEIGHT = "weight, per 10 kg above 70 kg (adults)"
DURATION = "diabetes, per decade beyond 15 years"
KIDNEY = "kidney function, per halving below 90 mL/min"
PREGNANCY = "pregnancy, from week 14 to 36"
RESISTANCE = "feature insulin_resistance_score, per SD"
MICROBIOME = "feature glycaemic_microbiome_score, per SD"

CASES = [
    (Profile(age_years=50), {DECADES: 1}),
    (Profile(age_years=10), {DECADES: -3}),
    (Profile(age_years=15), {DECADES: -2.5, PUBERTY: 1}),
    (Profile(weight_kg=80), {WEIGHT: 1}),
    (Profile(weight_kg=60, age_years=40), {WEIGHT: -1}),
    (Profile(weight_kg=30, age_years=10), {DECADES: -3}),
    (Profile(diabetes_years=25), {DURATION: 1}),
    (Profile(diabetes_years=0), {DURATION: -1.5}),
    (Profile(diabetes_years=70), {DURATION: 1.5}),
    (Profile(egfr_ml_min=45), {KIDNEY: 1}),
    (Profile(egfr_ml_min=22.5), {KIDNEY: 2}),
    (Profile(egfr_ml_min=120), {}),
    (Profile(pregnancy_week=8), {}),
    (Profile(pregnancy_week=25), {PREGNANCY: 0.5}),
    (Profile(pregnancy_week=36), {PREGNANCY: 1}),
    (Profile(pregnancy_week=42), {PREGNANCY: 1}),
    (Profile(medications=("metformin",)), {"metformin": 1}),
    (Profile(medications=("glp1_agonist",)), {"GLP-1 agonist": 1}),
    (Profile(medications=("sglt2_inhibitor",)), {"SGLT2 inhibitor": 1}),
    (Profile(medications=("glucocorticoid",)), {"glucocorticoid": 1}),
    (Profile(medications=("beta_blocker",)), {"beta blocker": 1}),
    (
        Profile(medications=("beta_blocker", "metformin"), egfr_ml_min=45),
        {"beta blocker": 1, "metformin": 1, KIDNEY: 1},
    ),
    (Profile(features={"insulin_resistance_score": 1}), {RESISTANCE: 1}),
    (Profile(features={"glycaemic_microbiome_score": -2}), {MICROBIOME: -2}),
]


def medians(profile: Profile) -> dict[str, float]:
    """Of people with this profile, at the usual weight."""
    p = values(prior_scores(profile).unsqueeze(0), torch.tensor([70.0]), torch.zeros(1))
    return {name: float(getattr(p, name)) for name in NAMES}


@pytest.mark.parametrize(("profile", "units"), CASES)
def test_each_covariate_multiplies_the_medians_that_it_should(
    profile: Profile, units: dict[str, float]
) -> None:
    assert units.keys() <= {effect.covariate for effect in EFFECTS}
    found = medians(profile)
    for parameter in PARAMETERS:
        factor = math.prod(
            effect.factor ** units.get(effect.covariate, 0)
            for effect in EFFECTS
            if effect.parameter == parameter.name
        )
        expected = pytest.approx(parameter.median * factor, rel=1e-5, abs=1e-6)
        assert found[parameter.name] == expected, parameter.name


def test_every_covariate_is_tried() -> None:
    assert {effect.covariate for effect in EFFECTS} == {
        name for _, units in CASES for name in units
    }
    assert {one for profile, _ in CASES for one in profile.medications} == {*get_args(Medication)}
    assert {name for profile, _ in CASES for name in profile.features} == {*KNOWN_FEATURES}


@pytest.mark.parametrize(
    "profile",
    [
        Profile(),
        Profile(
            time_zone="Asia/Tokyo", sex="female", therapy="pump", hba1c_percent=9.0, sensor="x"
        ),
        Profile(features={"of_tomorrow": 3.0, "INSULIN_RESISTANCE_SCORE": 5.0}),
    ],
)
def test_what_is_absent_or_unknown_moves_nothing(profile: Profile) -> None:
    assert not prior_scores(profile).any()


def test_an_effect_can_be_what_it_says() -> None:
    """A factor on the median is one only where scores move the logarithm."""
    logarithmic = {parameter.name for parameter in PARAMETERS if parameter.logarithmic}
    for effect in EFFECTS:
        assert effect.parameter in logarithmic
        assert effect.factor > 0
        assert effect.factor != 1
        assert effect.source


def test_the_directions_are_those_of_the_clinic() -> None:
    usual = medians(Profile())
    young, late = medians(Profile(age_years=15)), medians(Profile(pregnancy_week=34))
    assert young["uptake_sensitivity"] < usual["uptake_sensitivity"] > late["uptake_sensitivity"]
    assert young["dawn_rise"] > usual["dawn_rise"]
    assert late["basal_need_u_h"] > usual["basal_need_u_h"]
    steroid = medians(Profile(medications=("glucocorticoid",)))
    assert steroid["uptake_sensitivity"] < usual["uptake_sensitivity"]
    long = medians(Profile(diabetes_years=30))
    assert long["glucagon_response_pg_ml"] < usual["glucagon_response_pg_ml"]
    failing = medians(Profile(egfr_ml_min=20))
    assert failing["insulin_clearance_per_min"] < usual["insulin_clearance_per_min"]


def test_only_type_2_leaves_beta_cells() -> None:
    assert beta_cells(Profile()) == beta_cells(Profile(diabetes_type="type 1")) == 0
    assert beta_cells(Profile(diabetes_type=None)) == 0
    assert 0 < beta_cells(Profile(diabetes_type="type 2")) < 1


def test_a_person_is_made_of_all_of_it() -> None:
    p = typical_person(Profile(weight_kg=90, diabetes_type="type 2", medications=("metformin",)))
    assert float(p.weight_kg) == 90
    assert float(p.beta_cells) == pytest.approx(beta_cells(Profile(diabetes_type="type 2")))
    assert float(p.liver_maximum) < medians(Profile())["liver_maximum"]
