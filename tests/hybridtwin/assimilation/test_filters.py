"""Both filters against the exact Kalman filter, and what must hold for any stream of readings."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hybridtwin.assimilation.filters import (
    FILTERS,
    Chance,
    Ensemble,
    Kinds,
    Reading,
)
from hybridtwin.assimilation.settings import FilterSettings
from hybridtwin.resampling import systematic
from hybridtwin.units import GLUCOSE_MAX_MG_DL, GLUCOSE_MIN_MG_DL

PRECISE = torch.float64
BOTH = pytest.mark.parametrize("kind", FILTERS)
PLAIN = FilterSettings(outlier_sd=1e6, discount=1)
"""Bayes' rule alone: nothing rejuvenated or taken for an outlier."""
ALL = slice(None)


def chance(members: int, seed: int = 0) -> Chance:
    g = torch.Generator().manual_seed(seed)
    return Chance(
        torch.rand((), generator=g, dtype=PRECISE),
        torch.randn(members, members, generator=g, dtype=PRECISE),
    )


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=PRECISE)


def kinds(size: int, slow: int = 0) -> Kinds:
    return Kinds(size, slice(size - slow, size))


def covariance(ensemble: Ensemble) -> Tensor:
    """(N, D, D), of equally likely members as an unbiased estimate."""
    count = ensemble.members.shape[1]
    off = ensemble.members - ensemble.members.mean(1, keepdim=True)
    return off.transpose(1, 2) @ off / (count - 1)


def exact(mean: Tensor, p: Tensor, h: Tensor, value: float, sd: float) -> tuple[Tensor, Tensor]:
    """Kalman's own update of a mean (D,) and covariance (D, D) by a reading of h (D,)."""
    gain = p @ h / (h @ p @ h + sd**2)
    return mean + gain * (value - h @ mean), p - torch.outer(gain, h @ p)


def walked(members: int, how: str, seed: int = 0) -> tuple[Ensemble, Tensor, Tensor]:
    """Six readings of a turning state of three numbers with noise: by a filter, and exactly."""
    step = torch.tensor([[0.9, 0.2, 0.0], [-0.2, 0.9, 0.1], [0.0, 0.0, 1.0]], dtype=PRECISE)
    h = torch.tensor([1.0, 0.0, 0.5], dtype=PRECISE)
    noise = torch.tensor([0.3, 0.1, 0.2], dtype=PRECISE)
    root = torch.tensor([[2.0, 0, 0], [1, 1, 0], [0.5, -0.5, 1]], dtype=PRECISE)
    ensemble = Ensemble.equal(normal(1, members, 3, seed=seed) @ root.T + 1.0)
    mean, p = ensemble.members[0].mean(0), covariance(ensemble)[0]
    for k, value in enumerate((0.5, 2.0, -1.0, 0.0, 1.5, 3.0)):
        ensemble = replace(ensemble, members=ensemble.members @ step.T)
        ensemble = FILTERS[how].spread(ensemble, noise, chance(members, seed + k))
        mean, p = step @ mean, step @ p @ step.T + noise.square().diag()
        reading = Reading(
            ensemble.members @ h,
            torch.tensor([value], dtype=PRECISE),
            torch.tensor([0.8], dtype=PRECISE),
        )
        ensemble = FILTERS[how].correct(
            ensemble, reading, kinds(3), PLAIN, chance(members, seed + k)
        )
        mean, p = exact(mean, p, h, value, 0.8)
    return ensemble, mean, p


