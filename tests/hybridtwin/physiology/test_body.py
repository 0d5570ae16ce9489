"""The body conserves mass, rests where it should, and keeps the sign of every dose."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hybridtwin.physiology.body import COMPARTMENTS, DRIVEN, Drivers, body_rates
from hybridtwin.physiology.glucose import GLUCOSE_VOLUME_DL_KG, tissue_at_rest
from hybridtwin.physiology.insulin import InsulinState, insulin_rates
from hybridtwin.physiology.parameters import (
    INSULIN_VOLUME_L_KG,
    PARAMETERS,
    BodyParameters,
    values,
)
from hybridtwin.physiology.warmup import driven_state, transition
from hybridtwin.solver import integrate
from hybridtwin.units import STEP_MIN

scores = st.lists(st.floats(-3, 3), min_size=len(PARAMETERS), max_size=len(PARAMETERS)).map(
    lambda row: torch.tensor([row], dtype=torch.float64)
)


def person(row: Tensor, weight_kg: float = 70.0) -> BodyParameters:
    return values(row, torch.full((1,), weight_kg, dtype=row.dtype))


def drivers(rapid: float = 0.0, long: float = 0.0, carbs: float = 0.0) -> Drivers:
    def constant(value: float) -> Tensor:
        return torch.full((1,), value, dtype=torch.float64)

    return Drivers(constant(rapid), constant(long), constant(carbs), constant(0.0), constant(1.0))


def resting(p: BodyParameters, glucose_mg_dl: float = 120.0) -> Tensor:
    _, _, rest = transition(p)
    plasma = torch.full((1,), GLUCOSE_VOLUME_DL_KG * glucose_mg_dl, dtype=torch.float64)
    sensor = torch.full((1,), glucose_mg_dl, dtype=torch.float64)
    tissue = tissue_at_rest(plasma, rest[:, 5], p)
    return torch.cat([rest.T, torch.stack([0 * plasma, plasma, tissue, sensor])])


def test_parameter_bounds_hold_the_median() -> None:
    for parameter in PARAMETERS:
        assert parameter.low < parameter.median < parameter.high, parameter.name


@given(scores)
def test_values_stay_within_their_bounds(row: Tensor) -> None:
    p = person(row * 5)
    for parameter in PARAMETERS:
        value = float(getattr(p, parameter.name))
        assert parameter.low * (1 - 1e-6) <= value <= parameter.high * (1 + 1e-6)


@given(scores, st.floats(0.1, 30))
@settings(max_examples=10, deadline=None)
def test_every_unit_of_insulin_is_in_the_body_or_cleared(row: Tensor, dose: float) -> None:
    p = person(row)
    zero = torch.zeros(1, dtype=torch.float64)
    start = torch.stack([*InsulinState(*[zero] * 7)])
    start[0] = dose

    def field(_: int, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        amounts, _ = state
        rates = insulin_rates(InsulinState(*amounts), zero, zero, p)
        volume_l = INSULIN_VOLUME_L_KG * p.weight_kg
        return torch.stack([*rates]), p.insulin_clearance_per_min * amounts[4] * volume_l / 1000

    end = integrate(field, (start, zero), 150, STEP_MIN)[-1]
    in_body = end[0][:4].sum() + end[0][4] * INSULIN_VOLUME_L_KG * p.weight_kg / 1000
    assert float(end[1] + in_body) == pytest.approx(dose, rel=1e-6)
    assert 0 < float(end[1]) <= dose


@given(scores, st.floats(1, 120))
@settings(max_examples=8, deadline=None)
def test_carbohydrate_is_conserved_to_its_availability(row: Tensor, carbs_g: float) -> None:
    p = person(row)
    phi, gamma, rest = transition(p)
    inputs = torch.zeros(1, 1024, 3, dtype=torch.float64)
    inputs[0, 0, 2] = carbs_g / STEP_MIN
    absorbed = 0.0
    state = torch.zeros_like(rest)
    for k in range(600):
        before = state[0, 7:].sum()
        state = driven_state(phi, gamma, state, inputs[:, k : k + 1])
        eaten = float(p.carb_availability) * carbs_g if k == 0 else 0.0
        absorbed += float(before + eaten - state[0, 7:].sum())
    assert absorbed == pytest.approx(float(p.carb_availability) * carbs_g, rel=1e-3)
    assert float(state[0, 7:].min()) >= -1e-9


@given(scores)
@settings(max_examples=25, deadline=None)
def test_the_resting_state_is_steady_under_the_basal_need(row: Tensor) -> None:
    p = person(row)
    state = resting(p)
    rates = body_rates(state, drivers(rapid=float(p.basal_need_u_h) / 60), p, None)
    assert rates[:DRIVEN].abs().max() < 1e-9
    assert rates[11].abs() < 1e-9, "tissue"
    assert rates[12].abs() < 1e-9, "sensor"


@given(scores, st.floats(60, 300))
@settings(max_examples=8, deadline=None)
def test_the_default_step_is_close_to_a_tight_adaptive_solve(row: Tensor, glucose: float) -> None:
    p = person(row / 3)
    state = resting(p, glucose)
    state[0] += 5.0
    state[7] += 50.0
    basal = drivers(rapid=float(p.basal_need_u_h) / 60)

    def field(_: int, body: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (body_rates(body[0], basal, p, None),)

    coarse = integrate(field, (state,), 24, STEP_MIN)
    tight = integrate(field, (state,), 24, STEP_MIN, "dopri5", tolerance=1e-7)
    gap = max(float((a[0][12] - b[0][12]).abs()) for a, b in zip(coarse, tight, strict=True))
    assert gap < 0.5


def test_the_unrolled_scheme_is_torchdiffeqs() -> None:
    p = person(torch.zeros(1, len(PARAMETERS), dtype=torch.float64))
    state = resting(p, 180.0)
    state[0] += 3.0
    fed = drivers(rapid=0.02, carbs=0.5)

    def field(_: int, body: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (body_rates(body[0], fed, p, None),)

    ours = integrate(field, (state,), 24, STEP_MIN)
    theirs = integrate(field, (state,), 24, STEP_MIN, "torchdiffeq-rk4")
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a[0], b[0], rtol=1e-10, atol=1e-10)


def test_rk4_solves_exponential_decay_to_fourth_order() -> None:
    def field(_: int, y: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (-0.1 * y[0],)

    start = (torch.ones(1, dtype=torch.float64),)
    exact = torch.exp(torch.tensor(-4.0, dtype=torch.float64))
    errors = []
    for count in (8, 16):
        end = integrate(field, start, count, 40 / count)[-1][0]
        errors.append(float((end - exact).abs()))
    assert errors[0] / errors[1] == pytest.approx(16, rel=0.3)


@given(scores)
@settings(max_examples=2, deadline=None)
def test_the_warm_up_equals_integrating_the_body(row: Tensor) -> None:
    """Pairwise sums of the linear compartments against the vector field, step by step."""
    p = person(row / 2)
    phi, gamma, rest = transition(p)
    generator = torch.Generator().manual_seed(1)
    inputs = torch.rand(1, 16, 3, generator=generator, dtype=torch.float64)
    inputs *= torch.tensor([0.1, 0.05, 1.0])
    summed = driven_state(phi, gamma, rest, inputs)
    state = torch.cat([rest.T, torch.ones(4, 1, dtype=torch.float64) * 100])

    def field(k: int, body: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        rapid, long, carbs = inputs[0, k].tolist()
        return (body_rates(body[0], drivers(rapid, long, carbs), p, None),)

    stepped = integrate(field, (state,), 16, STEP_MIN, "dopri5", tolerance=1e-8)[-1][0]
    torch.testing.assert_close(summed[0], stepped[:DRIVEN, 0], rtol=1e-5, atol=1e-6)


def test_compartments_are_named_once() -> None:
    assert len(set(COMPARTMENTS)) == len(COMPARTMENTS)


def test_one_unit_and_ten_grams_do_what_rules_of_thumb_say() -> None:
    """Median adult, 70 kg: about 1700/TDD = 40 mg/dL per U and 4 mg/dL per g.

    Walsh & Roberts 2006, Pumping Insulin: the 1700 rule at 42 U/day; half to twice is accepted,
    since glucose moves back while insulin still acts.
    """
    p = person(torch.zeros(1, len(PARAMETERS), dtype=torch.float64))
    basal = drivers(rapid=float(p.basal_need_u_h) / 60)

    def course(units: float, carbs_g: float) -> Tensor:
        state = resting(p, 150.0)
        state[0] += units
        state[7] += float(p.carb_availability) * carbs_g

        def field(_: int, body: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            return (body_rates(body[0], basal, p, None),)

        return torch.stack([s[0][12, 0] for s in integrate(field, (state,), 72, STEP_MIN)])

    usual = course(0, 0)
    assert 20 <= float((usual - course(1, 0)).max()) <= 60
    assert 20 <= float((course(0, 10) - usual).max()) <= 60
