"""What is linear against its closed form: cascades, the warm-up, the sensor; and Runge-Kutta."""

import pytest
import torch
import torchdiffeq
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hybridtwin.physiology.body import CASCADE, DRIVEN, INPUTS, ORGANS, rates_of_emptying
from hybridtwin.physiology.cascade import Cascade, advance, between, transition
from hybridtwin.physiology.sensor import interstitial_after, interstitial_rate
from hybridtwin.physiology.steady import resting_gain
from hybridtwin.physiology.warmup import driven_now
from hybridtwin.solver import STAGES, rk4_step
from hybridtwin.units import STEP_MIN
from tests.hybridtwin.bodies import PRECISE, anyone, anything, seeds

ROUTING, ENTRY = CASCADE.routing.to(PRECISE), CASCADE.entry.to(PRECISE)


@pytest.mark.parametrize("organ", ORGANS)
def test_an_outflow_goes_to_one_place_or_leaves(organ: Cascade) -> None:
    follows = {flow.target for flow in organ.flows if flow.follows}
    carries = [row for row, name in enumerate(organ.compartments) if name not in follows]
    passed = {flow.source for flow in organ.flows if not flow.follows}
    kept = organ.routing[carries].sum(0)
    for column in carries:
        name = organ.compartments[column]
        assert kept[column] == (0 if name in passed else -1), name


