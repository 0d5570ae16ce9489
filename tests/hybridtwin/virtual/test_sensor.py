import numpy as np
import pytest

from hybridtwin.virtual.sensor import _NOISE, draw_sensor

LAGS = (1, 2, 3, 6, 12, 40)


def covariance(first, second, variance):
    """Of an autoregressive process of order 2, by the Yule-Walker equations."""
    correlation = [1.0, first / (1 - second)]
    while len(correlation) <= max(LAGS):
        correlation.append(first * correlation[-1] + second * correlation[-2])
    scale = variance / (1 - first * correlation[1] - second * correlation[2])
    return scale * np.array(correlation)


@pytest.fixture(scope="module")
def bias():
    return np.stack(
        [draw_sensor(2000, np.random.default_rng([9, person])).bias_mg_dl for person in range(120)]
    )


@pytest.mark.parametrize("lag", LAGS)
def test_noise_is_as_autocorrelated_as_its_processes(bias, lag):
    # Half of the mean squared difference: a sensor's offset does not count.
    expected = sum(covariance(*process)[0] - covariance(*process)[lag] for process in _NOISE)
    half_difference = np.mean((bias[:, lag:] - bias[:, :-lag]) ** 2) / 2
    assert half_difference == pytest.approx(expected, rel=0.05)
