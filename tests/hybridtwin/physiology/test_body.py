"""What holds for every body: mass, rest, and the sign of every dose."""

from dataclasses import replace

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hybridtwin.events import Profile
from hybridtwin.physiology.body import COMPARTMENTS, DRIVEN, INPUTS, ROW, readings, signals
from hybridtwin.physiology.clock import Rhythm
from hybridtwin.physiology.parameters import MG_PER_G, NAMES, PARAMETERS, BodyParameters, values
from hybridtwin.physiology.steady import steady_state
from hybridtwin.simulation import run, typical_person
from hybridtwin.units import STEP_MIN
from tests.hybridtwin.bodies import (
    CARBS,
    INSULIN,
    PRECISE,
    anyone,
    anything,
    anywhere,
    given_at,
    nothing,
    repeated,
    seeds,
    side_by_side,
)

ROUNDING = 1e-9
UNDERSHOOT_MG_DL = 1e-6
SENSOR = ROW["interstitial_mg_dl"]


def zero(p: BodyParameters) -> Tensor:
    return torch.zeros_like(p.weight_kg)


# Who people are.


def test_parameter_bounds_hold_the_median() -> None:
    for parameter in PARAMETERS:
        assert parameter.low < parameter.median < parameter.high, parameter.name


@given(seeds, st.floats(1, 30))
def test_values_stay_within_their_bounds(seed: int, far: float) -> None:
    g = torch.Generator().manual_seed(seed)
    scores = far * torch.randn(50, len(PARAMETERS), generator=g)
    p = values(scores, torch.full((50,), 70.0), torch.zeros(50))
    for parameter in PARAMETERS:
        value = getattr(p, parameter.name)
        assert parameter.low - 1e-6 <= value.min()
        assert value.max() <= parameter.high * (1 + 1e-6)


def test_compartments_are_named_once() -> None:
    assert len(set(COMPARTMENTS)) == len(COMPARTMENTS)


# Mass.


@given(seeds)
@settings(max_examples=8, deadline=None)
def test_no_mass_is_ever_negative_or_infinite_whatever_happens(seed: int) -> None:
    p = anyone(128, seed, beta_cells=True)
    path = run(steady_state(p, p.basal_need_u_h), anything(128, 96, seed), p)
    assert torch.isfinite(path).all()
    lowest = path.amin((0, 2))
    assert lowest.min() >= -ROUNDING, COMPARTMENTS[int(lowest.argmin())]


@given(st.floats(-3, 3), st.floats(0, 1), st.floats(0, 1), st.floats(0, 3))
@settings(max_examples=25, deadline=None)
def test_muscle_takes_no_glucose_that_is_not_there(
    strength: float, exertion: float, sprint: float, basal_u_h: float
) -> None:
    """However fit and strong, at whatever hour: two hours of anything that can be stated."""
    scores = torch.zeros(1, len(PARAMETERS), dtype=PRECISE)
    scores[0, [NAMES.index(name) for name in MUSCLE]] = strength
    one = torch.ones(1, dtype=PRECISE)
    p = values(scores, 70 * one, 0 * one)
    future = nothing(basal_u_h * one, 36, minute_of_day=17 * 60)
    future.amounts_per_min[:24, INPUTS.index("exertion")] = exertion
    future.amounts_per_min[:24, INPUTS.index("sprint")] = sprint
    assert run(steady_state(p, basal_u_h * one), future, p).min() >= -ROUNDING


MUSCLE = ("exercise_uptake", "fitness", "exercise_clock")


def fed(names: tuple[str, ...], amount: float, seed: int) -> tuple[BodyParameters, Tensor]:
    """People, each way of one amount at once, and their bodies over the twelve hours after it."""
    alone = anyone(16, seed)
    still = nothing(zero(alone), 144)
    future = side_by_side([given_at(still, 0, name, amount) for name in names])
    p = repeated(alone, len(names))
    return p, run(steady_state(p, zero(p)), future, p)


def conserved(held: Tensor, left_per_min: Tensor, amount: float) -> None:
    """What is still there (H, B) and what has left until then are the amount."""
    left = torch.cumulative_trapezoid(left_per_min, dx=STEP_MIN, dim=0)
    # Trapezoids cut the bend of the outflow in the first steps.
    torch.testing.assert_close(held[1:] + left, torch.full_like(left, amount), rtol=0.02, atol=0)


