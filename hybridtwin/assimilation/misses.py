"""What forecasts of one person usually miss: learnt from the person's own days, and put right.

The same twin forecasts again from every hour of the days before, as it would have then; what was
read afterwards says how far such forecasts lie off at this hour of the day, after such a change and
at such a height, and how much wider or narrower their spread has to be. A ridge regression with a
memory that fades: the mode of the posterior of coefficients that are 0 before anything is seen, and
the same as a Kalman filter's where they wander slowly (Galanis & Anadranistakis 2002, Meteorol.
Appl. 9:437, put weather forecasts right in this way).

It is a function of twin and record alone: how the record arrived does not matter.
"""

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from hybridtwin.assimilation.settings import MissesSettings
from hybridtwin.climatology import climatology
from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.history import HISTORY_STEPS, join
from hybridtwin.hybrid import People, Present, usual_basal_u_min
from hybridtwin.neural.spread import KNOTS_MIN, LEVELS
from hybridtwin.output_statistics import EXPECTED, WIDENING, Correction
from hybridtwin.record import Record
from hybridtwin.timeline import CHANNEL, Timeline, to_timeline
from hybridtwin.trust import LOOK_BACK_MIN, MIN_READINGS
from hybridtwin.twin import Twin
from hybridtwin.units import STEP_MIN, steps

_MINUTES: Final = torch.tensor(KNOTS_MIN, dtype=torch.float32)
_AHEAD: Final = torch.tensor([steps(minutes) for minutes in KNOTS_MIN])
_CENTRAL: Final = (LEVELS.index(0.1), LEVELS.index(0.9))
_SD_PER_CENTRAL_80: Final = 1 / (2 * 1.2816)
_LEAST_SD_MG_DL: Final = 5.0
_TYPICAL_MG_DL, _SPREAD_MG_DL = 150.0, 50.0
_FULL_MIN: Final = 120.0
"""From this horizon on a forecast may miss as much as any; before, by the root of the time."""
CIRCUMSTANCES: Final = 7
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
    """

    expected_mg_dl: Tensor
    sd_mg_dl: Tensor
    last_mg_dl: Tensor
    minute_of_day: Tensor

    def circumstances(self) -> Tensor:
        """(B, H, K) what a miss may depend on: each of about the same size."""
        angle = 2 * math.pi * self.minute_of_day / MINUTES_PER_DAY
        day = [angle.sin(), angle.cos(), (2 * angle).sin() / 2, (2 * angle).cos() / 2]
        expected = self.expected_mg_dl
        columns = [
            torch.ones_like(expected),
            (expected - self.last_mg_dl.unsqueeze(1)) / _SPREAD_MG_DL,
            (expected - _TYPICAL_MG_DL) / _SPREAD_MG_DL,
            *(each.unsqueeze(1).expand_as(expected) for each in day),
        ]
        size = (_MINUTES / _FULL_MIN).sqrt().clamp(max=1)
        return torch.stack(columns, dim=-1) * size.unsqueeze(-1)


@dataclass(frozen=True)
class Misses:
    """What is put right.

    Attributes:
        coefficients_mg_dl: (H, K) of `Said.circumstances`.
        widening: (H,) factor on the spread.
    """

    coefficients_mg_dl: Tensor
    widening: Tensor

    @classmethod
    def none(cls) -> "Misses":
        """Of somebody of whom nothing is known."""
        return cls(torch.zeros(len(KNOTS_MIN), CIRCUMSTANCES), torch.ones(len(KNOTS_MIN)))

    def correction(self, said: Said) -> Correction:
        """Of B forecasts, on top of what is corrected for everyone."""
        shift = (said.circumstances() * self.coefficients_mg_dl).sum(-1)
        return Correction(shift, self.widening.expand_as(shift))


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
    fading = torch.exp(-age_days / settings.memory_days)
    fresh = (there * fading.unsqueeze(1) * worth).double()
    prior = torch.eye(x.shape[-1], dtype=x.dtype) / settings.shift_sd_mg_dl**2
    coefficients = torch.zeros(x.shape[1:], dtype=x.dtype)
    for _ in range(_PASSES):  # what lies far off weighs less, as Huber's loss has it
        left = (missed - (x * coefficients).sum(-1)) / sd
        weight = fresh / sd.square() * (_OUTLIER_SD / left.abs().clamp(min=_OUTLIER_SD))
        information = torch.einsum("bhk,bh,bhl->hkl", x, weight, x) + prior
        gain = torch.einsum("bhk,bh,bh->hk", x, weight, missed)
        coefficients = torch.linalg.solve(information, gain)
    left = ((missed - (x * coefficients).sum(-1)) / sd).abs()
    # A mean that is not moved by what lies far off, in which what is usual for everyone counts as
    # much as so many forecasts.
    far = (left.clamp(max=_OUTLIER_SD) * fresh).sum(0) + settings.usual_windows * _MEAN_ABSOLUTE
    width = far / (fresh.sum(0) + settings.usual_windows) / _MEAN_ABSOLUTE
    return Misses(coefficients.float(), width.float().clamp(*WIDENING))


def hindcasts(twin: Twin, timeline: Timeline, person: People, anchors: Tensor) -> Said:
    """What the twin would have said, as usual, at grid points (B,) of a person's timeline."""
    grid = join([timeline])
    history = grid.history(anchors + HISTORY_STEPS)
    people = person.rows(torch.zeros_like(anchors))
    present = twin.model.begin(history, people)
    basal = usual_basal_u_min(history, people.values())
    read = twin.predictors(history, people, present, basal, climatology(timeline, anchors))
    correction = twin.correction(people, read)
    minute = history.minute_of_day
    return open_forecasts(twin, present, read, correction, history.glucose_mg_dl[:, -1], minute)


