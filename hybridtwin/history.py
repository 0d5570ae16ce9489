"""History: the last hours of many timelines side by side, as the model reads them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from hybridtwin.physiology.exercise import exertion
from hybridtwin.timeline import CHANNEL, CHANNELS, Timeline
from hybridtwin.units import STEP_MIN

HISTORY_STEPS: Final = 512
"""42 h 40 min: what a long-acting dose still does; a power of two."""


@dataclass(frozen=True)
class History:
    """The K = `HISTORY_STEPS` steps before each of B anchors.

    Attributes:
        glucose_mg_dl: (B, K) readings, the last at the anchor itself; 0 where not known.
        glucose_known: (B, K).
        events: (B, K, C) channels of steps that end at or before the anchor; 0 where not known.
        events_known: (B, K, C).
        minute_of_day: (B,) local wall-clock minute at the anchor.
    """

    glucose_mg_dl: Tensor
    glucose_known: Tensor
    events: Tensor
    events_known: Tensor
    minute_of_day: Tensor

    def channel(self, name: str) -> Tensor:
        """(B, K) one channel's amounts per step."""
        return self.events[..., CHANNEL[name]]

    def channel_known(self, name: str) -> Tensor:
        """(B, K) where it is known."""
        return self.events_known[..., CHANNEL[name]]

    def exertion(self) -> Tensor:
        """(B, K) exertion from 0 to 1; 0 where nothing is known."""
        return exertion(
            self.channel("heart_rate_bpm"),
            self.channel_known("heart_rate_bpm"),
            self.channel("steps") / STEP_MIN,
            self.channel("stated_exertion"),
        )


def cut(values: Tensor, known: Tensor, minute_of_day: Tensor, anchors: Tensor) -> History:
    """Histories out of one long run of grid points, each anchor having K + 1 rows up to it.

    Args:
        values: (N, C) as in `Timeline`, padded so that every anchor is at least K.
        known: (N, C).
        minute_of_day: (N,).
        anchors: (B,) row numbers.
    """
    rows = anchors.unsqueeze(-1) + torch.arange(-HISTORY_STEPS, 1, device=anchors.device)
    # What begins at the anchor lies in the future; only the reading there is already known.
    readings, before = rows[:, 1:], rows[:, :-1]
    glucose = CHANNEL["glucose_mg_dl"]
    return History(
        glucose_mg_dl=values[:, glucose][readings],
        glucose_known=known[:, glucose][readings],
        events=values[before],
        events_known=known[before],
        minute_of_day=minute_of_day[anchors].float(),
    )


@dataclass(frozen=True)
class Grid:
    """Timelines end to end, each behind K unknown grid points, so that histories can be cut.

    Attributes:
        values: (N, C).
        known: (N, C).
        original: (N,).
        minute_of_day: (N,).
        offsets: Row of each timeline's first grid point.
    """

    values: Tensor
    known: Tensor
    original: Tensor
    minute_of_day: Tensor
    offsets: list[int]

    def history(self, anchors: Tensor) -> History:
        """Histories at rows (B,) of this grid."""
        return cut(self.values, self.known, self.minute_of_day, anchors)


def join(timelines: Sequence[Timeline]) -> Grid:
    """Lay timelines end to end on one grid."""
    values, known, original, minutes, offsets = [], [], [], [], []
    row = 0
    for timeline in timelines:
        values += [torch.zeros(HISTORY_STEPS, len(CHANNELS)), timeline.values]
        known += [torch.zeros(HISTORY_STEPS, len(CHANNELS), dtype=torch.bool), timeline.known]
        original += [torch.zeros(HISTORY_STEPS, dtype=torch.bool), timeline.original]
        minutes += [torch.zeros(HISTORY_STEPS, dtype=torch.int16), timeline.minute_of_day]
        offsets.append(row + HISTORY_STEPS)
        row += HISTORY_STEPS + len(timeline)
    return Grid(
        torch.cat(values), torch.cat(known), torch.cat(original), torch.cat(minutes), offsets
    )
