"""Analogs: what followed moments of the same person's last days that were like this one.

Of every moment before, its likeness is a kernel of how glucose stood and moved, how much insulin
and carbohydrate acted, and the hour; what followed is averaged by it (Nadaraya 1964, Theory Probab.
Appl. 9:141). So weather is foretold from alike weather (Delle Monache et al. 2013, Mon. Weather
Rev. 141:3498), and here from one person's own.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.neural.spread import KNOTS_MIN
from hybridtwin.timeline import Timeline
from hybridtwin.units import STEP_MIN, steps

# What counts as one unit of unlikeness: mg/dL, and of amounts that still act the root, so that
# 1 U differs more from none than 6 from 5.
_LEVEL_MG_DL: Final = 22.0
_CHANGE_MG_DL: Final = {15: 14.0, 30: 22.0, 60: 40.0}
_BOLUS_ROOT_U: Final = {45: 0.7, 180: 0.9}
_CARBS_ROOT_G: Final = {45: 2.5, 180: 3.5}
"""By the minutes in which what acts fades."""
_HOUR_MIN: Final = 120.0
_EVERY: Final = steps(15)
_NO_CHANGE_COUNTS: Final = 0.5
"""As many moments without a change stand beside the analogs: of nothing alike, nothing follows."""
_CHUNK: Final = 128

Floats = NDArray[np.float64]
Index = NDArray[np.int64]

ANALOGS: Final = 2 * len(KNOTS_MIN)
"""How many columns there are."""


def analogs(
    timeline: Timeline,
    trace: Floats,
    bolus_u: Floats,
    carbs_g: Floats,
    anchor: Index,
    first: Index,
) -> NDArray[np.float32]:
    """(n, 2 K) mean change of glucose in mg/dL until each of `KNOTS_MIN`, and how many were alike.

    Args:
        timeline: The person's, T grid points.
        trace: (T,) readings in mg/dL, NaN where not known.
        bolus_u: (T,) boluses given in each step, NaN where not known.
        carbs_g: (T,) carbohydrate eaten in each step, NaN where not known.
        anchor: (n,) grid points; what came after each is not looked at.
        first: (n,) from which grid point on analogs are looked for.
    """
    if not len(anchor):
        return np.zeros((0, ANALOGS), dtype=np.float32)
    at = _looked_at(timeline, anchor, first)
    ahead = np.array([steps(minutes) for minutes in KNOTS_MIN])
    then = at[:, None] + ahead
    follows = np.where(then < len(trace), trace[np.minimum(then, len(trace) - 1)], np.nan)
    change = (follows - trace[at, None]).astype(np.float32)
    known = (~np.isnan(change)).astype(np.float32)
    change = np.nan_to_num(change)
    place = _places(timeline, trace, bolus_u, carbs_g)
    half_square = (place**2).sum(1) / 2
    count, total = np.zeros((2, len(anchor), len(ahead)), dtype=np.float32)
    for rows in np.split(np.arange(len(anchor)), range(_CHUNK, len(anchor), _CHUNK)):
        now = anchor[rows]
        begin, settled, end = np.searchsorted(
            at, [first[rows].min(), now.min() - ahead.max() + 1, now.max()]
        )
        moments = at[begin:end]
        unlike = half_square[now, None] + half_square[moments] - place[now] @ place[moments].T
        alike = np.exp(-np.maximum(unlike, 0)) * (moments >= first[rows, None])
        split = max(settled - begin, 0)
        old, late = slice(begin, begin + split), slice(begin + split, end)
        count[rows] = alike[:, :split] @ known[old]
        total[rows] = alike[:, :split] @ change[old]
        for column, lead in enumerate(ahead):
            over = alike[:, split:] * (at[late] + lead <= now[:, None])
            count[rows, column] += over @ known[late, column]
            total[rows, column] += over @ change[late, column]
    return np.hstack([total / (count + _NO_CHANGE_COUNTS), count])


def _looked_at(timeline: Timeline, anchor: Index, first: Index) -> Index:
    """Grid points that may be analogs of any anchor: the first with a reading of each quarter."""
    reading = np.flatnonzero(timeline.original.numpy())
    reading = reading[np.unique(reading // _EVERY, return_index=True)[1]]
    looked_at: Index = reading[(reading >= first.min()) & (reading < anchor.max())]
    return looked_at


def _places(
    timeline: Timeline, trace: Floats, bolus_u: Floats, carbs_g: Floats
) -> NDArray[np.float32]:
    """(T, F) where each grid point stands, in units of unlikeness; what is not known is 0."""
    columns = [trace / _LEVEL_MG_DL]
    for minutes, size in _CHANGE_MG_DL.items():
        before = np.concatenate([np.full(steps(minutes), np.nan), trace])[: len(trace)]
        columns.append((trace - before) / size)
    for given, sizes in ((bolus_u, _BOLUS_ROOT_U), (carbs_g, _CARBS_ROOT_G)):
        columns += [np.sqrt(_acting(given, fades)) / size for fades, size in sizes.items()]
    turn = 2 * np.pi / MINUTES_PER_DAY
    angle = turn * timeline.minute_of_day.double().numpy()
    radius = 1 / (turn * _HOUR_MIN)
    columns += [radius * np.sin(angle), radius * np.cos(angle)]
    return np.nan_to_num(np.column_stack(columns)).astype(np.float32)


def _acting(given: Floats, fades_min: float) -> Floats:
    """(T,) amounts before each grid point, faded exponentially since."""
    kept = np.exp(-STEP_MIN / fades_min)
    return np.concatenate([[0.0], lfilter([1.0], [1.0, -kept], np.nan_to_num(given))[:-1]])
