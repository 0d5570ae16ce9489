import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hybridtwin.patterns.chance import (
    at_least,
    coefficient,
    difference,
    holm,
    mean_above,
    share_interval,
)

chances = st.lists(st.floats(0, 1), min_size=1, max_size=30)


def test_as_many_or_more_is_the_binomial_tail():
    assert at_least(2, 3, 0.5) == pytest.approx(0.5)  # two or three heads of three
    assert at_least(0, 10, 0.1) == pytest.approx(1)
    assert at_least(1, 10, 0.1) == pytest.approx(1 - 0.9**10)


def test_the_interval_of_a_share_is_wilsons():
    z = stats.norm.ppf(0.975)
    count, of = 8, 20
    share = count / of
    middle = (share + z**2 / (2 * of)) / (1 + z**2 / of)
    reach = z / (1 + z**2 / of) * np.sqrt(share * (1 - share) / of + z**2 / (4 * of**2))
    assert share_interval(count, of) == pytest.approx((middle - reach, middle + reach))


def test_a_coefficient_is_that_of_a_line():
    rng = np.random.default_rng(0)
    x = np.arange(20.0)
    y = 3 + 2 * x + rng.normal(0, 1, 20)
    expected = stats.linregress(x, y)
    slope, (low, high), chance = coefficient(np.column_stack([np.ones(20), x]), y, 1)
    assert slope == pytest.approx(expected.slope)
    assert chance == pytest.approx(expected.pvalue)
    assert high - low == pytest.approx(2 * stats.t.ppf(0.975, 18) * expected.stderr)


def test_the_chance_of_a_mean_is_half_where_it_is_the_limit():
    mean, (low, high), chance = mean_above(np.array([9.0, 10.0, 11.0]), 10)
    assert mean == 10
    assert low < 10 < high
    assert chance == pytest.approx(0.5)


def test_a_difference_of_means_is_welchs():
    a, b = np.array([27.5, 21.0, 19.0, 23.6, 17.0]), np.array([27.1, 22.0, 20.8, 23.4, 23.4, 23.5])
    variances = a.var(ddof=1) / 5, b.var(ddof=1) / 6
    error = np.sqrt(sum(variances))
    free = sum(variances) ** 2 / (variances[0] ** 2 / 4 + variances[1] ** 2 / 5)
    middle, (low, high), chance = difference(a, b)
    assert middle == pytest.approx(a.mean() - b.mean())
    assert high - low == pytest.approx(2 * stats.t.ppf(0.975, free) * error)
    assert chance == pytest.approx(2 * stats.t.sf(abs(middle) / error, free))


def test_holms_example():
    # Sorted 0.005, 0.01, 0.03, 0.04: times 4, 3, 2, 1, and never less than one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(chances)
def test_looking_more_often_never_makes_a_pattern_likelier(values):
    adjusted = holm(values)
    more = holm([*values, 0.5])
    for before, alone, with_another in zip(values, adjusted, more, strict=False):
        assert before <= alone + 1e-12
        assert alone <= with_another + 1e-12


@given(chances, st.randoms(use_true_random=False))
def test_the_order_of_looks_does_not_matter(values, chance):
    order = list(range(len(values)))
    chance.shuffle(order)
    adjusted = holm(values)
    assert holm([values[at] for at in order]) == pytest.approx([adjusted[at] for at in order])


def test_of_looks_without_a_pattern_few_find_one():
    rng = np.random.default_rng(1)
    found = [min(holm(list(rng.random(14)))) <= 0.1 for _ in range(2000)]
    assert 0.07 < np.mean(found) < 0.13
