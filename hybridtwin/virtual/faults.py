"""Faults of glucose sensors, drawn and labelled, to test what should notice them.

These come on top of the noise of `sensor`, which every sound sensor has. Of compression lows and
dropouts the sizes are those of Facchinetti, Del Favero, Sparacino & Cobelli, Diabetes Technol Ther
18:264 (2016), doi:10.1089/dia.2015.0250, who isolated them from the traces of 72 people: a low
lasts 45 (5th to 95th percentile 30 to 70) min and is 24 (10 to 48) mg/dL deep, with the course of
a first-order system under a rectangle of pressure; 90 % of the dropouts last less than 20 min. Lows
are as frequent as in Baysal et al., J Diabetes Sci Technol 8:1091 (2014): 3 % of a night's
readings.

A sensor's loss of sensitivity is simulated, to test a detector, by the same authors in IEEE TBME
60:406 (2013), doi:10.1109/TBME.2012.2227256; drift between calibrations is part of the model of
Facchinetti et al., IEEE TBME 61(3) (2014), doi:10.1109/TBME.2013.2284023. How often jumps and
drifts come and how far they go is our choice: further than a sound sensor is off (`sensor`: 5 %,
one standard deviation), in both directions.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.units import STEP_MIN, steps
from hybridtwin.virtual.patients import Array
from hybridtwin.virtual.sensor import READ_MAX_MG_DL, READ_MIN_MG_DL


class FaultKind(StrEnum):
    """What is wrong, and what the size of a fault of this kind says."""

    COMPRESSION_LOW = "compression_low"
    """Somebody lies on the sensor. Size: mg/dL that the lowest reading is too low by."""
    DROPOUT = "dropout"
    """No readings. Size: the part of them that is missing, 1."""
    JUMP = "jump"
    """Calibration is off at once, until the next one. Size: relative change of the gain."""
    DRIFT = "drift"
    """The gain changes steadily, until it is put right. Size: its relative change at the end."""


@dataclass(frozen=True)
class Fault:
    """One fault: what, when and how much.

    Attributes:
        kind: What is wrong.
        start: The first step of 5 minutes with a wrong reading.
        duration: How many steps it lasts; all before and after are untouched.
        size: How much; the unit is that of its kind.
    """

    kind: FaultKind
    start: int
    duration: int
    size: float

    @property
    def span(self) -> slice:
        """The steps that it touches."""
        return slice(self.start, self.start + self.duration)


PER_DAY: Final[Mapping[FaultKind, float]] = {
    FaultKind.COMPRESSION_LOW: 0.03 * 8 * 60 / 45,
    FaultKind.DROPOUT: 0.3,
    FaultKind.JUMP: 0.05,
    FaultKind.DRIFT: 0.05,
}
"""How often; compression lows and dropouts are about equally frequent (Facchinetti 2016)."""

# Median, standard deviation of the logarithm; limits.
_LOW_MIN: Final = (45.0, 0.26)
_LOW_LIMITS_MIN: Final = (15, 120)
_LOW_MG_DL: Final = (24.0, 0.48)
_LEAST_LOW_MG_DL: Final = 5.0
# The tissue follows the pressure with this time constant; when 5 % are left, it is over.
_TISSUE_MIN: Final = 5.0
_RECOVERY_STEPS: Final = 3
_DROPOUT_ENDS: Final = 0.54  # probability per step: 90 % end before the fourth
_JUMP_MIN: Final = (6 * 60, 3 * MINUTES_PER_DAY)
_JUMP_SIZE: Final = (0.12, 0.30)
_DRIFT_MIN: Final = (12 * 60, 3 * MINUTES_PER_DAY)
_DRIFT_SIZE: Final = (0.15, 0.40)


def add_faults(
    reading_mg_dl: Array,
    asleep: NDArray[np.bool_],
    rng: np.random.Generator,
    per_day: Mapping[FaultKind, float] = PER_DAY,
) -> tuple[Array, list[Fault]]:
    """Readings with faults, and what was done to them.

    Args:
        reading_mg_dl: (T,) what a sound sensor showed every 5 minutes; NaN for no reading.
        asleep: (T,) whether the person sleeps: only then they lie on the sensor.
        rng: Where chance comes from.
        per_day: How many faults of each kind to expect in a day.

    Returns:
        (T,) readings, and the faults in the order of time; none touches another.
    """
    faults = draw_faults(asleep, rng, per_day)
    return corrupt(reading_mg_dl, faults), faults


def draw_faults(
    asleep: NDArray[np.bool_],
    rng: np.random.Generator,
    per_day: Mapping[FaultKind, float] = PER_DAY,
) -> list[Fault]:
    """Draw faults; one that finds no place is left out. Arguments as in `add_faults`."""
    free = np.ones(len(asleep), dtype=bool)
    faults = []
    for kind, rate in per_day.items():
        for _ in range(rng.poisson(rate * len(asleep) * STEP_MIN / MINUTES_PER_DAY)):
            duration, size = _draw(kind, rng)
            duration = min(duration, len(asleep))
            allowed = free & asleep if kind is FaultKind.COMPRESSION_LOW else free
            taken = np.concatenate([[0], np.cumsum(~allowed)])
            room = taken[duration:] == taken[:-duration]
            if room.any():
                fault = Fault(kind, int(rng.choice(np.flatnonzero(room))), duration, size)
                free[fault.span] = False
                faults.append(fault)
    return sorted(faults, key=lambda fault: fault.start)


def corrupt(reading_mg_dl: Array, faults: Iterable[Fault]) -> Array:
    """What the sensor shows instead, in whole mg/dL; untouched where there is no fault."""
    shown = reading_mg_dl.copy()
    for fault in faults:
        shown[fault.span] = np.clip(
            np.round(_wrong(shown[fault.span], fault)), READ_MIN_MG_DL, READ_MAX_MG_DL
        )
    return shown


def _draw(kind: FaultKind, rng: np.random.Generator) -> tuple[int, float]:
    """Duration in steps, and size."""
    if kind is FaultKind.COMPRESSION_LOW:
        minutes = np.clip(_lognormal(_LOW_MIN, rng), *_LOW_LIMITS_MIN)
        return steps(minutes), max(float(round(_lognormal(_LOW_MG_DL, rng))), _LEAST_LOW_MG_DL)
    if kind is FaultKind.DROPOUT:
        return int(rng.geometric(_DROPOUT_ENDS)), 1.0
    length, size = (_JUMP_MIN, _JUMP_SIZE) if kind is FaultKind.JUMP else (_DRIFT_MIN, _DRIFT_SIZE)
    return steps(rng.uniform(*length)), float(rng.choice((-1, 1)) * rng.uniform(*size))


def _lognormal(by: tuple[float, float], rng: np.random.Generator) -> float:
    median, spread = by
    return median * rng.lognormal(0, spread)


def _wrong(reading_mg_dl: Array, fault: Fault) -> Array:
    """The readings of a fault's span, as the fault makes them."""
    if fault.kind is FaultKind.COMPRESSION_LOW:
        return reading_mg_dl - fault.size * _pressed(fault.duration)
    if fault.kind is FaultKind.DROPOUT:
        return np.full_like(reading_mg_dl, np.nan)
    if fault.kind is FaultKind.JUMP:
        return reading_mg_dl * (1 + fault.size)
    return reading_mg_dl * (1 + fault.size * np.arange(1, fault.duration + 1) / fault.duration)


def _pressed(duration: int) -> Array:
    """(duration,) depth of a compression low, 1 where it is deepest, just before relief."""
    fading = np.exp(-STEP_MIN / _TISSUE_MIN)
    pressed = max(duration - _RECOVERY_STEPS, 1)
    fall = 1 - fading ** np.arange(1, pressed + 1)
    recovery = fading ** np.arange(1, duration - pressed + 1)
    return np.concatenate([fall / fall[-1], recovery])
