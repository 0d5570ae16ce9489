"""A sensor's level by fingersticks: closed forms, and what does not matter."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridtwin.sensor_faults.doubt import doubt, said, told
from hybridtwin.sensor_faults.gain import compared, gain, gain_of, level_told, off_at
from hybridtwin.sensor_faults.settings import FaultSettings, GainSettings
from tests.hybridtwin.people import history

SETTINGS = GainSettings()
STILL = GainSettings(walk_sd_per_day=1e-9)
DAYS = np.arange(12) / 4


def stuck(factor, hours=48.0, every=72):
    """A record with a fingerstick beside every 72nd reading, which reads `factor` times it."""
    record = history(hours=hours)
    sticks = record.glucose.iloc[every::every].copy()
    sticks["mg_dl"] = (sticks["mg_dl"] / factor).round(1)
    sticks["time"] += pd.Timedelta(minutes=1)
    sticks["source"] = "fingerstick"
    glucose = pd.concat([record.glucose, sticks]).sort_values("time").reset_index(drop=True)
    return replace(record, glucose=glucose)


def test_a_gain_that_stands_still_is_the_posterior_mean_of_all_fingersticks():
    """Conjugate normal prior and likelihood, written out."""
    rng = np.random.default_rng(0)
    stick = rng.uniform(70, 250, len(DAYS))
    seen = rng.normal(0.1, 0.1, len(DAYS))
    found = gain(DAYS, stick * np.exp(seen), stick, STILL)
    precision = 1 / SETTINGS.sound_sd**2 + np.arange(1, len(DAYS) + 1) / SETTINGS.comparison_sd**2
    np.testing.assert_allclose(found.sd, precision**-0.5, rtol=1e-6)
    expected = np.cumsum(seen) / SETTINGS.comparison_sd**2 / precision
    np.testing.assert_allclose(found.log, expected, rtol=1e-6)


def test_a_gain_that_walks_is_known_as_well_as_the_riccati_equation_says():
    day = np.arange(400) / 4
    found = gain(day, np.full(400, 100.0), np.full(400, 100.0), SETTINGS)
    walk, noise = SETTINGS.walk_sd_per_day**2 / 4, SETTINGS.comparison_sd**2
    before = walk / 2 + np.sqrt(walk**2 / 4 + walk * noise)
    assert found.sd[-1] ** 2 == pytest.approx(before * noise / (before + noise), rel=1e-6)


@given(st.floats(0.2, 5), st.integers(0, 2**32))
def test_only_the_ratio_of_both_matters(factor, seed):
    rng = np.random.default_rng(seed)
    read, stick = rng.uniform(60, 300, (2, len(DAYS)))
    one = gain(DAYS, read, stick, SETTINGS)
    other = gain(DAYS + 3, factor * read, factor * stick, SETTINGS)
    np.testing.assert_allclose(one.off, other.off, atol=1e-9)
    swapped = gain(DAYS, stick, read, SETTINGS)
    np.testing.assert_allclose(one.log, -swapped.log, atol=1e-9)


@given(st.integers(1, len(DAYS)), st.integers(0, 2**32))
def test_later_fingersticks_change_nothing(now, seed):
    read, stick = np.random.default_rng(seed).uniform(60, 300, (2, len(DAYS)))
    whole = gain(DAYS, read, stick, SETTINGS)
    part = gain(DAYS[:now], read[:now], stick[:now], SETTINGS)
    np.testing.assert_array_equal(whole.off[:now], part.off)


def test_a_drift_is_told_before_it_ends_and_a_sound_sensor_never():
    drift = np.linspace(1, 1.35, len(DAYS))
    found = gain(DAYS, 150 * drift, np.full(len(DAYS), 150.0), SETTINGS)
    assert found.off[0] < 0.2
    assert found.off[-1] > SETTINGS.told_at
    assert np.all(np.diff(found.off[2:]) > 0)
    sound = gain(DAYS, np.full(len(DAYS), 150.0), np.full(len(DAYS), 150.0), SETTINGS)
    assert sound.off.max() < 0.3


@pytest.mark.parametrize(("factor", "way"), [(1.3, "30 % too high"), (0.7, "too low")])
def test_a_record_whose_sensor_is_off_is_told_so(factor, way):
    record = stuck(factor)
    found = doubt(record, FaultSettings())
    assert found.off > SETTINGS.told_at
    assert found.gain == pytest.approx(factor, rel=0.12)
    texts = [note.text for note in said(found, FaultSettings(), left_out=False)]
    assert any(way.split(" % ")[-1] in text for text in texts)
    assert told(record, FaultSettings())[-1]


def test_what_fingersticks_told_holds_for_a_day():
    stuck = pd.date_range("2026-03-01", periods=2, freq="4h", tz="UTC")
    asked = pd.date_range("2026-02-28 23:00", periods=4, freq="12h", tz="UTC")
    found = off_at(asked, stuck, np.array([0.2, 0.7]))
    np.testing.assert_array_equal(found, [np.nan, 0.7, 0.7, np.nan])


def test_fingersticks_decide_where_there_are_any():
    settings = FaultSettings()
    jump, off = np.array([1.0, 1.0, 0.0, 0.0]), np.array([np.nan, 0.0, 1.0, np.nan])
    assert level_told(jump, off, settings).tolist() == [True, False, True, False]


def test_without_fingersticks_nothing_is_known_of_the_level():
    record = history(hours=30)
    time, found = gain_of(record, SETTINGS)
    assert len(time) == len(found.off) == 0
    found = doubt(record, FaultSettings())
    assert np.isnan(found.off)
    assert found.gain == 1


def test_a_fingerstick_long_after_the_last_reading_is_compared_with_nothing():
    record = stuck(1.3)
    stick = record.glucose["source"] == "fingerstick"
    alone = record.glucose[stick | (record.glucose["time"] < record.glucose["time"][stick].min())]
    late = alone.reset_index(drop=True)
    time, read, _ = compared(replace(record, glucose=late))
    assert len(time) == len(read) == 1
