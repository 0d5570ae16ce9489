"""Which windows a person is fitted to: evenly spread, with a known future or an open plan."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from hybridtwin.history import Grid
from hybridtwin.timeline import CHANNEL
from training.batch import Batch, Participants, cut_batch, usable_anchors
from training.module import PLANNED

_CHUNK: Final = 512


@dataclass(frozen=True)
class Chosen:
    """Windows on a grid.

    Attributes:
        grid: Where they lie.
        anchors: (W,) grid points.
        person: (W,) whose each is.
        ahead: Steps that follow.
        is_open: Whether the doses and meals that follow are hidden; if not, all are known.
    """

    grid: Grid
    anchors: Tensor
    person: Tensor
    ahead: int
    is_open: bool

    def part(self, number: int, parts: int) -> "Chosen":
        """Every `parts`th window, from the one of that number on."""
        some = slice(number, None, parts)
        return replace(self, anchors=self.anchors[some], person=self.person[some])

    def batches(self) -> Iterator[Batch]:
        """All of them in turn, so many at once."""
        for first in range(0, len(self.anchors), _CHUNK):
            these = slice(first, first + _CHUNK)
            yield cut_batch(self.grid, self.anchors[these], self.person[these], self.ahead)


def choose(
    grid: Grid,
    participants: Participants,
    days: tuple[float, float],
    most: int,
    ahead: int,
    is_open: bool,
) -> Chosen:
    """Windows of every person.

    Args:
        grid: The people's timelines, joined.
        participants: The people.
        days: First and last share of a timeline in which windows lie.
        most: Of each person.
        ahead: Steps that follow.
        is_open: See `Chosen`.
    """
    usable = usable_anchors(grid)
    if not is_open:
        usable = usable & _is_complete(grid, ahead)
    anchors, person = [], []
    for i, (timeline, first) in enumerate(zip(participants.timelines, grid.offsets, strict=True)):
        low, high = (first + round(share * len(timeline)) for share in days)
        rows = torch.arange(low, max(high - ahead, low))
        rows = rows[usable[rows]]
        if len(rows) > most:
            rows = rows[((torch.arange(most) + 0.5) * len(rows) / most).long()]
        anchors.append(rows)
        person.append(torch.full_like(rows, i))
    return Chosen(grid, torch.cat(anchors), torch.cat(person), ahead, is_open)


def _is_complete(grid: Grid, ahead: int) -> Tensor:
    """(N,) whether every dose and meal of the coming steps is known."""
    known = grid.known[[CHANNEL[name] for name in PLANNED]].all(0).int().cumsum(0)
    complete = torch.zeros_like(known, dtype=torch.bool)
    complete[1:-ahead] = known[ahead:-1] - known[: -ahead - 1] == ahead
    return complete
