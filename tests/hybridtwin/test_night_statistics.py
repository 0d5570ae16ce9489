"""Night statistics: closed forms of the pool, and what a review says with and without them."""

import math

import lightgbm
import numpy as np
import pytest
import torch

from hybridtwin.night_statistics import NightStatistics, evening, log_odds


def constant(probability: float) -> lightgbm.Booster:
    """A forest that says the same of all: the rate of its labels, where no split is worth it."""
    labels = np.zeros(1000)
    labels[: round(1000 * probability)] = 1
    data = lightgbm.Dataset(np.zeros((1000, 3)), labels)
    settings = {"objective": "binary", "verbose": -1, "num_threads": 1}
    return lightgbm.train(settings, data, 1)


@pytest.mark.parametrize(("rate", "share"), [(0.1, 0.3), (0.5, 0.5), (0.2, 0.2)])
def test_the_pool_is_the_mean_of_log_odds(rate: float, share: float) -> None:
    said = NightStatistics(constant(rate), 1.0, 0.0).probability(
        torch.zeros(1, 3), torch.tensor([share])
    )
    odds = (math.log(rate / (1 - rate)) + math.log(share / (1 - share))) / 2
    assert float(said) == pytest.approx(1 / (1 + math.exp(-odds)), rel=1e-3)


def test_shares_of_none_and_of_all_paths_stay_finite_and_opposite() -> None:
    none, half, all_ = log_odds(torch.tensor([0.0, 0.5, 1.0])).tolist()
    assert none == pytest.approx(-math.log(399), rel=1e-4)
    assert half == pytest.approx(0, abs=1e-6)
    assert all_ == pytest.approx(-none, rel=1e-4)


def test_more_paths_with_a_low_never_make_it_less_likely() -> None:
    statistics = NightStatistics(constant(0.1), 0.7, -0.4)
    said = statistics.probability(torch.zeros(201, 3), torch.linspace(0, 1, 201))
    assert (said.diff() >= 0).all()
    assert said[0] < 0.1 < said[-1]


def test_they_are_the_same_after_a_round_trip() -> None:
    before = NightStatistics(constant(0.3), 0.7, -0.4)
    after = NightStatistics.from_text(before.as_text())
    table, share = torch.randn(5, 3), torch.rand(5)
    assert torch.equal(before.probability(table, share), after.probability(table, share))


def test_the_evening_is_its_history_and_the_time_to_midnight() -> None:
    table = evening(torch.ones(2, 4), torch.tensor([30, 180]))
    assert table.shape == (2, 5)
    assert table[:, -1].tolist() == [30, 180]
