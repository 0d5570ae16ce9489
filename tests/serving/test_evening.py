"""When it is evening where somebody lives, and when a night is over."""

from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.evening import is_due, last_night_end

NINE = time(21)


def _utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "now", "reviewed", "due"),
    [
        ("UTC", "2026-01-31T20:59", None, False),
        ("UTC", "2026-01-31T21:00", None, True),
        ("UTC", "2026-02-01T05:59", None, True),
        ("UTC", "2026-02-01T06:00", None, False),
        ("UTC", "2026-01-31T21:05", "2026-01-31T20:59", True),
        ("UTC", "2026-01-31T21:05", "2026-01-31T21:01", False),
        ("UTC", "2026-02-01T03:00", "2026-01-31T21:01", False),
        ("Asia/Tokyo", "2026-01-31T12:00", None, True),
        ("America/New_York", "2026-01-31T21:00", None, False),
        ("America/New_York", "2026-02-01T02:00", None, True),
        ("Europe/Berlin", "2026-03-28T20:00", None, True),  # the clocks change in this night
        ("Europe/Berlin", "2026-03-29T03:59", None, True),
        ("Europe/Berlin", "2026-03-29T04:00", None, False),
        ("Europe/Berlin", "2026-03-29T19:00", "2026-03-28T20:01", True),
    ],
)
def test_a_review_is_due_once_every_evening(zone, now, reviewed, due):
    assert is_due(zone, NINE, _utc(now), _utc(reviewed) if reviewed else None) == due


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),
    st.sampled_from(["UTC", "Asia/Kolkata", "Pacific/Chatham", "America/St_Johns"]),
)
def test_who_was_just_reviewed_is_due_to_nobody(now, zone):
    assert not is_due(zone, NINE, now, now)


@pytest.mark.parametrize(
    ("zone", "now", "end"),
    [
        ("UTC", "2026-01-31T06:29", "2026-01-30T06:00"),
        ("UTC", "2026-01-31T06:30", "2026-01-31T06:00"),
        ("UTC", "2026-01-31T23:59", "2026-01-31T06:00"),
        ("Europe/Berlin", "2026-03-29T04:30", "2026-03-29T04:00"),
        ("Europe/Berlin", "2026-03-28T05:30", "2026-03-28T05:00"),
    ],
)
def test_a_night_is_judged_half_an_hour_after_six(zone, now, end):
    assert last_night_end(zone, _utc(now)) == _utc(end)
    assert last_night_end(zone, _utc(now)) <= _utc(now) - timedelta(minutes=30)
