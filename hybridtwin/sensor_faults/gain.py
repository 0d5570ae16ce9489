"""How far a sensor's level is off, as fingersticks tell it.

A drift goes by so slowly that readings alone cannot tell it from the body: they need a reference.
The logarithm of the sensor's gain walks at random from one fingerstick to the next, and each
measures it, by the reading beside it: the Kalman filter in one dimension. A jump is off just so
once it has happened. Only fingersticks up to now are looked at.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

from hybridtwin.record import Record
from hybridtwin.sensor_faults.modes import Array
from hybridtwin.sensor_faults.settings import FaultSettings, GainSettings

_BESIDE: Final = pd.Timedelta(minutes=15)
"""A fingerstick is compared with the last reading of so many minutes."""
_DAY: Final = pd.Timedelta(days=1)


@dataclass(frozen=True)
class Gain:
    """What each of N fingersticks tells, knowing nothing of later ones.

    Attributes:
        log: (N,) expected logarithm of the sensor's gain on blood glucose.
        sd: (N,) its standard deviation.
        off: (N,) probability that the gain is further from 1 than a sound sensor's.
    """

    log: Array
    sd: Array
    off: Array


def gain(day: Array, reading_mg_dl: Array, stick_mg_dl: Array, settings: GainSettings) -> Gain:
    """What fingersticks tell of a sensor.

    Args:
        day: (N,) when each was taken, in days, not decreasing.
        reading_mg_dl: (N,) of the sensor, at about that time.
        stick_mg_dl: (N,) of the fingerstick.
        settings: What is held likely.
    """
    logs, variances = np.zeros((2, len(day)))
    log, variance = 0.0, settings.sound_sd**2
    seen = np.log(reading_mg_dl / stick_mg_dl)
    for at, passed in enumerate(np.diff(day, prepend=day[:1])):
        variance += passed * settings.walk_sd_per_day**2
        share = variance / (variance + settings.comparison_sd**2)
        log += share * (seen[at] - log)
        variance *= 1 - share
        logs[at], variances[at] = log, variance
    sd = np.sqrt(variances)
    limit = np.log1p(settings.sound_within)
    return Gain(logs, sd, norm.sf(limit, logs, sd) + norm.cdf(-limit, logs, sd))


def compared(record: Record) -> tuple[pd.DatetimeIndex, Array, Array]:
    """When a record's fingersticks were taken beside a reading of its sensor, that, and they."""
    rows = record.glucose[["time", "mg_dl"]]
    stuck = (record.glucose["source"] == "fingerstick").to_numpy()
    read = ~stuck & ~record.glucose["interpolated"].to_numpy(dtype=bool)
    pairs = pd.merge_asof(
        rows[stuck], rows[read], on="time", suffixes=("", "_read"), tolerance=_BESIDE
    ).dropna()
    read_mg_dl, stick_mg_dl = pairs["mg_dl_read"].to_numpy(float), pairs["mg_dl"].to_numpy(float)
    return pd.DatetimeIndex(pairs["time"]), read_mg_dl, stick_mg_dl


def gain_of(record: Record, settings: GainSettings) -> tuple[pd.DatetimeIndex, Gain]:
    """What a record's fingersticks tell, and when they were taken."""
    time, read, stick = compared(record)
    return time, gain(((time - time[:1].min()) / _DAY).to_numpy(float), read, stick, settings)


def off_at(time: pd.DatetimeIndex, stuck: pd.DatetimeIndex, off: Array) -> Array:
    """(T,) probability at each of some times that a level is off, as the last fingerstick told it.

    Args:
        time: (T,) when it is asked.
        stuck: (N,) when fingersticks were taken, not decreasing.
        off: (N,) what each told.

    Returns:
        NaN where there was no fingerstick in the day before.
    """
    if not len(stuck):
        return np.full(len(time), np.nan)
    last: NDArray[np.intp] = stuck.searchsorted(time, side="right") - 1
    recent = (last >= 0) & (time - stuck[last] <= _DAY)
    return np.where(recent, off[last], np.nan)


def level_told(jump: Array, off: Array, settings: FaultSettings) -> NDArray[np.bool_]:
    """Whether a level is told to be off: by fingersticks where there are any, else by its jump.

    Args:
        jump: (T,) probability that the level has jumped, by readings.
        off: (T,) that it is off, by fingersticks; NaN where there are none.
        settings: From which probabilities on it is told.
    """
    by_readings = jump >= settings.jump.told_at
    return np.where(np.isnan(off), by_readings, off >= settings.gain.told_at)


def fault_told(
    compression: Array, jump: Array, off: Array, settings: FaultSettings
) -> NDArray[np.bool_]:
    """(T,) whether a fault is told: something presses on the sensor, or its level is off.

    Args:
        compression: (T,) probability that something presses on it.
        jump: (T,) see `level_told`.
        off: (T,) likewise.
        settings: From which probabilities on it is told.
    """
    return (compression >= settings.compression.told_at) | level_told(jump, off, settings)
