"""Sample paths have the quantiles and the correlation that they are asked for."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridtwin.neural.spread import LEVELS
from hybridtwin.paths import (
    correlation,
    correlation_factor,
    paths,
    quantile_function,
    standard_noise,
    unexplained,
)

NORMAL = torch.distributions.Normal(0.0, 1.0)


@given(st.integers(1, 144), st.floats(0, 2), st.floats(30, 5000))
@settings(max_examples=30, deadline=None)
def test_correlations_are_a_valid_matrix(steps: int, log_decay: float, memory: float) -> None:
    found = correlation(steps, log_decay, memory).double()
    assert torch.allclose(found.diagonal(), torch.ones(steps, dtype=torch.float64))
    assert torch.linalg.eigvalsh(found).min() > -1e-5
    assert found.max() <= 1 + 1e-6


def test_quantiles_come_out_as_they_went_in() -> None:
    wanted = torch.tensor([-0.6, -0.4, -0.2, 0.05, 0.15, 0.3, 0.45]).expand(3, -1)
    exact = NORMAL.icdf(torch.tensor(LEVELS)).unsqueeze(-1).expand(-1, 3)
    torch.testing.assert_close(quantile_function(exact, wanted), wanted.T, atol=1e-6, rtol=0)


def test_gaussian_quantiles_give_gaussian_values() -> None:
    normal = torch.randn(20_000, 1, generator=torch.Generator().manual_seed(0))
    quantiles = 0.3 * NORMAL.icdf(torch.tensor(LEVELS)).unsqueeze(0)
    torch.testing.assert_close(quantile_function(normal, quantiles), 0.3 * normal)


def test_paths_have_the_spread_asked_for_with_and_without_an_ensemble() -> None:
    generator = torch.Generator().manual_seed(2)
    steps, members = 12, 8000
    quantiles = 0.25 * NORMAL.icdf(torch.tensor(LEVELS)).expand(steps, -1)
    normal = standard_noise(correlation_factor(steps, 0.5, 600.0), members, generator)
    for ensemble_sd in (0.0, 0.1):
        shift = ensemble_sd * torch.randn(members, 1, generator=generator)
        shift[0] = 0
        trajectories = 140 * torch.exp(shift).expand(-1, steps)
        traces = paths(trajectories, unexplained(trajectories, quantiles, normal))
        assert float((traces / 140).log().std()) == pytest.approx(0.25, rel=0.05)
