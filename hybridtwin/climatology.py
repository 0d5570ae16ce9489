"""Climatology: what is usual for one person, from the fortnight before a moment.

A history of two days shows what is going on; a fortnight shows whom one has before one: at which
level and how steadily they run, what glucose does at this hour of their day, how often their nights
are low. Everything is read before the anchor, and what nobody recorded is NaN.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hybridtwin.analogs import ANALOGS, analogs
from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.glycemia.episodes import HIGH_MG_DL, LOW_MG_DL
from hybridtwin.timeline import BOLUS, CARBS, CHANNEL, Timeline
from hybridtwin.units import STEP_MIN, steps

CLIMATOLOGY_DAYS: Final = 14
_LATELY_DAYS: Final = 3
_DAY: Final = steps(MINUTES_PER_DAY)
# How long after the anchor's clock time the days before are looked at.
_AHEAD_MIN: Final = (30, 60, 120, 240, 360, 480)
_AROUND: Final = steps(30)
_CHANGES_MIN: Final = (30, 60, 120, 240)
_AMOUNTS_MIN: Final = (60, 120, 240)
_NIGHT: Final = steps(360)
_JOINED: Final = 15 // STEP_MIN
"""Readings this far apart or less are joined by a line: the slowest sensors' step."""

Floats = NDArray[np.float64]
Index = NDArray[np.int64]


def joined(timeline: Timeline) -> Floats:
    """(T,) readings in mg/dL, joined by lines where they lie 15 minutes apart or less; else NaN."""
    at = np.flatnonzero(timeline.original.numpy())
    points = np.arange(len(timeline))
    if not len(at):
        return np.full(len(points), np.nan)
    values = timeline.values[:, CHANNEL["glucose_mg_dl"]].double().numpy()
    after = np.searchsorted(at, points)
    inside = after < len(at)
    right = at[np.minimum(after, len(at) - 1)]
    left = at[np.maximum(np.where(right == points, after, after - 1), 0)]
    near = inside & (left <= points) & (right - left <= _JOINED)
    return np.where(near, np.interp(points, at, values[at]), np.nan)


class _Sums:
    """Sums of what is known of S series (S, T) over any stretch of them."""

    def __init__(self, values: Sequence[Floats]) -> None:
        series = np.stack(values)
        known = ~np.isnan(series)
        self.total, self.count = np.zeros((2, len(series), series.shape[1] + 1))
        np.cumsum(np.where(known, series, 0.0), axis=1, out=self.total[:, 1:])
        np.cumsum(known, axis=1, out=self.count[:, 1:])

    def between(self, begin: Index, end: Index) -> tuple[Floats, Floats]:
        """(S, ...) sum and count over [begin, end), as far as the series reach."""
        last = self.total.shape[1] - 1
        low, high = (np.minimum(np.maximum(at, 0), last) for at in (begin, end))
        return self.total[:, high] - self.total[:, low], self.count[:, high] - self.count[:, low]

    def mean(self, begin: Index, end: Index) -> Floats:
        """(S, ...) mean of what is known over [begin, end); NaN where nothing is."""
        return _ratio(*self.between(begin, end))


def climatology(timeline: Timeline, anchors: Tensor, days: Tensor | None = None) -> Tensor:
    """(n, F) what is usual for this person; NaN where not known.

    Args:
        timeline: The person's.
        anchors: (n,) grid points, each with a reading.
        days: (n,) how many days before each are looked at, at most `CLIMATOLOGY_DAYS`; so many
            if None.
    """
    anchor = anchors.numpy()
    known = np.full(len(anchor), CLIMATOLOGY_DAYS) if days is None else days.numpy()
    trace = joined(timeline)
    bolus_u, carbs_g, basal_u = (amounts(timeline, names) for names in (BOLUS, CARBS, ("basal_u",)))
    given = _Sums([bolus_u, carbs_g, basal_u])
    columns = [
        *_levels(trace, given, anchor, known),
        *_this_hour(trace, given, anchor, known),
        *analogs(timeline, trace, bolus_u, carbs_g, anchor, anchor - known * _DAY).T,
        *_nights(timeline, trace, anchor, known),
    ]
    return torch.from_numpy(np.column_stack(columns)).float()