@given(seeds, st.floats(0.1, 80))
@settings(max_examples=4, deadline=None)
def test_every_unit_of_insulin_is_in_the_body_or_cleared(seed: int, dose_u: float) -> None:
    p, path = fed(INSULIN, dose_u, seed)
    skin = [name for name in DRIVEN if name.endswith("_u") and "effect" not in name]
    cleared = p.insulin_clearance_per_min * path[:, ROW["plasma_insulin_u"]]
    conserved(path[:, [ROW[name] for name in skin]].sum(1), cleared, dose_u)


@given(seeds, st.floats(1, 500))
@settings(max_examples=4, deadline=None)
def test_every_gram_of_carbohydrate_is_in_the_gut_or_has_become_glucose(
    seed: int, grams: float
) -> None:
    p, path = fed(CARBS, grams, seed)
    one = torch.ones_like(p.weight_kg)
    neutral, reads = Rhythm(one, one, one), readings(p)
    appearance = torch.stack(
        [signals(driven, neutral, reads).appearance for driven in path[:, : len(DRIVEN)]]
    )
    arriving = appearance * p.weight_kg / (MG_PER_G * p.carb_availability)
    gut = [ROW[name] for name in ("stomach_g", "gut_1_g", "gut_2_g")]
    conserved(path[:, gut].sum(1), arriving, grams)


# Rest.


def without_clock(p: BodyParameters) -> BodyParameters:
    rhythms = ("dawn_rise", "day_sine", "day_cosine", "half_day_sine", "half_day_cosine")
    return replace(p, **{name: zero(p) for name in rhythms})


@given(seeds, st.floats(0, 5))
@settings(max_examples=8, deadline=None)
def test_whoever_rests_stays_at_rest(seed: int, most_u_h: float) -> None:
    p = without_clock(anyone(64, seed, beta_cells=True))
    basal_u_h = most_u_h * torch.linspace(0, 1, 64, dtype=PRECISE)
    body = steady_state(p, basal_u_h)
    path = run(body, nothing(basal_u_h, 144), p)
    assert (path[:, SENSOR] - body[SENSOR]).abs().max() <= 0.1
    single = without_clock(anyone(64, seed, beta_cells=True, dtype=torch.float32))
    rest = steady_state(single, basal_u_h.float())
    assert (rest[SENSOR] - body[SENSOR]).abs().max() <= 0.1


@given(seeds)
@settings(max_examples=8, deadline=None)
def test_more_basal_rests_lower(seed: int) -> None:
    p = anyone(64, seed)
    basal_u_h = torch.linspace(0, 3, 16, dtype=PRECISE)
    levels = torch.stack([steady_state(p, u_h.expand(64))[SENSOR] for u_h in basal_u_h])
    assert (levels.diff(dim=0) <= ROUNDING).all()


# The sign of an effect.


@given(seeds, st.integers(0, 47), st.floats(0.05, 30), st.floats(0.5, 150))
@settings(max_examples=12, deadline=None)
def test_insulin_never_raises_and_carbohydrate_never_lowers_mean_glucose(
    seed: int, step: int, units: float, grams: float
) -> None:
    """Type 1: over four hours, from wherever a body stands and whatever else it does."""
    count = 24
    p, usual = anyone(count, seed), anything(count, 48, seed, size=0.1)
    futures = [given_at(usual, step, name, units) for name in INSULIN]
    futures += [given_at(usual, step, name, grams) for name in CARBS]
    kinds = 1 + len(futures)
    bodies = anywhere(p, seed).repeat(1, kinds)
    path = run(bodies, side_by_side([usual, *futures]), repeated(p, kinds))
    before, *after = path[1:, SENSOR].mean(0).split(count)
    for name, mean in zip((*INSULIN, *CARBS), after, strict=True):
        rightly = mean - before if name in CARBS else before - mean
        # A dose of the last step is seen through five rungs, of which the series has four.
        assert rightly.min() >= -UNDERSHOOT_MG_DL, name


def test_one_unit_and_ten_grams_do_what_rules_of_thumb_say() -> None:
    """Median adult, 70 kg: about 1700/TDD = 40 mg/dL per U and 4 mg/dL per g.

    Walsh & Roberts 2006, Pumping Insulin: the 1700 rule at 42 U/day; half to twice is accepted,
    since glucose moves back while insulin still acts.
    """
    p = typical_person(Profile(weight_kg=70))
    usual = nothing(p.basal_need_u_h, 72, minute_of_day=12 * 60)
    body = steady_state(p, p.basal_need_u_h)

    def course(name: str, amount: float) -> Tensor:
        return run(body, given_at(usual, 0, name, amount), p)[:, SENSOR]

    rest = course("bolus_u", 0.0)
    assert 20 <= float((rest - course("bolus_u", 1.0)).max()) <= 80
    assert 20 <= float((course("carbs_g", 10.0) - rest).max()) <= 80
