"""The clock and the slow modulators: what hour, cycle, illness, stress and sleep do.

They are factors on insulin's action, on the liver's output and on working muscle, at every instant
of the grid.
"""

import math
from typing import Final, NamedTuple

import torch
from torch import Tensor

from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.physiology.parameters import BodyParameters

DAWN_PEAK_MIN: Final = 6 * 60  # growth hormone and cortisol peak between 04:00 and 08:00
DAWN_SHARPNESS: Final = 4.0  # about 5 h wide at half height
EXERCISE_LEAST_MIN: Final = 7 * 60  # fasting morning exercise lowers glucose least; Ruegemer 1990


class Rhythm(NamedTuple):
    """Factors at an instant, 1 being neither more nor less; each (..., B)."""

    sensitivity: Tensor
    liver: Tensor
    muscle: Tensor


def dawn_factor(minute_of_day: Tensor, p: BodyParameters) -> Tensor:
    """(..., B) factor on liver production; 1 by day, 1 + dawn_rise at the peak of the dawn.

    Schmidt et al. 1981, Diabetes Care 4:579 (the dawn phenomenon).
    """
    angle = 2 * math.pi * (minute_of_day - DAWN_PEAK_MIN) / MINUTES_PER_DAY
    return 1 + p.dawn_rise * torch.exp(DAWN_SHARPNESS * (torch.cos(angle) - 1))


def daily_profile(minute_of_day: Tensor, p: BodyParameters) -> Tensor:
    """(..., B) factor on insulin's action: a smooth personal profile of two harmonics."""
    angle = 2 * math.pi * minute_of_day / MINUTES_PER_DAY
    return torch.exp(
        p.day_sine * torch.sin(angle)
        + p.day_cosine * torch.cos(angle)
        + p.half_day_sine * torch.sin(2 * angle)
        + p.half_day_cosine * torch.cos(2 * angle)
    )


def rhythm(minute_of_day: Tensor, modulators: Tensor, p: BodyParameters) -> Rhythm:
    """What clock and modulators make of the body.

    Args:
        minute_of_day: (..., B) local wall-clock minute.
        modulators: (..., 4, B) severity 0 to 1 of illness, stress, short sleep and the luteal
            phase of the menstrual cycle.
        p: The person's parameters.
    """
    illness, stress, short_sleep, luteal = modulators.unbind(-2)
    resistance = (
        p.illness_resistance * illness
        + p.stress_resistance * stress
        + p.sleep_resistance * short_sleep
        + p.luteal_resistance * luteal
    )
    angle = 2 * math.pi * (minute_of_day - EXERCISE_LEAST_MIN) / MINUTES_PER_DAY
    return Rhythm(
        sensitivity=daily_profile(minute_of_day, p) / (1 + resistance),
        liver=dawn_factor(minute_of_day, p),
        muscle=p.fitness * (1 - p.exercise_clock * torch.cos(angle)),
    )