def nothing_usual() -> Tensor:
    """(1, F) climatology of somebody of whom not a day is known."""
    found = torch.full((1, CLIMATOLOGY), torch.nan)
    found[:, 0] = 0
    found[:, _ANALOGS] = 0
    return found


def _ratio(total: Floats, count: Floats) -> Floats:
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def _levels(trace: Floats, given: _Sums, anchor: Index, days: Index) -> list[Floats]:
    """Days known; mean, SD, shares beyond limits and usual changes of glucose, late and long.

    And what was `given` a day.
    """
    known = ~np.isnan(trace)
    beyond = (np.where(known, far, np.nan) for far in (trace < LOW_MG_DL, trace > HIGH_MG_DL))
    changes = np.full((len(_CHANGES_MIN), len(trace)), np.nan)
    for change, lag in zip(changes, map(steps, _CHANGES_MIN), strict=True):
        change[lag:] = np.abs(trace[lag:] - trace[:-lag])
    sums = _Sums([trace, trace**2, *beyond, *changes])
    end = anchor + 1
    columns = [sums.between(end - days * _DAY, end)[1][0] / _DAY]
    for begin in (end - np.minimum(days, _LATELY_DAYS) * _DAY, end - days * _DAY):
        mean, square, *others = sums.mean(begin, end)
        columns += [mean, np.sqrt(np.maximum(square - mean**2, 0)), *others]
    return [*columns, *(_DAY * given.mean(anchor - days * _DAY, anchor))]


def amounts(timeline: Timeline, names: tuple[str, ...], when: slice = slice(None)) -> Floats:
    """(T,) several channels' amounts per step, NaN where not known; of the points asked for."""
    those = [CHANNEL[name] for name in names]
    known = timeline.known.numpy()[when, those].all(1)
    return np.where(known, timeline.values.numpy()[when, those].sum(1, dtype=float), np.nan)


def _this_hour(trace: Floats, given: _Sums, anchor: Index, days: Index) -> list[Floats]:
    """What glucose, boluses and carbohydrate did at and after this clock time on days before."""
    back = np.arange(1, CLIMATOLOGY_DAYS + 1)
    before = anchor[:, None] - _DAY * back
    counts = back <= days[:, None]

    def mean(series: _Sums, begin: Index, length: int) -> Floats:
        total, count = series.between(begin, begin + length)
        return _ratio((total * counts).sum(-1), (count * counts).sum(-1))

    ahead = np.array([0, *map(steps, _AHEAD_MIN)])[:, None, None]
    now, *then = mean(_Sums([trace]), before + ahead - _AROUND, 2 * _AROUND + 1)[0]
    columns = [now, *(usual - now for usual in then)]
    spans = [steps(span) for span in _AMOUNTS_MIN]
    boluses, carbs, _ = zip(*(span * mean(given, before, span) for span in spans), strict=True)
    return [*columns, *boluses, *carbs]


def _nights(timeline: Timeline, trace: Floats, anchor: Index, days: Index) -> list[Floats]:
    """Mean lowest reading of nights, and share of them with a low, before 3 o'clock and after."""
    minute = timeline.minute_of_day.numpy()
    midnights = np.flatnonzero((minute < STEP_MIN) & (np.arange(len(trace)) + _NIGHT <= len(trace)))
    columns = []
    for begin, end in ((0, _NIGHT // 2), (_NIGHT // 2, _NIGHT)):
        night = trace[midnights[:, None] + np.arange(begin, end)]
        known = ~np.isnan(night).all(1)
        lowest = np.full(len(night), np.nan)
        lowest[known] = np.nanmin(night[known], axis=1)
        over = midnights + _NIGHT
        # Nights that are over at the anchor, and began within these days.
        last = np.searchsorted(over, anchor, side="right")
        first = np.minimum(np.searchsorted(midnights, anchor - days * _DAY), last)
        below = np.where(known, lowest < LOW_MG_DL, np.nan)
        columns += [*_Sums([lowest, below]).mean(first, last)]
    return columns


CLIMATOLOGY: Final = 37 + ANALOGS
"""How many there are, F."""
_ANALOGS: Final = slice(33, 33 + ANALOGS)
