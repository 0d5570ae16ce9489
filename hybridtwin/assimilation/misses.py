"""What forecasts of one person usually miss, and how it is put right.

What was read after earlier forecasts says how far such forecasts lie off at this hour of the day,
at such a height, with so much insulin acting and after such a trace, and how much wider or narrower
their spread has to be. A ridge regression with a memory that fades: the mode of the posterior of
coefficients that are 0 before anything is seen, and the same as a Kalman filter's where they wander
slowly (Galanis & Anadranistakis 2002, Meteorol. Appl. 9:437, put weather forecasts right in this
way).
"""

import math
from dataclasses import dataclass, fields
from typing import Final

import torch
from torch import Tensor

from hybridtwin.assimilation.settings import MissesSettings
from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.neural.features import FEATURES
from hybridtwin.neural.spread import KNOTS_MIN, LEVELS
from hybridtwin.output_statistics import WIDENING, Correction
from hybridtwin.tensor_bytes import from_bytes, to_bytes

_MINUTES: Final = torch.tensor(KNOTS_MIN, dtype=torch.float32)
_CENTRAL: Final = (LEVELS.index(0.1), LEVELS.index(0.9))
_SD_PER_CENTRAL_80: Final = 1 / (2 * 1.2816)
_LEAST_SD_MG_DL: Final = 5.0
_TYPICAL_MG_DL, _SPREAD_MG_DL = 150.0, 50.0
_FULL_MIN: Final = 120.0
"""From this horizon on a forecast may miss as much as any; before, by the root of the time."""
_USUAL_MIN: Final = 30.0
"""The horizon for which `MissesSettings.usual_days` is stated."""
_HARMONICS: Final = 3
_FEATURE: Final = 0.2
"""How much each of many features may matter, beside the level and the time of day."""
CIRCUMSTANCES: Final = 3 + 2 * _HARMONICS + FEATURES
_PASSES: Final = 3
_OUTLIER_SD: Final = 3.0
_MEAN_ABSOLUTE: Final = math.sqrt(2 / math.pi)  # of a standard normal number


@dataclass(frozen=True)
class Said:
    """What B forecasts said at `KNOTS_MIN`.

    Attributes:
        expected_mg_dl: (B, H).
        sd_mg_dl: (B, H) of their spread.
        last_mg_dl: (B,) the last reading.
        minute_of_day: (B,) local.
        standard: (B, F) what the encoder read, made standard.
    """

    expected_mg_dl: Tensor
    sd_mg_dl: Tensor
    last_mg_dl: Tensor
    minute_of_day: Tensor
    standard: Tensor

    def rows(self, index: Tensor) -> "Said":
        """The chosen forecasts."""
        return Said(*(getattr(self, each.name)[index] for each in fields(self)))

    def circumstances(self) -> Tensor:
        """(B, H, K) what a miss may depend on: each of about the same size."""
        angle = 2 * math.pi * self.minute_of_day / MINUTES_PER_DAY
        day = [
            turn / min(harmonic, 2)
            for harmonic in range(1, _HARMONICS + 1)
            for turn in ((harmonic * angle).sin(), (harmonic * angle).cos())
        ]
        expected = self.expected_mg_dl
        alone = torch.cat([torch.stack(day, dim=-1), _FEATURE * self.standard], dim=-1)
        columns = [
            torch.ones_like(expected),
            (expected - self.last_mg_dl.unsqueeze(1)) / _SPREAD_MG_DL,
            (expected - _TYPICAL_MG_DL) / _SPREAD_MG_DL,
        ]
        every = alone.unsqueeze(1).expand(-1, len(_MINUTES), -1)
        found = torch.cat([torch.stack(columns, dim=-1), every], dim=-1)
        size = (_MINUTES / _FULL_MIN).sqrt().clamp(max=1)
        return found * size.unsqueeze(-1)


@dataclass(frozen=True)
class Misses:
    """What is put right in forecasts of one person, B = 1, or of B forecasts, each by its own.

    Attributes:
        coefficients_mg_dl: (B, H, K) of `Said.circumstances`.
        widening: (B, H) factor on the spread.
    """

    coefficients_mg_dl: Tensor
    widening: Tensor

    def correction(self, said: Said) -> Correction:
        """Of B forecasts, on top of what is corrected for everyone."""
        shift = (said.circumstances() * self.coefficients_mg_dl).sum(-1)
        return Correction(shift, self.widening.expand_as(shift))

    def with_usual_spread(self) -> "Misses":
        """The same, and the spread as it is for everyone."""
        return Misses(self.coefficients_mg_dl, torch.ones_like(self.widening))

    def rows(self, index: Tensor) -> "Misses":
        """Those of the chosen forecasts."""
        return Misses(self.coefficients_mg_dl[index], self.widening[index])


