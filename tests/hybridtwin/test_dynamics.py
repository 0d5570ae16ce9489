"""The default step against the whole vector field, solved adaptively and tight."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor

from hybridtwin.dynamics import Step, adaptive, body_of, person_of, state_of, step, what_acts
from hybridtwin.inputs import Future
from hybridtwin.neural.residual import ResidualWeights
from hybridtwin.physiology.body import INPUTS, ROW
from hybridtwin.physiology.parameters import BodyParameters
from hybridtwin.physiology.steady import steady_state
from hybridtwin.registry import load_twin, untrained_twin
from hybridtwin.twin import Twin
from hybridtwin.units import steps
from tests.hybridtwin.bodies import PRECISE, anyone, given_at, nothing, seeds

CLOSE_MG_DL = 1.0  # far below what sensors err by; drawn bodies on drawn days reach 0.6
PEOPLE = 6
SENSOR = ROW["interstitial_mg_dl"]


@dataclass(frozen=True)
class Beside:
    """A residual beside the body; none where `weights` is None."""

    fixed: Tensor
    latent: Tensor
    weights: ResidualWeights | None


def alone(dtype: torch.dtype = PRECISE) -> Beside:
    nobody = torch.zeros(0, PEOPLE, dtype=dtype)
    return Beside(nobody, nobody, None)


def beside(twin: Twin, seed: int) -> Beside:
    """The twin's residual, for people of any embedding and from any latent state."""
    model, g = twin.model.to(PRECISE), torch.Generator().manual_seed(seed)
    embedding = torch.randn(PEOPLE, model.shape.embedding, generator=g, dtype=PRECISE)
    latent = 2 * torch.rand(model.shape.latent, PEOPLE, generator=g, dtype=PRECISE) - 1
    is_open = (torch.rand(PEOPLE, generator=g) < 0.5).to(PRECISE)
    with torch.no_grad():
        return Beside(model.residual.fixed(is_open, embedding), latent, model.residual.weights())


def lively_twin(seed: int) -> Twin:
    """Random weights, about as large as training makes them."""
    twin = untrained_twin(seed)
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in twin.model.residual.named_parameters():
            if name != "log_rate_per_min":
                weight.copy_(0.15 * torch.randn(weight.shape, generator=g))
    return twin


RESIDUALS: dict[str, Callable[[int], Beside]] = {
    "none": lambda seed: alone(),
    "random": lambda seed: beside(lively_twin(seed), seed),
    "shipped": lambda seed: beside(load_twin(), seed),
}


def walk(body: Tensor, future: Future, p: BodyParameters, other: Beside, advance: Step) -> Tensor:
    """(H, B) sensor glucose."""
    acts = what_acts(future, p).steps()
    person = person_of(p, other.fixed, future.is_open.to(PRECISE))
    state = state_of(body, other.latent, acts[0], person, other.weights)
    path = []
    with torch.no_grad():
        for acting in acts:
            state = advance(state, acting, person, other.weights)
            path.append(body_of(state)[SENSOR])
    return torch.stack(path)


def a_day(
    p: BodyParameters, hours: float, carbs_g_kg: float, bolus_u_kg: float, exertion: float
) -> Future:
    """Breakfast with a bolus, exercise, a correction that was too much, and the rescue."""
    weight = p.weight_kg
    usual = nothing(p.basal_need_u_h, steps(60 * hours), minute_of_day=8 * 60)
    for minute, name, amount in (
        (10, "bolus_u", 0.7 * bolus_u_kg * weight),
        (10, "monomer_u", 0.3 * bolus_u_kg * weight),
        (20, "carbs_g", 0.7 * carbs_g_kg * weight),
        (20, "slow_carbs_g", 0.3 * carbs_g_kg * weight),
        (20, "fat_g", 0.3 * carbs_g_kg * weight),
        (20, "protein_g", 0.3 * carbs_g_kg * weight),
        (60 * hours / 2, "bolus_u", 0.5 * bolus_u_kg * weight),
        (60 * hours - 60, "fast_carbs_g", 0.15 * weight),
        (60 * hours - 60, "carbs_g", 0.1 * weight),
        (60 * hours - 50, "glucagon_ug", 2.0 * weight),
    ):
        usual = given_at(usual, steps(minute), name, amount)
    bout = slice(steps(90), steps(135))
    usual.amounts_per_min[bout, INPUTS.index("exertion")] = exertion
    usual.amounts_per_min[bout, INPUTS.index("sprint")] = max(0.0, exertion - 0.5)
    return usual


@given(seeds, st.floats(4, 8), st.floats(0, 1), st.floats(0, 0.2), st.floats(0, 0.8))
@settings(max_examples=4, deadline=None, phases=(Phase.explicit, Phase.generate))
@pytest.mark.parametrize("residual", RESIDUALS)
def test_the_step_is_close_to_a_tight_adaptive_solve(
    residual: str, seed: int, hours: float, carbs_g_kg: float, bolus_u_kg: float, exertion: float
) -> None:
    p = anyone(PEOPLE, seed)
    other = RESIDUALS[residual](seed)
    body = steady_state(p, p.basal_need_u_h)
    day = a_day(p, hours, carbs_g_kg, bolus_u_kg, exertion)
    coarse, tight = (walk(body, day, p, other, how) for how in (step, adaptive))
    assert (coarse - tight).abs().max() <= CLOSE_MG_DL


@given(seeds)
@settings(max_examples=8, deadline=None)
def test_single_precision_is_enough(seed: int) -> None:
    courses = []
    for dtype in (torch.float32, PRECISE):
        p = anyone(PEOPLE, seed, dtype=dtype)
        body = steady_state(p, p.basal_need_u_h)
        courses.append(walk(body, a_day(p, 8, 1.0, 0.15, 0.5), p, alone(dtype), step))
    single, double = courses
    assert (single - double).abs().max() <= CLOSE_MG_DL / 20
