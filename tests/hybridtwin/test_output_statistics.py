"""Corrections: exact at their knots, the same after a round trip, blind to plans."""

from dataclasses import replace

import lightgbm
import numpy as np
import pytest
import torch

from hybridtwin.errors import ModelError
from hybridtwin.neural.spread import KNOTS_MIN, LEVELS, between
from hybridtwin.output_statistics import (
    EXPECTED,
    Correction,
    OutputStatistics,
    no_correction,
    shift_mg_dl,
)
from hybridtwin.registry import load_twin, save_twin

KNOTS = torch.tensor([float(minutes) for minutes in KNOTS_MIN])


def test_between_knots_is_linear_and_beyond_them_held() -> None:
    values = torch.tensor([[0.0, 10, 40]])
    at = torch.tensor([0.0, 1, 1.5, 2, 3, 4])
    knots = torch.tensor([1.0, 2, 4])
    assert between(values, knots, at)[0].tolist() == [0, 0, 5, 10, 25, 40]


def test_a_shift_grows_from_nothing_is_exact_at_its_knots_and_stays_where_a_sensor_can() -> None:
    shift = torch.tensor([[6.0, -10, 20, 30, -500]])
    correction = Correction(shift, torch.ones(1, 5))
    minutes = torch.tensor([5.0, 15, *KNOTS_MIN, 720])
    moved = correction.moved(torch.full((1, 8), 150.0), minutes)[0]
    assert moved.tolist() == pytest.approx([151, 153, 156, 140, 170, 180, 20, 20])


def test_widening_keeps_the_median_and_scales_around_it() -> None:
    quantiles = torch.tensor([-0.3, -0.2, -0.1, 0.05, 0.2, 0.3, 0.4]).expand(1, 5, len(LEVELS))
    correction = replace(no_correction(1), widening=torch.tensor([[0.5, 1, 2, 1, 1]]))
    wide = correction.widened(quantiles, KNOTS)[0]
    assert wide[:, 3].tolist() == pytest.approx([0.05] * 5)
    torch.testing.assert_close((wide[:, -1] - wide[:, 3]) / 0.35, torch.tensor([0.5, 1, 2, 1, 1]))


HISTORY = 4
PREDICTORS = HISTORY + 2 * len(KNOTS_MIN)


def trees(seed: int, columns: int) -> lightgbm.Booster:
    generator = np.random.default_rng(seed)
    table = generator.normal(size=(200, columns))
    table[::7, 1] = np.nan
    data = lightgbm.Dataset(table, generator.normal(size=200) + 5 * table[:, 0])
    return lightgbm.train({"verbose": -1, "num_threads": 1, "min_data_in_leaf": 5}, data, 5)


@pytest.fixture
def statistics() -> OutputStatistics:
    shift, widening = (
        [trees(seed, columns) for seed in range(len(KNOTS_MIN))]
        for columns in (HISTORY, PREDICTORS)
    )
    return OutputStatistics(shift, widening, trust=0.4)


def test_a_shift_hangs_on_the_history_and_on_the_twin_by_its_trust_alone(statistics) -> None:
    last_mg_dl, change = torch.tensor([[120.0]]), torch.tensor([[4.0, -8, 12, 30, -20]])
    history = torch.tensor([[0.3, torch.nan, 1.0, -1.0]])
    predictors = torch.hstack([history, last_mg_dl + change, change])

    def moved(trust: float, predictors: torch.Tensor) -> torch.Tensor:
        shift = shift_mg_dl(statistics.shift, predictors, trust)
        return predictors[:, EXPECTED] + shift

    still = torch.hstack([history, last_mg_dl.expand_as(change), torch.zeros_like(change)])
    for trust in (0.0, 0.25, 1.0):
        twin_says = moved(trust, predictors) - moved(trust, still)
        torch.testing.assert_close(twin_says, trust * change)


def test_statistics_survive_a_round_trip_beside_their_twin(statistics, tmp_path) -> None:
    save_twin(replace(load_twin(), statistics=statistics), tmp_path / "twin")
    loaded = load_twin(tmp_path / "twin").statistics
    assert loaded is not None
    table = torch.randn(9, PREDICTORS, generator=torch.Generator().manual_seed(0))
    table[2, 1] = torch.nan
    first, second = statistics.correct(table), loaded.correct(table)
    assert torch.equal(first.shift_mg_dl, second.shift_mg_dl)
    assert torch.equal(first.widening, second.widening)
    assert statistics.digest() == loaded.digest()


def test_a_twin_saved_without_statistics_leaves_none_of_another_behind(
    statistics, tmp_path
) -> None:
    save_twin(replace(load_twin(), statistics=statistics), tmp_path)
    save_twin(replace(load_twin(), statistics=None), tmp_path)
    assert load_twin(tmp_path).statistics is None


def test_damaged_statistics_are_named(statistics, tmp_path) -> None:
    save_twin(replace(load_twin(), statistics=statistics), tmp_path)
    file = tmp_path / "statistics.json.gz"
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(ModelError, match="no twin can be read"):
        load_twin(tmp_path)
