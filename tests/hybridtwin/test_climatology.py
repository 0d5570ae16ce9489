"""What is usual for a person: closed forms, and nothing of the future."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridtwin.climatology import CLIMATOLOGY, climatology, joined, nothing_usual
from hybridtwin.events import Profile
from hybridtwin.record import Provenance, Record
from hybridtwin.timeline import Timeline, to_timeline

DAY = 288
START = pd.Timestamp("2024-03-04 00:00", tz="UTC")
LATE_MEAN, LATE_SD, LONG_MEAN, LONG_SD = 1, 2, 9, 10
AFTER_120 = 17 + 3 + 3
LOWEST_BEFORE_3, LOW_BEFORE_3, LOWEST_AFTER_3, LOW_AFTER_3 = range(-4, 0)


def timeline_of(glucose: np.ndarray, every: int = 1) -> Timeline:
    times = pd.date_range(START, periods=len(glucose), freq="5min")
    table = pd.DataFrame({"time": times, "mg_dl": glucose})[::every]
    return to_timeline(
        Record(Profile(participant="one"), glucose=table, provenance=Provenance(source="toy"))
    )


def read(glucose: np.ndarray, anchor: int, days: int | None = None) -> torch.Tensor:
    shown = None if days is None else torch.tensor([days])
    return climatology(timeline_of(glucose), torch.tensor([anchor]), shown)[0]


def test_a_level_has_its_mean_and_no_spread_and_unknown_channels_are_nan() -> None:
    found = read(np.full(6 * DAY, 150.0), 5 * DAY)
    assert len(found) == CLIMATOLOGY
    assert found[0] == pytest.approx(5, abs=0.01)
    assert found[[LATE_MEAN, LONG_MEAN]].tolist() == [150, 150]
    assert found[[LATE_SD, LONG_SD]].tolist() == [0, 0]
    assert found[17:20].isnan().all()


def test_a_daily_wave_is_found_as_what_usually_comes() -> None:
    """The mean over an hour of a daily sine is the sine times a known factor."""
    angle = 2 * np.pi * np.arange(8 * DAY) / DAY
    anchor = 7 * DAY + 40
    found = read(150 + 40 * np.sin(angle), anchor)
    width = 13
    factor = math.sin(width * math.pi / DAY) / (width * math.sin(math.pi / DAY))
    rise = 40 * (math.sin(angle[anchor + 24]) - math.sin(angle[anchor]))
    assert float(found[AFTER_120]) == pytest.approx(factor * rise, abs=0.05)


@settings(max_examples=12)
@given(st.integers(0, 10_000), st.sampled_from([2, 5, 14]))
def test_neither_the_future_nor_what_is_too_old_is_read(seed: int, days: int) -> None:
    generator = np.random.default_rng(seed)
    glucose = generator.uniform(60, 300, 17 * DAY)
    anchor = int(generator.integers(15 * DAY, 16 * DAY))
    other = glucose.copy()
    other[anchor + 1 :] = 333
    # A change of the first hours shown began up to four hours before them.
    other[: anchor - days * DAY - 48] = 55
    first, second = (read(each, anchor, days) for each in (glucose, other))
    torch.testing.assert_close(first, second, equal_nan=True, rtol=1e-4, atol=1e-2)


def test_of_no_days_nothing_is_usual() -> None:
    found = read(140 + 30 * np.sin(np.arange(5 * DAY) / 40), 4 * DAY, days=0)
    torch.testing.assert_close(found.unsqueeze(0), nothing_usual(), equal_nan=True)


def test_low_nights_are_counted_where_they_happened() -> None:
    glucose = np.full(5 * DAY, 120.0)
    glucose[DAY + 12 : DAY + 15] = 60
    glucose[3 * DAY + 48 : 3 * DAY + 52] = 50
    found = read(glucose, 4 * DAY + 250)
    # Five nights are over.
    assert float(found[LOW_BEFORE_3]) == pytest.approx(1 / 5)
    assert float(found[LOW_AFTER_3]) == pytest.approx(1 / 5)
    assert float(found[LOWEST_BEFORE_3]) == pytest.approx((4 * 120 + 60) / 5)
    assert float(found[LOWEST_AFTER_3]) == pytest.approx((4 * 120 + 50) / 5)


def test_readings_are_joined_over_15_minutes_and_no_further() -> None:
    glucose = np.linspace(100, 160, 25)
    assert np.allclose(joined(timeline_of(glucose, every=3)), glucose, equal_nan=True)
    sparse = joined(timeline_of(glucose, every=4))
    assert np.isnan(sparse[1:4]).all()
    assert np.allclose(sparse[::4], glucose[::4])
