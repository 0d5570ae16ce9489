"""Output statistics find what a twin misses, and leave plans alone."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from hybridtwin.errors import HistoryError
from hybridtwin.registry import load_twin
from training.batch import learning_part
from training.forecasters import population, uncorrected
from training.output_statistics import StatisticsSettings, TreeSettings, calibrate, fit_statistics
from training.windows import WindowRule, split_by_time

FEW = TreeSettings(rounds=60, leaves=4, fewest=20, learning_rate=0.1)
SETTINGS = StatisticsSettings(learn_fraction=0.8, learn_stride=4, shift=FEW, widening=FEW)


@pytest.fixture(scope="module")
def raw():
    """A twin whose spread is its own: fitting changes it in place."""
    return copy.deepcopy(replace(load_twin(), statistics=None))


@pytest.fixture(scope="module")
def fitted(raw, make_record):
    people = learning_part([make_record(f"p{n}", seed=n, days=14) for n in range(3)], 0.8)
    return fit_statistics(raw, people, SETTINGS)


@pytest.fixture(scope="module")
def windows(make_record):
    later = [make_record(f"p{n}", seed=n, days=14) for n in range(3)]
    return split_by_time(later, WindowRule(score_stride=4, horizons_min=(30, 60, 120))).score


def rmse(twin, windows, make) -> torch.Tensor:
    error = make(twin)(windows)(windows).mean - windows.targets_mg_dl
    return error.square().nanmean(0).sqrt()


def test_what_a_twin_misses_of_toy_people_is_put_right_later_on(fitted, windows):
    """Toy glucose swings back to its mean by a rule that the twin does not know."""
    assert (rmse(fitted, windows, population) < 0.9 * rmse(fitted, windows, uncorrected)).all()


def test_the_spread_holds_on_days_not_learnt_from(fitted, windows):
    said = population(fitted)(windows)(windows)
    low, high = said.quantiles[..., 1], said.quantiles[..., 5]
    inside = (windows.targets_mg_dl >= low) & (windows.targets_mg_dl <= high)
    share = inside.float().where(~windows.targets_mg_dl.isnan(), torch.nan).nanmean(0)
    assert np.allclose(share, 0.8, atol=0.08)


def test_an_earlier_calibration_leaves_no_trace(raw, make_record):
    people = learning_part([make_record(days=14)], 0.8)
    quick = SETTINGS.model_copy(update={"learn_stride": 1})
    spreads = []
    for before in (1.0, 3.0):
        twin = copy.deepcopy(raw)
        twin.model.spread.widening.fill_(before)
        spreads.append(fit_statistics(twin, people, quick).model.spread.widening)
    assert (spreads[0] != 1).any()
    torch.testing.assert_close(*spreads)


def test_the_version_tells_of_the_statistics(raw, fitted):
    run, digest = fitted.config.version.split(".")
    assert raw.config.version.startswith(run)
    assert digest == fitted.statistics.digest()


def test_records_of_nobody_it_learnt_from_are_refused(raw, make_record, tmp_path):
    config = raw.config.model_copy(update={"learnt_from": ("somebody else",)})
    with pytest.raises(HistoryError, match="learnt from none"):
        calibrate(replace(raw, config=config), [make_record()], SETTINGS, tmp_path)
