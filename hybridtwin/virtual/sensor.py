"""The error of a continuous glucose sensor.

A factory-calibrated sensor worn for ten days: reading = gain x glucose + offset + noise, the noise
the sum of two autoregressive processes of order 2 (Vettoretti, Del Favero, Sparacino & Facchinetti,
IEEE EMBC 2019, doi:10.1109/embc.2019.8856790, table 2, for the Dexcom G6: the sensor's own and the
component common to sensors of one person; figures as LoopInsighT1 quotes them). Gain and offset are
drawn per sensor and do not drift within one, which is simpler than the paper.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.units import STEP_MIN
from hybridtwin.virtual.patients import Array

READ_MIN_MG_DL: Final = 40.0
READ_MAX_MG_DL: Final = 400.0

# Coefficients at lags of 5 and 10 minutes, variance of the innovation in mg^2/dL^2.
_NOISE: Final = ((1.220, -0.331, 3.641), (1.34, -0.492, 5.538))
_SETTLING_STEPS: Final = 100
_LIFETIME_STEPS: Final = 10 * MINUTES_PER_DAY // STEP_MIN
_WARM_UP_STEPS: Final = 120 // STEP_MIN
_GAIN_SPREAD: Final = 0.05
_OFFSET_SPREAD_MG_DL: Final = 4.0
_GAPS_PER_DAY: Final = 0.6
_MEAN_GAP_STEPS: Final = 7


@dataclass(frozen=True)
class Sensor:
    """One person's sensors over T steps, each (T,).

    Attributes:
        gain: Factor on interstitial glucose.
        bias_mg_dl: Offset and noise.
        works: Whether there is a reading: not in a gap, nor while a new sensor warms up.
    """

    gain: Array
    bias_mg_dl: Array
    works: NDArray[np.bool_]


def draw_sensor(count: int, rng: np.random.Generator) -> Sensor:
    """Draw the errors and gaps of one person's sensors over `count` steps."""
    age = np.arange(count) + rng.integers(_WARM_UP_STEPS, _LIFETIME_STEPS)
    worn = age // _LIFETIME_STEPS
    gain = rng.lognormal(0, _GAIN_SPREAD, worn[-1] + 1)[worn]
    offset = rng.normal(0, _OFFSET_SPREAD_MG_DL, worn[-1] + 1)[worn]
    noise = sum(_autoregressive(count, *process, rng) for process in _NOISE)

    works = age % _LIFETIME_STEPS >= _WARM_UP_STEPS
    gaps = rng.poisson(_GAPS_PER_DAY * count * STEP_MIN / MINUTES_PER_DAY)
    for begin, length in zip(
        rng.integers(0, count, gaps), rng.geometric(1 / _MEAN_GAP_STEPS, gaps), strict=True
    ):
        works[begin : begin + length] = False
    return Sensor(gain, offset + noise, works)


def _autoregressive(
    count: int, first: float, second: float, variance: float, rng: np.random.Generator
) -> Array:
    """(count,) a settled autoregressive process of order 2."""
    innovation = rng.normal(0, np.sqrt(variance), count + _SETTLING_STEPS)
    values = np.zeros_like(innovation)
    for k in range(2, len(values)):
        values[k] = first * values[k - 1] + second * values[k - 2] + innovation[k]
    return values[_SETTLING_STEPS:]


def read(glucose_mg_dl: Array, gain: Array, bias_mg_dl: Array, works: NDArray[np.bool_]) -> Array:
    """What sensors show, in whole mg/dL; NaN where there is no reading. Shapes alike."""
    shown = np.clip(np.round(gain * glucose_mg_dl + bias_mg_dl), READ_MIN_MG_DL, READ_MAX_MG_DL)
    return np.where(works, shown, np.nan)
