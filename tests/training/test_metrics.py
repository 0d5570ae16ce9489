import math

import numpy as np
import pytest
import torch

from training.metrics import (
    ALL,
    MEAN,
    ROW,
    bootstrap_days,
    bootstrap_mean,
    crps,
    crps_of_samples,
    rows,
    scores,
)
from training.windows import Prediction, WindowRule, split_by_time

NORMAL = torch.distributions.Normal(torch.tensor(0.0), torch.tensor(1.0))


def _gaussian_crps(z: float) -> float:
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    below = 0.5 * (1 + math.erf(z / math.sqrt(2)))
    return z * (2 * below - 1) + 2 * density - 1 / math.sqrt(math.pi)


@pytest.mark.parametrize("z", [-2.0, 0.0, 0.7, 3.0])
def test_crps_of_gaussian_quantiles_is_the_closed_form(z):
    levels = torch.linspace(0.005, 0.995, 100)
    found = crps(torch.tensor([z]), NORMAL.icdf(levels)[None], levels)
    assert float(found) == pytest.approx(_gaussian_crps(z), abs=2e-3)


def test_crps_of_the_reports_levels_is_close_too():
    levels = torch.linspace(0.05, 0.95, 19)
    for z in (-1.0, 0.0, 1.5):
        found = crps(torch.tensor([z]), NORMAL.icdf(levels)[None], levels)
        assert float(found) == pytest.approx(_gaussian_crps(z), abs=0.02)


def test_crps_of_samples_is_the_definition():
    samples = torch.tensor([[3.0, 0.0, 1.0, 7.0]], dtype=torch.float64)
    target = torch.tensor([2.0], dtype=torch.float64)
    spread = (samples[:, :, None] - samples[:, None, :]).abs().mean()
    expected = (samples - target[:, None]).abs().mean() - spread / 2
    assert float(crps_of_samples(target, samples)) == pytest.approx(float(expected))


def test_crps_of_one_sample_is_the_absolute_error():
    found = crps_of_samples(torch.tensor([2.0]), torch.tensor([[5.0]]))
    assert float(found) == pytest.approx(3)


def test_scores_by_hand():
    target = torch.tensor([[100.0], [100.0], [torch.nan]])
    mean = torch.tensor([[103.0], [96.0], [100.0]])
    levels = torch.tensor([0.1, 0.5, 0.9])
    quantiles = mean[:, :, None] + torch.tensor([-3.5, 0.0, 3.5])
    found = scores(Prediction(mean, quantiles, levels), target)
    assert found["rmse"].nanmean().sqrt() == pytest.approx(math.sqrt(12.5))
    assert found["mae"].nanmean() == pytest.approx(3.5)
    assert found["me"].nanmean() == pytest.approx(-0.5)
    assert found["coverage_80"].nanmean() == pytest.approx(0.5)
    assert all(score[2].isnan().all() for score in found.values())


def test_coverage_reads_levels_between_the_stated_ones():
    levels = torch.linspace(0.0125, 0.9875, 40)
    target = torch.linspace(-3, 3, 2001)[:, None]
    weight = NORMAL.log_prob(target).exp()
    quantiles = NORMAL.icdf(levels).expand(len(target), 1, -1)
    inside = scores(Prediction(torch.zeros_like(target), quantiles, levels), target)["coverage_80"]
    assert float((inside * weight).sum() / weight.sum()) == pytest.approx(0.8, abs=0.01)


def test_without_quantiles_no_probabilistic_metric():
    assert set(scores(Prediction(torch.zeros(2, 1)), torch.ones(2, 1))) == {"rmse", "mae", "me"}


def test_bootstrap_over_people_covers_the_truth():
    generator = np.random.default_rng(0)
    hits = 0
    for _ in range(300):
        drawn = bootstrap_mean(generator.normal(5, 1, size=30), 400, generator)
        low, high = np.quantile(drawn, [0.025, 0.975])
        hits += low <= 5 <= high
    assert 0.89 <= hits / 300 <= 0.98


def test_day_blocks_widen_the_interval_of_windows_that_go_together():
    generator = np.random.default_rng(0)
    day = np.repeat(np.arange(20), 50)
    together = generator.normal(size=20)[day]
    apart = generator.normal(size=len(day))
    wide = bootstrap_days(together, day, 2000, generator).std()
    narrow = bootstrap_days(apart, day, 2000, generator).std()
    assert wide == pytest.approx(1 / math.sqrt(20), rel=0.35)
    assert narrow == pytest.approx(1 / math.sqrt(1000), rel=0.35)


@pytest.fixture(scope="module")
def table(records):
    score = split_by_time(records, WindowRule()).score
    target = torch.nan_to_num(score.targets_mg_dl, nan=100.0)
    offset = torch.tensor([3.0, -4.0, 12.0])[score.person][:, None]
    return rows("off", score, Prediction(target + offset), "last-fifth", samples=200, seed=0)


def test_rows_are_tidy(table):
    assert tuple(table.columns) == ROW
    key = ["cohort", "participant", "horizon_min", "metric"]
    assert not table.duplicated(key).any()
    # Three people, two cohorts and all, at three horizons with three metrics.
    assert len(table) == (3 + 3) * 3 * 3
    assert not table.isna().any(axis=None)
    assert (table["ci_low"] <= table["value"] + 1e-4).all()
    assert (table["ci_high"] >= table["value"] - 1e-4).all()


@pytest.mark.parametrize(
    ("metric", "toy", "everyone"),
    [("rmse", 3.5, 19 / 3), ("mae", 3.5, 19 / 3), ("me", -0.5, 11 / 3)],
)
def test_means_are_over_participants_not_windows(table, metric, toy, everyone):
    at = table[(table["metric"] == metric) & (table["horizon_min"] == 60)]
    at = at[at["participant"] == MEAN].set_index("cohort")
    assert at.loc["toy", "value"] == pytest.approx(toy, rel=1e-4)
    assert at.loc[ALL, "value"] == pytest.approx(everyone, rel=1e-4)
    assert at.loc[ALL, "participants"] == 3
    assert at.loc["toy", "participants"] == 2
    assert at.loc[ALL, "windows"] == at.loc["toy", "windows"] + at.loc["bare", "windows"]
