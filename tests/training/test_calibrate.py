"""Calibration of the spread."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from hybridtwin.neural.spread import KNOTS_MIN, LEVELS, Spread
from training.calibrate import beyond_median, conformal_quantile


@given(st.integers(50, 400), st.integers(0, 10_000))
def test_a_conformal_quantile_leaves_at_most_its_share_outside(count: int, seed: int) -> None:
    """Vovk et al. 2005: of N + 1 exchangeable values at most a tenth lie above."""
    values = torch.randn(count, generator=torch.Generator().manual_seed(seed))
    limit = conformal_quantile(values, 0.1)
    assert int((values > limit).sum()) == (count + 1) // 10


def test_distances_are_counted_in_outer_deciles() -> None:
    quantiles = torch.tensor([-0.4, -0.2, -0.1, 0.0, 0.2, 0.4, 0.6]).expand(3, 1, len(LEVELS))
    below, above = beyond_median(torch.tensor([[-0.2], [0.4], [0.8]]), quantiles)
    torch.testing.assert_close(below.squeeze(1), torch.tensor([1.0, -2.0, -4.0]))
    torch.testing.assert_close(above.squeeze(1), torch.tensor([-0.5, 1.0, 2.0]))


def test_widening_scales_each_side_at_its_horizon() -> None:
    torch.manual_seed(0)
    spread = Spread(embedding=2, context=3, hidden=8)
    minutes = torch.tensor([5.0, 30, 60, 85, 120, 480, 700])

    def sides() -> tuple[torch.Tensor, torch.Tensor]:
        quantiles = spread(torch.zeros(1, 3), torch.zeros(1, 2), torch.ones(1), minutes)[0]
        middle = quantiles[:, [3]]
        return middle - quantiles[:, :3], quantiles[:, 4:] - middle

    below, above = sides()
    spread.widening[0] = torch.tensor([1.0, 2, 4, 4, 4])
    spread.widening[1] = 0.5
    lower, upper = sides()
    torch.testing.assert_close(upper, 0.5 * above)
    factors = (lower / below)[:, 0]
    torch.testing.assert_close(factors[[0, 1, 2, 4, 5, 6]], torch.tensor([1.0, 1, 2, 4, 4, 4]))
    assert 2 < factors[3] < 4
    assert len(KNOTS_MIN) == spread.widening.shape[1]
