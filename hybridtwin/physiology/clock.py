"""The clock: hormones of the early morning raise the liver's output."""

import math

import torch
from torch import Tensor

from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.physiology.parameters import BodyParameters

DAWN_PEAK_MIN = 6 * 60  # growth hormone and cortisol peak between 04:00 and 08:00
DAWN_SHARPNESS = 4.0  # about 5 h wide at half height


def dawn_factor(minute_of_day: Tensor, p: BodyParameters) -> Tensor:
    """(B,) factor on liver production; 1 by day, 1 + dawn_rise at the peak of the dawn.

    Schmidt et al. 1981, Diabetes Care 4:579 (the dawn phenomenon).
    """
    angle = 2 * math.pi * (minute_of_day - DAWN_PEAK_MIN) / MINUTES_PER_DAY
    return 1 + p.dawn_rise * torch.exp(DAWN_SHARPNESS * (torch.cos(angle) - 1))
