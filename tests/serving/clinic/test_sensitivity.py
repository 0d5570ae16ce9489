"""The path of sensitivity is read back from beliefs as it was planted there."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from serving.clinic.sensitivity import sensitivity
from tests.serving.clinic.ward import belief

NOW = datetime(2026, 1, 31, 21, tzinfo=UTC)
FLAT = {"day_sine": 0.0, "day_cosine": 0.0, "half_day_sine": 0.0, "half_day_cosine": 0.0}


def _told(days, factor=lambda time: 1.0, **profile):
    times = [NOW - timedelta(hours=back) for back in range(24 * days)]
    return [
        belief(time, factor(time), **(FLAT | profile)).model_dump_json().encode() for time in times
    ]


def test_a_change_over_the_weeks_is_seen_day_by_day():
    change = datetime(2026, 1, 22, tzinfo=UTC)
    found = sensitivity(_told(20, lambda time: 0.8 if time >= change else 1.0), "UTC")
    before = [day < change.date() for day in found.days.index]
    assert found.days["value"].to_numpy() == pytest.approx(np.where(before, 1, 0.8))
    assert found.days["low"].to_numpy() == pytest.approx(0.8 * found.days["value"].to_numpy())
    assert found.days["high"].to_numpy() == pytest.approx(1.25 * found.days["value"].to_numpy())


def test_the_profile_over_the_day_is_the_body_s():
    found = sensitivity(_told(8, day_sine=0.2), "UTC")
    expected = [math.exp(0.2 * math.sin(2 * math.pi * hour / 24)) for hour in range(24)]
    assert found.hours["value"].to_numpy() == pytest.approx(expected, rel=1e-4)


def test_hours_are_those_of_the_local_clock():
    found = sensitivity(_told(8, lambda time: 0.5 if time.hour == 3 else 1.0), "Asia/Tokyo")
    assert found.hours.index[found.hours["value"] < 0.6].tolist() == [12]


def test_of_few_days_nothing_is_said():
    assert sensitivity([], "UTC") is None
    assert sensitivity(_told(1), "UTC") is None
    assert sensitivity(_told(4), "UTC").personal


def test_a_day_without_beliefs_stays_empty():
    told = _told(9)
    found = sensitivity(told[:48] + told[120:], "UTC")
    assert found.days["value"].isna().sum() == 2
    assert len(found.days) == 10