def misses_to_bytes(misses: Misses) -> bytes:
    """To be stored."""
    return to_bytes({}, {each.name: getattr(misses, each.name) for each in fields(Misses)})


def misses_from_bytes(content: bytes) -> Misses:
    """Misses as they were stored.

    Raises:
        ValueError: These are no such bytes.
    """
    _, tensors = from_bytes(content)
    try:
        return Misses(**tensors)
    except TypeError as error:
        raise ValueError("these bytes hold no misses") from error


def spread_sd_mg_dl(expected_mg_dl: Tensor, log_quantiles: Tensor) -> Tensor:
    """(B, H) of forecasts with quantiles (B, H, Q) of log ratios at `LEVELS`."""
    low, high = (expected_mg_dl * log_quantiles[..., level].exp() for level in _CENTRAL)
    return ((high - low) * _SD_PER_CENTRAL_80).clamp(min=_LEAST_SD_MG_DL)


def nothing_missed(count: int = 1) -> Misses:
    """Of `count` people of whom nothing is known."""
    coefficients = torch.zeros(count, len(KNOTS_MIN), CIRCUMSTANCES)
    return Misses(coefficients, torch.ones(count, len(KNOTS_MIN)))


def learnt(said: Said, read_mg_dl: Tensor, age_days: Tensor, settings: MissesSettings) -> Misses:
    """What B forecasts of one person missed.

    Args:
        said: What they said.
        read_mg_dl: (B, H) what was read then; NaN where nothing was.
        age_days: (B,) how long ago they were made.
        settings: How fast it fades, and how large misses may be.
    """
    there = ~read_mg_dl.isnan()
    x = said.circumstances().double()
    missed = torch.where(there, read_mg_dl - said.expected_mg_dl, 0.0).double()
    sd = said.sd_mg_dl.double()
    # Neighbouring windows overlap, and tell the same.
    worth = settings.worth / (_MINUTES / settings.every_min).clamp(min=1)
    seen = there * torch.exp(-age_days / settings.memory_days).unsqueeze(1)
    fresh = (seen * worth).double()
    prior = torch.eye(x.shape[-1], dtype=x.dtype) / settings.shift_sd_mg_dl**2
    coefficients = torch.zeros(x.shape[1:], dtype=x.dtype)
    for _ in range(_PASSES):  # what lies far off weighs less, as Huber's loss has it
        left = (missed - (x * coefficients).sum(-1)) / sd
        weight = fresh / sd.square() * (_OUTLIER_SD / left.abs().clamp(min=_OUTLIER_SD))
        information = torch.einsum("bhk,bh,bhl->hkl", x, weight, x) + prior
        gain = torch.einsum("bhk,bh,bh->hk", x, weight, missed)
        coefficients = torch.linalg.solve(information, gain)
    # Each forecast judged by the others, as so many coefficients follow what they are learnt from.
    own = torch.einsum("bhk,hkl,bhl->bh", x, torch.linalg.inv(information), x) * weight
    left = ((missed - (x * coefficients).sum(-1)) / sd / (1 - own)).abs()
    # A mean that is not moved by what lies far off, in which what is usual for everyone counts as
    # much as so many forecasts.
    far = (left.clamp(max=_OUTLIER_SD) * fresh).sum(0) + settings.usual_windows * _MEAN_ABSOLUTE
    width = far / (fresh.sum(0) + settings.usual_windows) / _MEAN_ABSOLUTE
    # What is missed on one day is alike all day, the more so the nearer it is.
    days = seen.sum(0).double() * settings.every_min / MINUTES_PER_DAY
    share = days / (days + settings.usual_days * (_USUAL_MIN / _MINUTES).sqrt())
    return Misses(
        (share.unsqueeze(1) * coefficients).float().unsqueeze(0),
        width.pow(share).float().clamp(*WIDENING).unsqueeze(0),
    )
