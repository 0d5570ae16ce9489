"""History: the last hours of many timelines side by side, as the model reads them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from hybridtwin.inputs import exertion_of
from hybridtwin.timeline import CHANNEL, CHANNELS, Timeline

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

    def total(self, names: Sequence[str]) -> Tensor:
        """(B, K) several channels' amounts together."""
        return torch.stack([self.channel(name) for name in names]).sum(0)

    def exertion(self) -> Tensor:
        """(B, K) aerobic exertion from 0 to 1; 0 where nothing is known."""
        return exertion_of(self.events, self.events_known)

    def sprint(self) -> Tensor:
        """(B, K) anaerobic exertion as stated, 0 to 1; 0 where nothing is."""
        return self.channel("stated_sprint")


@dataclass(frozen=True)
class Grid:
    """Timelines end to end, each behind K unknown grid points, so that histories can be cut.

    A channel is a row here: what is read of one channel then lies together in memory.

    Attributes:
        values: (C, N).
        known: (C, N).
        original: (N,).
        minute_of_day: (N,).
        offsets: Index of each timeline's first grid point.
    """

    values: Tensor
    known: Tensor
    original: Tensor
    minute_of_day: Tensor
    offsets: list[int]

    def history(self, anchors: Tensor) -> History:
        """Histories at grid points (B,)."""
        # What begins at the anchor lies in the future; only the reading there is already known.
        readings, before = anchors - HISTORY_STEPS + 1, anchors - HISTORY_STEPS
        glucose = CHANNEL["glucose_mg_dl"]
        return History(
            glucose_mg_dl=stretches(self.values[glucose], readings, HISTORY_STEPS),
            glucose_known=stretches(self.known[glucose], readings, HISTORY_STEPS),
            events=stretches(self.values, before, HISTORY_STEPS).movedim(0, -1),
            events_known=stretches(self.known, before, HISTORY_STEPS).movedim(0, -1),
            minute_of_day=self.minute_of_day[anchors].float(),
        )


def stretches(run: Tensor, first: Tensor, length: int) -> Tensor:
    """(..., B, length) of a run (..., N), from each of the grid points `first` (B,) on."""
    return run.unfold(-1, length, 1)[..., first, :]


def join(timelines: Sequence[Timeline]) -> Grid:
    """Lay timelines end to end on one grid."""
    values, known, original, minutes, offsets = [], [], [], [], []
    length = 0
    for timeline in timelines:
        values += [torch.zeros(len(CHANNELS), HISTORY_STEPS), timeline.values.T]
        known += [torch.zeros(len(CHANNELS), HISTORY_STEPS, dtype=torch.bool), timeline.known.T]
        original += [torch.zeros(HISTORY_STEPS, dtype=torch.bool), timeline.original]
        minutes += [torch.zeros(HISTORY_STEPS, dtype=torch.int16), timeline.minute_of_day]
        offsets.append(length + HISTORY_STEPS)
        length += HISTORY_STEPS + len(timeline)
    return Grid(
        torch.cat(values, 1),
        torch.cat(known, 1),
        torch.cat(original),
        torch.cat(minutes),
        offsets,
    )
