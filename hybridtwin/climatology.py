"""Climatology: what is usual for one person, from the fortnight before a moment.

A history of two days shows what is going on; a fortnight shows whom one has before one: at which
level and how steadily they run, what glucose does at this hour of their day, how often their nights
are low. Everything is read before the anchor, and what nobody recorded is NaN.
"""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

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
    """Sums of what is known of a series over any stretch of it."""

    def __init__(self, values: Floats) -> None:
        self.total = np.concatenate([[0.0], np.cumsum(np.nan_to_num(values))])
        self.count = np.concatenate([[0.0], np.cumsum(~np.isnan(values))])

    def between(self, begin: Index, end: Index) -> tuple[Floats, Floats]:
        """Sum and count over [begin, end), as far as the series reaches."""
        last = len(self.total) - 1
        low, high = np.clip(begin, 0, last), np.clip(end, 0, last)
        return self.total[high] - self.total[low], self.count[high] - self.count[low]

    def mean(self, begin: Index, end: Index) -> Floats:
        """Mean of what is known over [begin, end); NaN where nothing is."""
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
    columns = [
        *_levels(timeline, trace, anchor, known),
        *_this_hour(timeline, trace, anchor, known),
        *_nights(timeline, trace, anchor, known),
    ]
    return torch.from_numpy(np.column_stack(columns)).float()


def _ratio(total: Floats, count: Floats) -> Floats:
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def _levels(timeline: Timeline, trace: Floats, anchor: Index, days: Index) -> list[Floats]:
    """Days known; mean, SD, shares beyond limits and usual changes of glucose, late and long."""
    level, square = _Sums(trace), _Sums(trace**2)
    known = ~np.isnan(trace)
    low, high = (
        _Sums(np.where(known, beyond, np.nan)) for beyond in (trace < LOW_MG_DL, trace > HIGH_MG_DL)
    )
    end = anchor + 1
    columns = [level.between(end - days * _DAY, end)[1] / _DAY]
    changes = [
        _Sums(np.concatenate([np.full(lag, np.nan), np.abs(trace[lag:] - trace[:-lag])]))
        for lag in map(steps, _CHANGES_MIN)
        if lag < len(trace)
    ]
    for begin in (end - np.minimum(days, _LATELY_DAYS) * _DAY, end - days * _DAY):
        mean = level.mean(begin, end)
        columns += [mean, np.sqrt(np.maximum(square.mean(begin, end) - mean**2, 0))]
        columns += [low.mean(begin, end), high.mean(begin, end)]
        columns += [change.mean(begin, end) for change in changes]
        columns += [np.full(len(anchor), np.nan)] * (len(_CHANGES_MIN) - len(changes))
    for names in (BOLUS, CARBS, ("basal_u",)):
        amount = _Sums(amounts(timeline, names))
        columns.append(_DAY * amount.mean(anchor - days * _DAY, anchor))
    return columns


def amounts(timeline: Timeline, names: tuple[str, ...]) -> Floats:
    """(T,) several channels' amounts per step, NaN where not known."""
    those = [CHANNEL[name] for name in names]
    known = timeline.known[:, those].all(1).numpy()
    return np.where(known, timeline.values[:, those].double().sum(1).numpy(), np.nan)


def _this_hour(timeline: Timeline, trace: Floats, anchor: Index, days: Index) -> list[Floats]:
    """What glucose, boluses and carbohydrate did at and after this clock time on days before."""
    back = np.arange(1, CLIMATOLOGY_DAYS + 1)
    before = anchor[:, None] - _DAY * back
    counts = back <= days[:, None]

    def mean(series: _Sums, begin: Index, length: int) -> Floats:
        total, count = series.between(begin, begin + length)
        return _ratio((total * counts).sum(1), (count * counts).sum(1))

    level = _Sums(trace)

    def usual(ahead: int) -> Floats:
        return mean(level, before + ahead - _AROUND, 2 * _AROUND + 1)

    now = usual(0)
    columns = [now, *(usual(steps(ahead)) - now for ahead in _AHEAD_MIN)]
    for names in (BOLUS, CARBS):
        amount = _Sums(amounts(timeline, names))
        columns += [steps(span) * mean(amount, before, steps(span)) for span in _AMOUNTS_MIN]
    return columns


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
        columns += [_Sums(each).mean(first, last) for each in (lowest, below)]
    return columns


CLIMATOLOGY: Final = 37
"""How many there are, F."""
