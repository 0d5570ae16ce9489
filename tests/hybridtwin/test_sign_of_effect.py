"""More planned insulin never raises, more planned carbohydrate never lowers, mean glucose."""

from dataclasses import replace

import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridtwin.belief import Belief
from hybridtwin.events import Dose, InsulinKind, Meal, Profile
from hybridtwin.hybrid import People, Present
from hybridtwin.inputs import Future
from hybridtwin.neural.features import FEATURES
from hybridtwin.neural.spread import KNOTS_MIN
from hybridtwin.output_statistics import Correction
from hybridtwin.physiology.body import COMPARTMENTS, INPUTS
from hybridtwin.physiology.parameters import PARAMETERS
from hybridtwin.plan import Plan, plan_timeline
from hybridtwin.registry import load_twin, untrained_twin
from hybridtwin.timeline import LONG_ACTING
from hybridtwin.trust import Trust
from hybridtwin.twin import Twin

HORIZON_STEPS = 48
BELIEFS = 64
TOLERANCE_MG_DL = 1e-2  # float32 sums over 4 h; a true sign error is far larger


def boisterous_twin() -> Twin:
    """Random weights, ten times larger than at the start of training."""
    twin = untrained_twin(seed=7)
    with torch.no_grad():
        for name, weight in twin.model.residual.named_parameters():
            if name != "log_rate_per_min":
                weight.copy_(torch.randn_like(weight))
    return twin


@pytest.fixture(scope="module", params=["shipped", "random"])
def twin(request: pytest.FixtureRequest) -> Twin:
    return load_twin() if request.param == "shipped" else boisterous_twin()


LARGEST = {
    **dict.fromkeys(LONG_ACTING, 30.0),
    **dict.fromkeys(("hexamer_u", "depot_1_u", "depot_2_u"), 8.0),
    **dict.fromkeys(("plasma_insulin_u", "uptake_effect_u", "liver_effect_u"), 1.5),
    **dict.fromkeys((name for name in COMPARTMENTS if name.endswith("_g")), 60.0),
    **dict.fromkeys((name for name in COMPARTMENTS if name.endswith("_ug")), 100.0),
    **dict.fromkeys(("exertion", "recovery_1", "recovery_2", "sprint_1", "sprint_2"), 1.0),
    "plasma_mg_kg": 700.0,
    "tissue_mg_kg": 600.0,
    "glucagon_pg_ml": 50.0,
    "adrenaline": 0.5,
    "interstitial_mg_dl": 380.0,
    "low_memory": 0.2,
}
"""Compartments far from rest; without insulin of their own, as in type 1 diabetes."""
INSULIN = tuple(name for name in INPUTS if name.endswith("_u"))
CARBS = tuple(name for name in INPUTS if name.endswith("carbs_g"))


def random_present(twin: Twin, count: int, seed: int) -> Present:
    """Beliefs far wider than any encoder gives: bodies, parameters, latent states, people."""
    g = torch.Generator().manual_seed(seed)
    shape = twin.config.shape
    upper = torch.tensor([LARGEST.get(name, 0.0) for name in COMPARTMENTS])
    body = torch.rand(len(COMPARTMENTS), count, generator=g) * upper.unsqueeze(-1)
    for name in ("plasma_mg_kg", "tissue_mg_kg", "interstitial_mg_dl"):
        body[COMPARTMENTS.index(name)] += 40
    return Present(
        body=body,
        latent=2 * torch.rand(count, shape.latent, generator=g) - 1,
        context=2 * torch.rand(count, shape.context, generator=g) - 1,
        people=People(
            embedding=torch.randn(count, shape.embedding, generator=g),
            scores=1.5 * torch.randn(count, len(PARAMETERS), generator=g),
            weight_kg=15 + 100 * torch.rand(count, generator=g),
            beta_cells=torch.zeros(count),
        ),
        read=torch.zeros(count, FEATURES),
    )


