"""Sensor or body: what no fault is, what one is, and that nothing is known of the future."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridtwin.sensor_faults.modes import modes
from hybridtwin.sensor_faults.settings import BodySettings, FaultSettings
from hybridtwin.sensor_faults.watch import Stream, begun, watch
from hybridtwin.virtual.faults import Fault, FaultKind, corrupt

SETTINGS = FaultSettings()
NIGHT = 2 * 60


def stream(reading, minute=NIGHT, carbs=0.0, bolus=0.0):
    """Rows of readings in mg/dL every 5 minutes; the clock stands still."""
    reading = np.atleast_2d(np.asarray(reading, dtype=float))
    blank = np.zeros_like(reading)
    return Stream(reading, blank + bolus, blank + carbs, np.full(reading.shape, minute))


def part(whole, steps):
    return Stream(*(getattr(whole, each.name)[:, steps] for each in fields(Stream)))


@st.composite
def streams(draw, people=3):
    """Readings that wander, with gaps, spikes, doses and meals."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    count = draw(st.integers(2, 40))
    shape = people, count
    reading = 140 + np.cumsum(rng.normal(0, draw(st.floats(0, 20)), shape), axis=1)
    reading = np.round(np.clip(reading, 40, 400))
    reading[rng.random(shape) < draw(st.floats(0, 1))] = np.nan
    eats = 60 * (rng.random(shape) < 0.05)
    return Stream(reading, eats / 10, eats, rng.integers(0, 1440, shape))


def same(found, expected, atol=1e-9):
    for field in fields(found):
        one, other = getattr(found, field.name), getattr(expected, field.name)
        np.testing.assert_allclose(one, other, atol=atol, rtol=1e-7)


@given(streams())
@settings(max_examples=20)
def test_probabilities_are_such_for_any_stream(whole):
    found, held = watch(whole, SETTINGS)
    for each in (found.compression, found.jump, found.fault):
        assert np.all((each >= 0) & (each <= 1 + 1e-9))
    np.testing.assert_allclose(held.weights.sum(1), 1)
    read = np.maximum.accumulate(~np.isnan(whole.reading_mg_dl), axis=1)
    np.testing.assert_array_equal(np.isnan(found.glucose_mg_dl), ~read)
    assert np.isfinite(held.covariance).all()
    low, high = SETTINGS.body.scale_limits
    assert np.all((held.scale >= low) & (held.scale <= high))


@given(streams(), st.data())
@settings(max_examples=10)
def test_the_future_changes_nothing(whole, data):
    now = data.draw(st.integers(1, whole.reading_mg_dl.shape[1]))
    later = replace(whole, reading_mg_dl=whole.reading_mg_dl.copy())
    later.reading_mg_dl[:, now:] = 300.0
    before, after = (watch(each, SETTINGS)[0] for each in (whole, later))
    for field in fields(before):
        one, other = getattr(before, field.name), getattr(after, field.name)
        np.testing.assert_array_equal(one[:, :now], other[:, :now])


@given(streams(), st.data())
@settings(max_examples=10)
def test_it_does_not_matter_how_the_stream_is_cut(whole, data):
    count = whole.reading_mg_dl.shape[1]
    cut = data.draw(st.integers(0, count))
    at_once, held_at_once = watch(whole, SETTINGS)
    first, held = watch(part(whole, slice(0, cut)), SETTINGS)
    second, held = watch(part(whole, slice(cut, count)), SETTINGS, held)
    for field in fields(at_once):
        both = [getattr(each, field.name) for each in (first, second)]
        np.testing.assert_array_equal(np.concatenate(both, axis=1), getattr(at_once, field.name))
    same(held, held_at_once, atol=0)


@given(streams())
@settings(max_examples=10)
def test_people_side_by_side_are_people_one_by_one(whole):
    together, _ = watch(whole, SETTINGS)
    for person in range(3):
        own = slice(person, person + 1)
        alone = Stream(*(getattr(whole, each.name)[own] for each in fields(Stream)))
        found, _ = watch(alone, SETTINGS)
        for field in fields(found):
            expected = getattr(together, field.name)[own]
            np.testing.assert_allclose(getattr(found, field.name), expected, atol=1e-6)


@pytest.mark.parametrize("slope", [-3.0, -1.0, 0.0, 2.0, 5.0])
@pytest.mark.parametrize("minute", [NIGHT, 14 * 60])
def test_a_clean_ramp_is_no_fault(slope, minute):
    readings = 200 + slope * np.arange(40)
    found = watch(stream(readings, minute), SETTINGS)[0]
    assert not found.told(SETTINGS).any()
    assert found.fault.max() < 0.5


