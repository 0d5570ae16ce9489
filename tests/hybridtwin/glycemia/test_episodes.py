from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hybridtwin.glycemia.episodes import EPISODE_STEPS, episodes

traces = arrays(bool, st.integers(0, 60))


def found(text: str) -> list[tuple[int, int]]:
    """Of a trace written as L for low, . for not and ? for not known."""
    marks = np.array(list(text))
    return [(each.begin, each.end) for each in episodes(marks == "L", marks != "?")]


def test_a_low_of_fifteen_minutes_counts_and_a_shorter_one_does_not():
    assert found("..LLL...") == [(2, 5)]
    assert found("..LL....") == []


def test_a_low_ends_after_fifteen_minutes_above():
    assert found("LLL..LL...") == [(0, 7)]
    assert found("LLL...LLL") == [(0, 3), (6, 9)]


def test_a_gap_ends_a_low():
    assert found("LLL??LLL") == [(0, 3), (5, 8)]


@given(traces)
def test_episodes_are_apart_long_enough_and_hold_every_long_low(low):
    known = np.ones(len(low), dtype=bool)
    list_of = episodes(low, known)
    for each in list_of:
        assert each.end - each.begin >= EPISODE_STEPS
        assert low[each.begin]
        assert low[each.end - 1]
    for first, second in pairwise(list_of):
        assert second.begin - first.end >= EPISODE_STEPS
    inside = np.zeros(len(low), dtype=bool)
    for each in list_of:
        inside[each.span] = True
    padded = np.append(low, [False] * EPISODE_STEPS)
    runs = np.lib.stride_tricks.sliding_window_view(padded, EPISODE_STEPS).all(-1)
    assert inside[np.flatnonzero(runs)].all()