def random_future(count: int, seed: int) -> Future:
    g = torch.Generator().manual_seed(seed)
    amounts = torch.zeros(HORIZON_STEPS, len(INPUTS), count)

    def sparse(scale: float) -> torch.Tensor:
        hit = torch.rand(HORIZON_STEPS, count, generator=g) < 0.05
        return scale * hit * torch.rand(HORIZON_STEPS, count, generator=g)

    usual = {"bolus_u": 1.0, "nph_u": 2.0, "carbs_g": 10.0, "fat_g": 5.0, "protein_g": 5.0}
    for name, scale in usual.items():
        amounts[:, INPUTS.index(name)] = sparse(scale)
    amounts[:, INPUTS.index("bolus_u")] += 0.03 * torch.rand(1, count, generator=g)
    amounts[:, INPUTS.index("exertion")] = torch.rand(HORIZON_STEPS, count, generator=g)
    start = 1440 * torch.rand(count, generator=g)
    return Future(
        amounts_per_min=amounts,
        modulators=torch.rand(HORIZON_STEPS, 4, count, generator=g),
        minute_of_day=(start + 5 * torch.arange(HORIZON_STEPS).unsqueeze(-1)) % 1440,
        is_open=(torch.rand(count, generator=g) < 0.5).float(),
    )


def means(twin: Twin, present: Present, future: Future) -> torch.Tensor:
    with torch.inference_mode():
        return twin.model.roll(present, future).mean(1)


@given(
    seed=st.integers(0, 2**31),
    step=st.integers(0, HORIZON_STEPS - 1),
    units=st.floats(0.05, 30),
    grams=st.floats(1, 150),
)
@settings(max_examples=10, deadline=None)
def test_sign_over_640_random_beliefs_parameters_and_plans(
    twin: Twin, seed: int, step: int, units: float, grams: float
) -> None:
    present, future = random_present(twin, BELIEFS, seed), random_future(BELIEFS, seed + 1)
    usual = means(twin, present, future)
    assert torch.isfinite(usual).all()

    def change(name: str, amount_per_min: float) -> torch.Tensor:
        amounts = future.amounts_per_min.clone()
        amounts[step, INPUTS.index(name)] += amount_per_min
        return means(twin, present, replace(future, amounts_per_min=amounts)) - usual

    for name in INSULIN:
        assert change(name, units / 5).max() <= TOLERANCE_MG_DL, name
    for name in CARBS:
        assert change(name, grams / 5).min() >= -TOLERANCE_MG_DL, name


NOW = pd.Timestamp("2026-03-01T18:02", tz="UTC")


def random_correction(seed: int) -> Correction:
    """Far larger than any that was learnt."""
    generator = torch.Generator().manual_seed(seed)
    shift = 80 * torch.randn(1, len(KNOTS_MIN), generator=generator)
    return Correction(shift, 0.4 + 2 * torch.rand(shift.shape, generator=generator))


def random_belief(twin: Twin, seed: int, members: int = 4) -> Belief:
    return Belief(
        time=NOW.floor("5min"),
        now=NOW,
        timeline=plan_timeline([], Profile(), NOW.floor("5min"), 1),
        profile=Profile(participant="random", time_zone="Europe/London"),
        present=random_present(twin, members, seed),
        usual_basal_u_min=torch.full((members,), 0.015),
        predictors=torch.zeros(1, 0),
        correction=random_correction(seed),
        since=Plan(),
        last_reading_mg_dl=150.0,
        last_reading_time=NOW,
        trust=Trust(level="full"),
    )


minutes = st.integers(0, 200)


@given(
    seed=st.integers(0, 2**31),
    at=minutes,
    later=minutes,
    units=st.floats(0.1, 20),
    grams=st.floats(1, 120),
    kind=st.sampled_from(InsulinKind),
    duration=st.integers(0, 180),
    mode=st.sampled_from(["open", "complete"]),
)
@settings(max_examples=15, deadline=None)
def test_the_sign_holds_for_every_sampled_path_of_planned_events(
    twin: Twin,
    seed: int,
    at: int,
    later: int,
    units: float,
    grams: float,
    kind: InsulinKind,
    duration: int,
    mode: str,
) -> None:
    def when(minute: int) -> pd.Timestamp:
        return NOW + pd.Timedelta(minutes=minute)

    meal = Meal(time=when(later), carbs_g=30)
    bolus = Dose(time=when(at), kind=kind, dose_u=units, duration_min=duration)
    more = Meal(time=when(at), carbs_g=grams)
    usual, insulin, carbs = twin.forecasts(
        random_belief(twin, seed),
        [
            Plan(name="usual", mode=mode, meals=[meal]),
            Plan(name="insulin", mode=mode, meals=[meal], insulin=[bolus]),
            Plan(name="carbs", mode=mode, meals=[meal, more]),
        ],
        horizon_min=240,
    )
    for kept, moved, sign in ((usual, insulin, -1), (usual, carbs, 1)):
        change = sign * (moved.paths_mg_dl - kept.paths_mg_dl).mean(1)
        assert change.min() >= -TOLERANCE_MG_DL
