"""Fingersticks beside a recording: when, and how far from it."""

import numpy as np
import pytest

from hybridtwin.sensor_faults.settings import GainSettings
from training.faulted import PartRule, scored_parts
from training.fingersticks import FingerstickRule, draw_fingersticks, off_by

EXACT = FingerstickRule(jitter_min=0, meter_sd=0, sensor_sd=0, tissue_sd=0)


@pytest.fixture(scope="module")
def part(make_record):
    rule = PartRule(folds=1, score_fold=0, virtual_people=0)
    return scored_parts([make_record("one", "toy", days=15)], rule)[0][0]


def test_exact_ones_are_the_readings_at_their_hours(part):
    sticks = draw_fingersticks(part, EXACT, np.random.default_rng(0))
    np.testing.assert_allclose(sticks.mg_dl, np.round(part.reading_mg_dl[sticks.at]))
    hours = part.timeline.minute_of_day.numpy()[sticks.at] / 60
    wanted = np.array(EXACT.hours)
    assert (np.abs(hours[:, None] - wanted).min(1) <= 0.25).all()
    assert len(sticks.at) == pytest.approx(4 * len(part.timeline) / 288, abs=3)
    off = off_by(sticks, part.timeline, part.reading_mg_dl, GainSettings())
    assert np.nanmax(off) < 0.3


def test_they_err_as_much_as_is_stated(part):
    rule = FingerstickRule(hours=tuple(np.arange(96) / 4), jitter_min=0)
    errors = []
    for seed in range(40):
        sticks = draw_fingersticks(part, rule, np.random.default_rng(seed))
        read = part.reading_mg_dl[sticks.at]
        errors.append(np.log(sticks.mg_dl / read)[read > 110])
    expected = np.sqrt(rule.meter_sd**2 + rule.sensor_sd**2 + rule.tissue_sd**2)
    assert np.concatenate(errors).std() == pytest.approx(expected, rel=0.25)


def test_a_sensor_that_is_off_is_told_and_a_fault_leaves_fingersticks_as_they_are(part):
    sticks = draw_fingersticks(part, FingerstickRule(), np.random.default_rng(1))
    settings = GainSettings()
    found = off_by(sticks, part.timeline, 1.35 * part.reading_mg_dl, settings)
    assert np.isnan(found[: sticks.at[0]]).all()
    assert found[-1] > settings.told_at
