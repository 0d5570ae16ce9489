from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridtwin.virtual.faults import Fault, FaultKind, add_faults, corrupt, draw_faults

LOW, DROPOUT, JUMP, DRIFT = FaultKind
COUNT = 2 * 288
STEPS = np.arange(200 * 288)
NIGHTS = (STEPS % 288 < 7 * 12) | (STEPS % 288 >= 23 * 12)


@st.composite
def cases(draw):
    """Readings with gaps, and a fault of any kind somewhere among them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    reading = np.round(rng.uniform(40, 400, COUNT))
    reading[rng.random(COUNT) < 0.1] = np.nan
    kind = draw(st.sampled_from(FaultKind))
    start = draw(st.integers(0, COUNT - 1))
    duration = draw(st.integers(1, COUNT - start))
    sizes = {
        LOW: st.integers(5, 80),
        DROPOUT: st.just(1.0),
        JUMP: st.floats(-0.5, 0.5),
        DRIFT: st.floats(-0.5, 0.5),
    }
    return reading, Fault(kind, start, duration, float(draw(sizes[kind])))


@given(cases())
def test_a_fault_touches_its_span_and_nothing_else(case):
    reading, fault = case
    before = reading.copy()
    shown = corrupt(reading, [fault])
    np.testing.assert_array_equal(reading, before)
    outside = np.ones(COUNT, dtype=bool)
    outside[fault.span] = False
    np.testing.assert_array_equal(shown[outside], reading[outside])
    assert np.isnan(shown[np.isnan(reading)]).all()
    there = shown[~np.isnan(shown)]
    assert np.all((there >= 40) & (there <= 400) & (there == np.round(there)))


@given(start=st.integers(0, 100), duration=st.integers(4, 24), size=st.integers(5, 80))
def test_a_compression_low_falls_at_once_and_is_over_quickly(start, duration, size):
    reading = np.full(COUNT, 200.0)
    depth = (reading - corrupt(reading, [Fault(LOW, start, duration, size)]))[start:][:duration]
    deepest = int(np.argmax(depth))
    assert depth.max() == size
    assert depth[0] > size / 2
    assert np.all(np.diff(depth[: deepest + 1]) >= 0)
    assert np.all(np.diff(depth[duration - 4 :]) <= 0)
    assert depth[-1] <= 0.1 * size


@given(start=st.integers(0, 100), duration=st.integers(1, 400))
def test_a_dropout_leaves_no_reading(start, duration):
    shown = corrupt(np.full(COUNT, 120.0), [Fault(DROPOUT, start, duration, 1.0)])
    assert np.isnan(shown).sum() == duration
    assert np.isnan(shown[start : start + duration]).all()


@given(duration=st.integers(1, 500), size=st.floats(-0.5, 0.5))
def test_a_jump_is_there_at_once_and_keeps_its_size(duration, size):
    reading = np.linspace(100, 250, COUNT).round()
    span = slice(20, 20 + duration)
    shown = corrupt(reading, [Fault(JUMP, 20, duration, size)])[span]
    np.testing.assert_allclose(shown, reading[span] * (1 + size), atol=0.5)


@given(duration=st.integers(2, 500), size=st.floats(-0.5, 0.5))
def test_a_drift_grows_steadily_to_its_size(duration, size):
    reading = np.full(COUNT, 200.0)
    shown = corrupt(reading, [Fault(DRIFT, 20, duration, size)])[20 : 20 + duration]
    change = shown / 200 - 1
    assert change[-1] == pytest.approx(size, abs=0.5 / 200)
    assert change[0] == pytest.approx(size / duration, abs=0.5 / 200)
    np.testing.assert_allclose(np.diff(change), size / duration, atol=1.001 / 200)


@pytest.mark.parametrize("kind", FaultKind)
def test_faults_do_not_touch_each_other_and_come_as_often_as_asked(kind):
    faults = draw_faults(NIGHTS, np.random.default_rng(5), {kind: 0.2})
    assert {fault.kind for fault in faults} == {kind}
    # Poisson, 40 expected, of which long ones may find no place.
    assert 20 < len(faults) < 60
    for one, following in pairwise(faults):
        assert one.start + one.duration <= following.start


def test_compression_lows_have_published_sizes_and_come_in_sleep():
    faults = draw_faults(NIGHTS, np.random.default_rng(6), {LOW: 4.0})
    assert len(faults) > 400
    for fault in faults:
        assert NIGHTS[fault.span].all()
    minutes = 5 * np.array([fault.duration for fault in faults])
    depth = np.array([fault.size for fault in faults])
    # Facchinetti et al. 2016: median (5th to 95th percentile) 45 (30-70) min, 24 (10-48) mg/dL.
    np.testing.assert_allclose(np.percentile(minutes, [5, 50, 95]), [30, 45, 70], atol=7.5)
    np.testing.assert_allclose(np.percentile(depth, [5, 50, 95]), [10, 24, 48], atol=6)


def test_compression_lows_take_a_published_part_of_the_night():
    faults = draw_faults(NIGHTS, np.random.default_rng(7))
    pressed = sum(fault.duration for fault in faults if fault.kind is LOW)
    # Baysal et al. 2014: about 3 % of the readings of 1125 nights.
    assert 0.02 < pressed / NIGHTS.sum() < 0.04


def test_most_dropouts_are_short():
    faults = draw_faults(NIGHTS, np.random.default_rng(8), {DROPOUT: 5.0})
    minutes = 5 * np.array([fault.duration for fault in faults])
    # Facchinetti et al. 2016: about 90 % last less than 20 min.
    assert np.mean(minutes < 20) == pytest.approx(0.9, abs=0.04)


def test_seed_decides_everything():
    reading = np.full(len(STEPS), 150.0)

    def draw(seed):
        return add_faults(reading, NIGHTS, np.random.default_rng(seed))

    (shown, faults), (again, same), (_, other) = draw(1), draw(1), draw(2)
    np.testing.assert_array_equal(shown, again)
    assert faults == same
    assert faults != other
    assert {fault.kind for fault in faults} == set(FaultKind)
    np.testing.assert_array_equal(shown, corrupt(reading, faults))
    assert all(not np.array_equal(shown[fault.span], reading[fault.span]) for fault in faults)


def test_who_does_not_sleep_has_no_compression_lows():
    awake = np.zeros(COUNT, dtype=bool)
    assert draw_faults(awake, np.random.default_rng(0), {LOW: 20.0}) == []