@pytest.mark.parametrize("members", [5, 32])
def test_the_ensemble_kalman_filter_is_exact_where_all_is_linear(members: int) -> None:
    ensemble, mean, p = walked(members, "ensemble-kalman")
    # What is added so that coordinates can be told apart, and the design's single precision.
    torch.testing.assert_close(ensemble.mean()[0], mean, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(covariance(ensemble)[0], p, rtol=2e-4, atol=2e-4)


def test_the_particle_filter_tends_to_the_exact_one() -> None:
    count = 2000
    shrunk = FilterSettings(outlier_sd=1e6, resample_below=0)  # weights alone
    ensemble = Ensemble.equal(normal(1, count, 2))
    mean, p = ensemble.members[0].mean(0), covariance(ensemble)[0]
    h = torch.tensor([1.0, 0.5], dtype=PRECISE)
    for value in (0.5, 1.0):
        reading = Reading(
            ensemble.members @ h,
            torch.tensor([value], dtype=PRECISE),
            torch.tensor([1.0], dtype=PRECISE),
        )
        ensemble = FILTERS["particle"].correct(ensemble, reading, kinds(2), shrunk, chance(count))
        mean, p = exact(mean, p, h, value, 1.0)
    weights = ensemble.log_weights.exp()[0]
    off = ensemble.members[0] - ensemble.mean()[0]
    effective = float(1 / weights.square().sum())
    assert (ensemble.mean()[0] - mean).abs().max() < 4 * float(p.max() / effective) ** 0.5
    found = (weights.unsqueeze(-1) * off).T @ off
    assert (found - p).abs().max() < 4 * float(p.max()) * (2 / effective) ** 0.5


def test_liu_and_wests_kernel_keeps_mean_and_covariance() -> None:
    """Of weighted members, on average over many draws."""
    people, members = 2000, 16
    one, log_weights = normal(1, members, 2), normal(1, members, seed=1).log_softmax(1)
    ensemble = Ensemble(one.expand(people, -1, -1), log_weights.expand(people, -1))
    says_nothing = Reading(
        ensemble.members[..., 0],
        torch.zeros(people, dtype=PRECISE),
        torch.full((people,), 1e9, dtype=PRECISE),
    )
    always = FilterSettings(resample_below=1.0, discount=0.9)
    g = torch.Generator().manual_seed(0)
    draws = Chance(  # everyone's own
        torch.rand(people, generator=g, dtype=PRECISE),
        torch.randn(people, members, members, generator=g, dtype=PRECISE),
    )
    after = FILTERS["particle"].correct(ensemble, says_nothing, kinds(2, slow=2), always, draws)
    weights, mean = log_weights.exp()[0], ensemble.mean()[0]
    exactly = (weights.unsqueeze(-1) * (one[0] - mean)).T @ (one[0] - mean)
    off = after.members - mean
    sampling = 4 * float(exactly.max() / (people * members)) ** 0.5
    assert (off.mean((0, 1))).abs().max() < 2 * sampling
    spread = (off.transpose(1, 2) @ off / members).mean(0)
    torch.testing.assert_close(spread, exactly, rtol=0, atol=0.05)


@given(st.integers(0, 2**31), st.integers(2, 40))
@settings(deadline=None, max_examples=30)
def test_systematic_resampling_takes_each_as_often_as_it_weighs(seed: int, members: int) -> None:
    weights = (2 * normal(3, members, seed=seed)).softmax(1)
    index = systematic(weights, chance(1, seed).uniform.expand(3))
    for row, chosen in zip(weights, index, strict=True):
        taken = torch.bincount(chosen, minlength=members)
        assert (taken - members * row).abs().max() < 1 + 1e-9


def admissible() -> st.SearchStrategy[list[float]]:
    value = st.one_of(st.just(float("nan")), st.floats(GLUCOSE_MIN_MG_DL, GLUCOSE_MAX_MG_DL))
    return st.lists(value, min_size=1, max_size=40)


@BOTH
@given(admissible(), st.floats(0.5, 30), st.floats(0, 60), st.integers(0, 2**31))
@settings(deadline=None, max_examples=60)
def test_any_stream_leaves_all_finite(
    kind: str, stream: list[float], sd: float, spread: float, seed: int
) -> None:
    members, size = 8, 5
    layout = kinds(size, slow=2)
    ensemble = Ensemble.equal(spread * normal(2, members, size, seed=seed).float() + 140)
    config = FilterSettings()
    for k, value in enumerate(stream):
        draws = chance(members, seed + k)
        reading = Reading(
            ensemble.members[..., 0],
            torch.tensor([value, 120.0]),
            torch.full((2,), sd),
        )
        draws = Chance(draws.uniform.float(), draws.normal.float())
        ensemble = FILTERS[kind].correct(ensemble, reading, layout, config, draws)
    assert ensemble.members.isfinite().all()
    assert ensemble.log_weights.exp().isfinite().all()
    torch.testing.assert_close(ensemble.log_weights.exp().sum(1), torch.ones(2))
    assert (covariance(ensemble).diagonal(dim1=1, dim2=2) >= 0).all()


@BOTH
@given(st.integers(0, 2**31), st.floats(40, 400))
@settings(deadline=None, max_examples=40)
def test_the_order_of_members_does_not_matter(kind: str, seed: int, value: float) -> None:
    members, size = 10, 4
    start = 20 * normal(1, members, size, seed=seed) + 140
    weights = normal(1, members, seed=seed + 1).log_softmax(1)
    if kind == "ensemble-kalman":
        weights = Ensemble.equal(start).log_weights
    order = torch.randperm(members, generator=torch.Generator().manual_seed(seed))
    after = []
    for index in (torch.arange(members), order):
        ensemble = Ensemble(start[:, index], weights[:, index])
        reading = Reading(
            ensemble.members[..., 0],
            torch.tensor([value], dtype=PRECISE),
            torch.tensor([10.0], dtype=PRECISE),
        )
        after.append(
            FILTERS[kind].correct(
                ensemble, reading, kinds(size, 2), FilterSettings(), chance(members, seed)
            )
        )
    sorted_members = [one.members[0][one.members[0, :, 0].argsort(stable=True)] for one in after]
    torch.testing.assert_close(after[0].mean(), after[1].mean())
    torch.testing.assert_close(sorted_members[0][:, 0], sorted_members[1][:, 0])


@BOTH
def test_without_a_reading_nothing_changes(kind: str) -> None:
    ensemble = Ensemble(20 * normal(2, 6, 3) + 140, normal(2, 6, seed=1).log_softmax(1))
    reading = Reading(
        ensemble.members[..., 0],
        torch.tensor([float("nan"), 180.0], dtype=PRECISE),
        torch.full((2,), 5.0, dtype=PRECISE),
    )
    after = FILTERS[kind].correct(ensemble, reading, kinds(3, 1), FilterSettings(), chance(6))
    assert torch.equal(after.members[0], ensemble.members[0])
    assert torch.equal(after.log_weights[0], ensemble.log_weights[0])
    assert not torch.equal(after.mean()[1], ensemble.mean()[1])


@BOTH
def test_people_do_not_see_one_another(kind: str) -> None:
    ensemble = Ensemble.equal(20 * normal(3, 8, 4) + 140)
    values = torch.tensor([90.0, 180.0, 250.0], dtype=PRECISE)
    sd, draws = torch.full((3,), 5.0, dtype=PRECISE), chance(8)

    def one(rows: slice) -> Tensor:
        part = Ensemble(ensemble.members[rows], ensemble.log_weights[rows])
        reading = Reading(part.members[..., 0], values[rows], sd[rows])
        return FILTERS[kind].correct(part, reading, kinds(4, 1), FilterSettings(), draws).mean()

    alone = torch.cat([one(slice(k, k + 1)) for k in range(3)])
    torch.testing.assert_close(one(ALL), alone)


def test_a_far_off_reading_moves_little_more_than_a_surprising_one() -> None:
    ensemble = Ensemble.equal(10 * normal(1, 32, 3) + 140)
    means = []
    for value in (190.0, 600.0):
        reading = Reading(
            ensemble.members[..., 0],
            torch.tensor([value], dtype=PRECISE),
            torch.tensor([5.0], dtype=PRECISE),
        )
        after = FILTERS["ensemble-kalman"].correct(
            ensemble, reading, kinds(3), FilterSettings(), chance(32)
        )
        means.append(float(after.mean()[0, 0]))
    assert abs(means[1] - 140) < abs(means[0] - 140)


@BOTH
def test_a_step_adds_its_noise_and_no_more(kind: str) -> None:
    """To what is filtered; what follows keeps its regression on it, and gains no spread."""
    members = 4000 if kind == "particle" else 12
    root = torch.tensor([[2.0, 0, 0, 1], [0, 1, 0, 3], [0, 0, 0.5, 0]], dtype=PRECISE)
    start = Ensemble.equal(normal(2, members, 3) @ root + 5.0)
    sd = torch.tensor([0.5, 2.0, 1.0], dtype=PRECISE)
    after = FILTERS[kind].spread(start, sd, chance(members, seed=1))
    expected = covariance(start)
    expected[:, range(3), range(3)] += sd.square()
    # Sampling error of a covariance among so many, and none where nothing is left to chance.
    near = 6 * float(expected.max()) / members**0.5 if kind == "particle" else 1e-3
    torch.testing.assert_close(after.mean(), start.mean(), rtol=0, atol=near)
    found = covariance(after)
    torch.testing.assert_close(found[:, :3, :3], expected[:, :3, :3], rtol=0, atol=near)
    torch.testing.assert_close(found[:, :3, 3], expected[:, :3, 3], rtol=0, atol=near)
    assert (found[:, 3, 3] <= expected[:, 3, 3] + near).all()


def test_coordinates_that_move_as_one_are_redrawn_so() -> None:
    one = normal(1, 12, 1)
    same = Ensemble.equal(torch.cat([one, 3 * one, torch.zeros(1, 12, 1).double()], dim=-1))
    after = FILTERS["ensemble-kalman"].spread(same, torch.zeros(3, dtype=PRECISE), chance(12))
    first, second, constant = after.members[0].T
    torch.testing.assert_close(3 * (first - one.mean()), second - 3 * one.mean(), rtol=0, atol=0.1)
    assert constant.abs().max() < 1e-6
