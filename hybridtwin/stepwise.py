"""Amounts, spans and levels with times of their own, put on the steps of the grid.

Times are in steps from the grid's start, and need not be whole.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybridtwin.units import STEP_MIN

_ROUNDING = 1e-6  # of steps: far less than a second
_STEP = pd.Timedelta(minutes=STEP_MIN).to_timedelta64()

Steps = NDArray[np.float64]


def steps_from(start: pd.Timestamp, times: pd.Series) -> Steps:
    """(N,) where instants lie on the grid."""
    since: Steps = (times.to_numpy("datetime64[ns]") - start.to_numpy()) / _STEP
    return since


def spread(begin: Steps, length: Steps, amount: Steps, target: NDArray[np.float32]) -> None:
    """Add amounts (N,) to the steps in which they are given, evenly over their length.

    A cumulative total, interpolated at the grid and differenced, conserves the amount exactly.
    """
    at_once = length == 0
    step = np.floor(begin[at_once]).astype(int)
    inside = (step >= 0) & (step < len(target))
    np.add.at(target, step[inside], amount[at_once][inside].astype(np.float32))
    begin, length, amount = begin[~at_once], length[~at_once], amount[~at_once]
    low = np.maximum(np.floor(begin), 0).astype(int)
    high = np.minimum(np.ceil(begin + length), len(target)).astype(int)
    count = np.maximum(high - low, 0)
    row = np.repeat(np.arange(len(count)), count)
    step = np.arange(len(row)) - np.repeat(count.cumsum() - count, count) + low[row]
    before, after = (np.clip((step + edge - begin[row]) / length[row], 0, 1) for edge in (0, 1))
    np.add.at(target, step, ((after - before) * amount[row]).astype(np.float32))


def cover(first: Steps, last: Steps, target: NDArray[np.bool_]) -> None:
    """Mark the steps that lie in any of the spans (N,)."""
    begin = np.floor(first + _ROUNDING).astype(int)
    end = np.ceil(last - _ROUNDING).astype(int)
    depth = np.zeros(len(target) + 1, dtype=int)
    np.add.at(depth, np.clip(begin, 0, len(target)), 1)
    np.add.at(depth, np.clip(end, 0, len(target)), -1)
    target |= np.cumsum(depth)[:-1] > 0


def mean_level(begin: Steps, length: Steps, level: Steps, count: int) -> Steps:
    """(count,) a level averaged over each step, 0 outside its spans (N,); of two the larger counts.

    It is constant between the spans' edges; the integral up to each edge is interpolated at the
    grid and differenced, so that the average is exact.
    """
    end = begin + length
    edges = np.unique(np.concatenate([begin, end]))
    first, last = np.searchsorted(edges, begin), np.searchsorted(edges, end)
    between = np.zeros(len(edges) - 1)
    for row in np.argsort(level):
        between[first[row] : last[row]] = level[row]
    total = np.concatenate([[0.0], np.cumsum(between * np.diff(edges))])
    return np.diff(np.interp(np.arange(count + 1), edges, total))