@pytest.mark.parametrize("step", [-80.0, 80.0])
def test_eighty_in_five_minutes_is_one(step):
    readings = np.concatenate([np.full(36, 180.0), np.full(6, 180.0 + step)])
    found = watch(stream(readings), SETTINGS)[0].fault[0]
    assert found[35] < 0.1
    assert found[36:].max() > 0.9


@pytest.mark.parametrize("depth", [35.0, 60.0])
def test_pressure_is_told_from_a_jump_by_how_it_ends(depth):
    fault = Fault(FaultKind.COMPRESSION_LOW, 40, 9, depth)
    found = watch(stream(corrupt(np.full(60, 120.0), [fault])), SETTINGS)[0]
    assert found.compression[0, :40].max() < 0.1
    assert found.compression[0, fault.span].max() > 0.9
    assert found.fault[0, 55:].max() < 0.1
    # What is under the skin is seen through it.
    deepest = fault.start + 5
    assert abs(found.glucose_mg_dl[0, deepest] - 120) < depth / 3


def test_people_lie_on_their_sensors_at_night():
    fault = Fault(FaultKind.COMPRESSION_LOW, 40, 9, 25.0)
    shown = corrupt(np.full(60, 120.0), [fault])
    night, day = (watch(stream(shown, at), SETTINGS)[0] for at in (NIGHT, 14 * 60))
    assert night.compression[0, 42] > day.compression[0, 42]


@pytest.mark.parametrize("slope", [-12.0, -8.0, 8.0, 15.0])
def test_glucose_that_turns_is_no_fault_once_it_goes_on(slope):
    readings = np.concatenate([np.full(36, 200.0), 200 + slope * np.arange(1, 7)])
    assert watch(stream(readings), SETTINGS)[0].fault[0, 38:].max() < 0.1


def test_what_has_just_been_eaten_explains_a_rise():
    readings = np.concatenate([np.full(36, 120.0), [135.0, 142.0]])
    carbs = np.zeros((1, 38))
    carbs[0, 34] = 60
    fed, fasting = (
        watch(replace(stream(readings), carbs_g=each), SETTINGS)[0].fault[0, -1]
        for each in (carbs, 0 * carbs)
    )
    assert fed < fasting


def test_noisy_sensors_are_given_more_room():
    noise = np.random.default_rng(0).normal(0, 1, 200)
    found = [watch(stream(140 + by * noise), SETTINGS)[1].scale[0] for by in (0.5, 4, 8)]
    assert found == sorted(found)
    assert found[0] < 1 < found[-1]


def test_every_mode_leads_somewhere():
    change = modes(SETTINGS).change
    np.testing.assert_allclose(change.sum(-1), 1)
    assert (change >= 0).all()


def test_without_faults_it_is_a_kalman_filter():
    """With one mode left, levels are those of the filter of that mode, written out."""
    body = BodySettings(lively_begins=1e-9, lively_begins_acting=1e-9, scale_readings=1e9)
    likely = FaultSettings(
        body=body,
        compression=SETTINGS.compression.model_copy(
            update={"begins_at_night": 1e-12, "begins_by_day": 1e-12}
        ),
        jump=SETTINGS.jump.model_copy(update={"begins": 1e-12}),
    )
    body = body.model_copy(update={"scale_limits": (1.0, 1.0)})
    likely = likely.model_copy(update={"body": body})
    readings = 140 + np.random.default_rng(1).normal(0, 1, 50)
    found = watch(stream(readings), likely)[0].glucose_mg_dl[0]

    moves = np.array([[1.0, 1.0], [0.0, body.slope_kept]])
    noise = np.diag([body.level_sd_mg_dl**2, body.calm_bend_sd_mg_dl**2])
    state, spread = np.array([readings[0], 0.0]), np.diag([25.0, 16.0])
    expected = []
    for reading in readings:
        state, spread = moves @ state, moves @ spread @ moves.T + noise
        gain = spread[:, 0] / (spread[0, 0] + body.noise_sd_mg_dl**2)
        state = state + gain * (reading - state[0])
        spread = spread - np.outer(gain, spread[0])
        expected.append(state[0])
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_nothing_is_suspected_of_nothing():
    found, held = watch(stream(np.full((2, 10), np.nan)), SETTINGS)
    assert np.isnan(found.glucose_mg_dl).all()
    assert not found.told(SETTINGS).any()
    same(begun(2, SETTINGS), begun(2, SETTINGS))
    assert np.isinf(held.silent_steps).all()
