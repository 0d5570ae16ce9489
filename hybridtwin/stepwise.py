"""Amounts, spans and levels with times of their own, put on the steps of the grid."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybridtwin.units import STEP_MIN

_STEP = pd.Timedelta(minutes=STEP_MIN)


def spread(
    rows: pd.DataFrame, amount: str, start: pd.Timestamp, target: NDArray[np.float32]
) -> None:
    """Add amounts to the steps in which they are given, evenly over their duration.

    A cumulative total, interpolated at the grid and differenced, conserves the amount exactly.
    """
    if rows.empty:
        return
    begin = ((rows["time"] - start) / _STEP).to_numpy(dtype=float)
    length = rows["duration_min"].to_numpy(dtype=float) / STEP_MIN
    dose = rows[amount].to_numpy(dtype=float)
    edges = len(target)
    at_once = length == 0
    step = np.floor(begin[at_once]).astype(int)
    inside = (step >= 0) & (step < edges)
    np.add.at(target, step[inside], dose[at_once][inside].astype(np.float32))
    for first, span, total in zip(begin[~at_once], length[~at_once], dose[~at_once], strict=True):
        low, high = max(int(first), 0), min(int(np.ceil(first + span)), edges)
        if high <= low:
            continue
        grid = np.arange(low, high + 1)
        share = np.clip((grid - first) / span, 0, 1)
        target[low:high] += (np.diff(share) * total).astype(np.float32)


def cover(
    starts: pd.Series, ends: pd.Series, origin: pd.Timestamp, target: NDArray[np.bool_]
) -> None:
    """Mark the steps that lie in any of the spans."""
    first = np.floor(((starts - origin) / _STEP).to_numpy(dtype=float) + 1e-6).astype(int)
    last = np.ceil(((ends - origin) / _STEP).to_numpy(dtype=float) - 1e-6).astype(int)
    depth = np.zeros(len(target) + 1, dtype=int)
    np.add.at(depth, np.clip(first, 0, len(target)), 1)
    np.add.at(depth, np.clip(last, 0, len(target)), -1)
    target |= np.cumsum(depth)[:-1] > 0


def mean_level(
    rows: pd.DataFrame, level: str, start: pd.Timestamp, length: int
) -> NDArray[np.float64]:
    """(T,) a level, 0 outside its rows, averaged over each step; of two at once the larger counts.

    It is constant between the rows' edges; the integral up to each edge is interpolated at the grid
    and differenced, so that the average is exact.
    """
    begin = ((rows["time"] - start) / _STEP).to_numpy(dtype=float)
    end = begin + rows["duration_min"].to_numpy(dtype=float) / STEP_MIN
    height = rows[level].to_numpy(dtype=float)
    edges = np.unique(np.concatenate([begin, end]))
    first, last = np.searchsorted(edges, begin), np.searchsorted(edges, end)
    between = np.zeros(len(edges) - 1)
    for row in np.argsort(height):
        between[first[row] : last[row]] = height[row]
    total = np.concatenate([[0.0], np.cumsum(between * np.diff(edges))])
    return np.diff(np.interp(np.arange(length + 1), edges, total))
