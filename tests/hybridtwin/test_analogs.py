"""Analogs: what followed like moments, found as plain loops find it, and nothing of the future."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridtwin.analogs import ANALOGS, analogs
from hybridtwin.climatology import joined
from hybridtwin.neural.spread import KNOTS_MIN
from hybridtwin.timeline import Timeline, to_timeline
from hybridtwin.units import steps
from tests.hybridtwin.traces import record_of

DAY = 288
QUARTER = 3
AFTER_60 = KNOTS_MIN.index(60)
COUNT = len(KNOTS_MIN)
NO_CHANGE = 0.5


def timeline_of(mg_dl: np.ndarray) -> Timeline:
    return to_timeline(record_of(mg_dl))


def looked(
    timeline: Timeline, anchors: list[int], first: list[int], bolus_u: np.ndarray | None = None
) -> np.ndarray:
    nothing = np.zeros(len(timeline))
    given_u = nothing if bolus_u is None else bolus_u
    return analogs(timeline, joined(timeline), given_u, nothing, np.array(anchors), np.array(first))


def test_before_anything_happened_nothing_follows() -> None:
    timeline = timeline_of(np.full(DAY, 150.0))
    assert (looked(timeline, [0], [-5 * DAY]) == 0).all()
    assert looked(timeline, [], []).shape == (0, ANALOGS)


def test_what_followed_a_like_level_is_expected_and_not_what_followed_another() -> None:
    """At noon of every second day glucose falls from 250 by 60 in an hour, else rises from 100."""
    days = 12
    glucose = np.full(days * DAY, 170.0)
    for day in range(days):
        noon = day * DAY + DAY // 2
        level, later = (250, 190) if day % 2 else (100, 160)
        glucose[noon - 14 : noon + 1] = level
        glucose[noon + 1 : noon + 25] = later
    high, low = 11 * DAY + DAY // 2, 10 * DAY + DAY // 2
    timeline = timeline_of(glucose)
    first = [0, 0]
    found = looked(timeline, [high, low], first)[:, AFTER_60]
    assert found[0] == pytest.approx(-60, abs=15)
    assert found[1] == pytest.approx(60, abs=15)


def plainly(
    timeline: Timeline, anchor: int, first: int, bolus_u: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Changes and counts at one anchor, by loops over a day's arithmetic."""
    trace, minute = joined(timeline), timeline.minute_of_day.numpy()

    def acting(at: int, fades: float) -> float:
        age = 5.0 * (at - 1 - np.arange(at))
        return float((bolus_u[:at] * np.exp(-age / fades)).sum())

    def place(at: int) -> np.ndarray:
        turn = 2 * np.pi * minute[at] / 1440
        radius = 1440 / (2 * np.pi * 120)
        return np.array(
            [
                trace[at] / 22,
                *(
                    (trace[at] - trace[at - lag]) / size if at >= lag else 0.0
                    for lag, size in ((3, 14), (6, 22), (12, 40))
                ),
                np.sqrt(acting(at, 45)) / 0.7,
                np.sqrt(acting(at, 180)) / 0.9,
                radius * np.sin(turn),
                radius * np.cos(turn),
            ]
        )

    here = place(anchor)
    total, count = np.zeros(COUNT), np.zeros(COUNT)
    for at in range(0, len(trace), QUARTER):
        if not first <= at < anchor:
            continue
        alike = np.exp(-np.square(place(at) - here).sum() / 2)
        for column, minutes in enumerate(KNOTS_MIN):
            if at + steps(minutes) <= anchor:
                total[column] += alike * (trace[at + steps(minutes)] - trace[at])
                count[column] += alike
    return total / (count + NO_CHANGE), count


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 3))
def test_they_are_what_loops_find(seed: int, days: int) -> None:
    generator = np.random.default_rng(seed)
    length = 3 * DAY
    glucose = 150 + np.clip(generator.normal(0, 6, length).cumsum(), -100, 150)
    bolus_u = np.where(generator.random(length) < 0.03, generator.uniform(0.5, 8, length), 0)
    timeline = timeline_of(glucose)
    anchors = sorted(generator.integers(0, length, 4).tolist())
    first = [anchor - days * DAY for anchor in anchors]
    found = looked(timeline, anchors, first, bolus_u)
    for row, anchor in zip(found, anchors, strict=True):
        change, count = plainly(timeline, anchor, anchor - days * DAY, bolus_u)
        np.testing.assert_allclose(row[COUNT:], count, rtol=2e-3, atol=2e-3)
        np.testing.assert_allclose(row[:COUNT], change, rtol=2e-3, atol=0.05)
