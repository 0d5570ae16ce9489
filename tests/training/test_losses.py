"""The losses, in closed form."""

import math

import pytest
import torch

from training.losses import effect_error


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1.0), (0.5, 0.5), (-1.0, 2.0)])
def test_the_error_of_a_large_effect_is_the_share_of_it_that_is_missed(
    share: float, expected: float
) -> None:
    true_mg_dl = torch.full((3, 48), 1000.0)
    error = effect_error(share * true_mg_dl, true_mg_dl)
    torch.testing.assert_close(error, torch.full((3,), expected), rtol=1e-3, atol=0)


def test_where_there_is_no_effect_an_invented_one_counts_against_ten_mg_dl() -> None:
    nothing = torch.zeros(1, 48)
    assert float(effect_error(nothing + 20, nothing)) == pytest.approx(math.hypot(20, 1) / 10)
    assert float(effect_error(nothing, nothing)) == pytest.approx(0.1)