def open_forecasts(
    twin: Twin,
    present: Present,
    predictors: Tensor,
    correction: Correction,
    last_mg_dl: Tensor,
    minute: Tensor,
) -> Said:
    """What B open forecasts say.

    Args:
        twin: Whose.
        present: Where they start.
        predictors: (B, F) of output statistics, which hold the body's forecast.
        correction: What these put right.
        last_mg_dl: (B,) the last reading.
        minute: (B,) of the local day.
    """
    expected = correction.moved(predictors[:, EXPECTED], _MINUTES)
    is_open = torch.ones(len(predictors))
    quantiles = twin.model.log_quantiles(present, is_open, _MINUTES)
    return said(expected, correction.widened(quantiles, _MINUTES), last_mg_dl, minute)


def said(expected_mg_dl: Tensor, log_quantiles: Tensor, last_mg_dl: Tensor, minute: Tensor) -> Said:
    """B forecasts of (B, H) with quantiles (B, H, Q) of log ratios at `LEVELS`."""
    low, high = (expected_mg_dl * log_quantiles[..., level].exp() for level in _CENTRAL)
    sd = ((high - low) * _SD_PER_CENTRAL_80).clamp(min=_LEAST_SD_MG_DL)
    return Said(expected_mg_dl, sd, last_mg_dl, minute)


def misses(twin: Twin, record: Record, settings: MissesSettings) -> Misses:
    """What forecasts of the record's person missed in the days before its end.

    Raises:
        HistoryError: The record holds no glucose.
    """
    timeline = to_timeline(record)
    anchors = hourly(timeline, settings)
    if not len(anchors):
        return Misses.none()
    with torch.inference_mode():
        made = hindcasts(twin, timeline, twin.person_for(record.profile), anchors)
        read = read_after(timeline, anchors)
        age = (len(timeline) - 1 - anchors) * (STEP_MIN / MINUTES_PER_DAY)
        return learnt(made, read, age, settings)


def hourly(timeline: Timeline, settings: MissesSettings) -> Tensor:
    """Grid points of the last days from which a forecast could start, so often."""
    known = timeline.values.new_zeros(len(timeline) + 1)
    known[1:] = timeline.original.cumsum(0)
    look_back = steps(LOOK_BACK_MIN)
    every, days = steps(settings.every_min), steps(settings.days * MINUTES_PER_DAY)
    points = torch.arange(len(timeline))
    enough = known[1:] - known[(points + 1 - look_back).clamp(min=0)] >= MIN_READINGS
    late = points >= max(len(timeline) - days, look_back)
    usable = torch.nonzero(timeline.original & enough & late).flatten()
    period = usable // every
    first = torch.ones_like(period, dtype=torch.bool)
    first[1:] = period[1:] > period[:-1]
    return usable[first]


def read_after(timeline: Timeline, anchors: Tensor) -> Tensor:
    """(B, H) readings at `KNOTS_MIN` after grid points (B,); NaN where there is none."""
    at = anchors.unsqueeze(1) + _AHEAD
    inside = at < len(timeline)
    at = at.clamp(max=len(timeline) - 1)
    there = inside & timeline.original[at]
    return torch.where(there, timeline.values[at, CHANNEL["glucose_mg_dl"]], torch.nan)
