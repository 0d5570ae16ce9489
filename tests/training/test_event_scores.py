import numpy as np
import pytest
import torch

from training.event_scores import (
    METRICS,
    auroc,
    bins,
    brier,
    ece,
    event_rows,
    sensitivity_at_1,
)
from training.metrics import ALL, MEAN
from training.windows import WindowRule, split_by_time


def test_auroc_is_the_share_of_pairs_in_the_right_order():
    generator = np.random.default_rng(0)
    happened = generator.random(60) < 0.3
    said = generator.integers(0, 8, 60) / 8
    pairs = said[happened][:, None] - said[~happened][None, :]
    assert auroc(happened, said) == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())


def test_auroc_and_sensitivity_cannot_be_told_where_nothing_happened():
    assert np.isnan(auroc(np.zeros(5, dtype=bool), np.linspace(0, 1, 5)))
    assert np.isnan(sensitivity_at_1(np.zeros(5, dtype=bool), np.linspace(0, 1, 5)))


def test_brier_of_a_constant_is_variance_and_bias():
    happened = np.repeat([True, False], [30, 70])
    assert brier(happened, np.full(100, 0.5)) == pytest.approx(0.3 * 0.7 + 0.2**2)


def test_probabilities_that_hold_have_no_calibration_error_and_others_their_offset():
    generator = np.random.default_rng(0)
    truth = generator.uniform(0.1, 0.6, 200_000)
    happened = generator.random(len(truth)) < truth
    assert ece(happened, truth) < 0.01
    assert ece(happened, truth + 0.2) == pytest.approx(0.2, abs=0.01)
    said, came = bins(happened, truth)
    assert (np.diff(said) > 0).all()
    np.testing.assert_allclose(said, came, atol=0.02)


def test_one_false_alarm_a_week_is_what_sensitivity_allows():
    # Two weeks, four events. By falling probability: event, no, event, no, no, event, event.
    happened = np.array([True, False, True, False, False, True, True] + [False] * 7)
    said = np.linspace(0.9, 0.1, 14)
    assert sensitivity_at_1(happened, said) == pytest.approx(2 / 4)
    # Twice the patients, the same nights: as many alarms a patient-week.
    assert sensitivity_at_1(np.tile(happened, 2), np.tile(said, 2)) == pytest.approx(2 / 4)


def test_rows_pool_the_patients_of_a_cohort(records):
    windows = split_by_time(records, WindowRule(score_stride=2)).score
    generator = np.random.default_rng(0)
    happened, said = generator.random(len(windows)) < 0.3, generator.random(len(windows))
    found = event_rows("guess", "below_70", windows, happened, said, 40, 0)
    assert set(found["cohort"]) == {"toy", "bare", ALL}
    assert (found["participant"] == MEAN).all()
    assert set(found["metric"]) == {f"{name}_below_70" for name in METRICS}
    toy = np.array([cohort == "toy" for cohort in windows.cohorts])[windows.person.numpy()]
    row = found[(found["cohort"] == "toy") & (found["metric"] == "auroc_below_70")].iloc[0]
    assert row["value"] == pytest.approx(auroc(happened[toy], said[toy]))
    assert row["participants"] == 2
    assert row["windows"] == toy.sum()
    assert (found["ci_low"] <= found["ci_high"]).all()


def test_what_cannot_be_told_has_no_row(records):
    windows = split_by_time(records[:1], WindowRule(score_stride=2)).score
    never = np.zeros(len(windows), dtype=bool)
    found = event_rows("guess", "low", windows, never, torch.rand(len(windows)).numpy(), 20, 0)
    assert set(found["metric"]) == {"brier_low", "ece_low"}