def filling(seed: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Rates of emptying, contents, and what a minute brings; (n, B) each."""
    g = torch.Generator().manual_seed(seed)
    amounts = torch.rand(len(INPUTS), count, generator=g, dtype=PRECISE)
    content = torch.rand(len(DRIVEN), count, generator=g, dtype=PRECISE)
    return rates_of_emptying(anyone(count, seed)), content, ENTRY @ amounts


def exactly(rates: Tensor, content: Tensor, per_min: Tensor, minutes: float) -> Tensor:
    """What x' = routing (rates x) + per_min leads to, by the exponential of a larger matrix."""
    n, count = content.shape
    matrix = torch.zeros(count, n + 1, n + 1, dtype=PRECISE)
    matrix[:, :n, :n] = ROUTING * rates.T.unsqueeze(1)
    matrix[:, :n, n] = per_min.T
    start = torch.cat([content.T, torch.ones(count, 1, dtype=PRECISE)], dim=1)
    after = torch.linalg.matrix_exp(minutes * matrix) @ start.unsqueeze(-1)
    return after[:, :n, 0].T


@given(seeds)
@settings(max_examples=10, deadline=None)
def test_a_step_of_the_cascade_is_the_matrix_exponential(seed: int) -> None:
    rates, content, per_min = filling(seed, 16)
    step = advance(content, rates * STEP_MIN, per_min * STEP_MIN, ROUTING)
    torch.testing.assert_close(
        step, exactly(rates, content, per_min, STEP_MIN), rtol=0.01, atol=0.01
    )
    minute = advance(content, rates, per_min, ROUTING)
    torch.testing.assert_close(minute, exactly(rates, content, per_min, 1), rtol=1e-5, atol=1e-5)


@given(seeds, st.sampled_from(STAGES))
@settings(max_examples=10, deadline=None)
def test_within_a_step_the_cascade_is_the_matrix_exponential(seed: int, share: float) -> None:
    rates, content, per_min = filling(seed, 16)
    end = exactly(rates, content, per_min, STEP_MIN)
    slopes = [STEP_MIN * (per_min + ROUTING @ (rates * one)) for one in (content, end)]
    torch.testing.assert_close(
        between(content, end, *slopes, share),
        exactly(rates, content, per_min, share * STEP_MIN),
        rtol=0.005,
        atol=0.005,
    )


def test_the_cascades_error_falls_with_the_fifth_power_of_a_step() -> None:
    rates, content, per_min = filling(1, 16)

    def error(minutes: float) -> float:
        step = advance(content, rates * minutes, per_min * minutes, ROUTING)
        return float((step - exactly(rates, content, per_min, minutes)).abs().max())

    assert error(1.0) / error(0.5) == pytest.approx(2**5, rel=0.1)


@given(seeds)
@settings(max_examples=10, deadline=None)
def test_the_step_as_matrices_is_the_step(seed: int) -> None:
    rates, content, per_min = filling(seed, 8)
    phi, gamma = transition(rates.T * STEP_MIN, ROUTING)
    filled = (STEP_MIN * per_min).T.unsqueeze(-1)
    matrices = (phi @ content.T.unsqueeze(-1) + gamma @ filled).squeeze(-1).T
    step = advance(content, rates * STEP_MIN, per_min * STEP_MIN, ROUTING)
    torch.testing.assert_close(matrices, step, rtol=1e-12, atol=1e-12)


@given(seeds, st.sampled_from([1, 2, 64]), st.booleans())
@settings(max_examples=10, deadline=None)
def test_the_warm_up_is_every_step_of_the_past(seed: int, steps: int, shared: bool) -> None:
    """Summed pairwise against step by step, of windows of their own people or of shared ones."""
    windows = 6
    past = anything(windows, steps, seed).amounts_per_min
    rest = past.mean(0)
    person = torch.tensor([1, 0, 1, 1, 0, 0]) if shared else torch.arange(windows)
    people = anyone(int(person.max()) + 1, seed)
    now = driven_now(past.permute(2, 0, 1), rest.T, people, person if shared else None)

    rates = rates_of_emptying(people)
    gain = resting_gain(CASCADE, rates.T)
    content = (gain[person] @ rest.T.unsqueeze(-1)).squeeze(-1).T
    for amounts in past:
        content = advance(
            content, STEP_MIN * rates[:, person], STEP_MIN * (ENTRY @ amounts), ROUTING
        )
    torch.testing.assert_close(now, content, rtol=1e-9, atol=1e-9)


@given(seeds)
@settings(max_examples=10, deadline=None)
def test_what_inputs_hold_at_rest_does_not_change(seed: int) -> None:
    people, amounts = anyone(8, seed), anything(8, 1, seed).amounts_per_min[0]
    rates = rates_of_emptying(people)
    held = (resting_gain(CASCADE, rates.T) @ amounts.T.unsqueeze(-1)).squeeze(-1).T
    step = advance(held, rates * STEP_MIN, STEP_MIN * (ENTRY @ amounts), ROUTING)
    torch.testing.assert_close(step, held, rtol=1e-9, atol=1e-9)


glucose = st.floats(20, 600)


@given(glucose, glucose, glucose, st.floats(-20, 20), st.floats(2, 20))
@settings(max_examples=20, deadline=None)
def test_the_sensor_follows_plasma_along_a_parabola(
    sensor: float, before: float, after: float, slope: float, delay_min: float
) -> None:
    numbers = torch.tensor([sensor, before, after, slope, delay_min], dtype=PRECISE)
    start, begin, end, slope_begin, delay = numbers

    def field(t: Tensor, y: Tensor) -> Tensor:
        share = t / STEP_MIN
        plasma = begin + slope_begin * share + (end - begin - slope_begin) * share**2
        return interstitial_rate(y, plasma, delay.reciprocal())

    span = torch.tensor([0.0, STEP_MIN], dtype=PRECISE)
    solved = torchdiffeq.odeint(field, start, span, method="dopri5", rtol=1e-9, atol=1e-9)[-1]
    stepped = interstitial_after(start, begin, end, slope_begin, STEP_MIN / delay)
    torch.testing.assert_close(stepped, solved, rtol=1e-6, atol=1e-6)


def pendulum(_: float, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    angle, speed = state
    return speed, -torch.sin(angle)


def test_the_step_of_runge_and_kutta_is_torchdiffeqs() -> None:
    start = (torch.tensor([1.0], dtype=PRECISE), torch.tensor([0.5], dtype=PRECISE))
    ours, _ = rk4_step(pendulum, start, 0.4)
    theirs = torchdiffeq.odeint(
        lambda t, y: pendulum(float(t), y),
        start,
        torch.tensor([0.0, 0.4], dtype=PRECISE),
        method="rk4",
    )
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b[-1], rtol=1e-12, atol=1e-12)


def test_it_solves_exponential_decay_to_fourth_order() -> None:
    def decay(_: float, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (-0.1 * state[0],)

    def error(count: int) -> float:
        state: tuple[Tensor, ...] = (torch.ones(1, dtype=PRECISE),)
        for _ in range(count):
            state, _ = rk4_step(decay, state, 40 / count)
        return float((state[0] - torch.exp(torch.tensor(-4.0, dtype=PRECISE))).abs())

    assert error(8) / error(16) == pytest.approx(2**4, rel=0.3)
