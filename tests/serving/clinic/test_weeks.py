"""What the weeks before a visit show, against what is known of the record."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from hybridtwin.events import GlucoseReading, Profile
from hybridtwin.glycemia.summary import glycemia
from hybridtwin.record import from_events
from serving.clinic.weeks import Weeks, values, weeks

END = datetime(2026, 1, 31, 21, tzinfo=UTC)


def _record(days, level=lambda time: 120.0, until=END, zone="UTC"):
    count = round(288 * days)
    times = [until - timedelta(minutes=5 * back) for back in reversed(range(1, count + 1))]
    rows = [GlucoseReading(time=time, mg_dl=level(time)) for time in times]
    return from_events(Profile(time_zone=zone), rows)


def test_the_profile_of_a_day_that_repeats_is_that_day():
    def level(time):
        return 100.0 + 4 * time.hour

    found = weeks(_record(20, level), END)
    profile = np.array([values(curve) for curve in found.profile])
    middle_of_hours = profile[:, 2::4][:, 1:23]  # midnight is a step
    assert middle_of_hours == pytest.approx(
        np.broadcast_to(100 + 4 * np.arange(1.0, 23), (5, 22)), abs=3
    )
    assert (np.diff(profile, axis=0) >= -0.11).all()
    assert len(found.days) == 14
    whole = values(found.days[5].mg_dl).reshape(24, 4)
    assert (whole == 100 + 4 * np.arange(24.0)[:, None]).all()
    assert found.days[-1].date == END.date()
    assert np.isnan(values(found.days[-1].mg_dl)[84:]).all()  # 21:00 and later


def test_the_figures_are_the_library_s():
    record = _record(28, lambda time: 60.0 if time.hour == 3 else 150.0)
    found = weeks(record, END)
    assert found.glycemia.percents == glycemia(record).percents
    assert found.glycemia.percents["low"] == pytest.approx(100 / 24)
    (late,) = [one for one in found.patterns if (one.kind, one.part) == ("night lows", "late")]
    assert (late.status, late.count, late.looked_at) == ("found", 28, 28)


def test_days_are_those_of_the_local_clock():
    found = weeks(
        _record(10, lambda time: 200.0 if time.hour == 12 else 100.0, zone="Asia/Tokyo"), END
    )
    noon_utc = values(found.days[4].mg_dl).reshape(24, 4)
    assert [hour for hour in range(24) if (noon_utc[hour] == 200).all()] == [21]


def test_little_and_nothing_are_told_apart():
    little = weeks(_record(0.5), END)
    assert little.glycemia is None
    assert all(value is None for curve in little.profile for value in curve)
    assert {one.status for one in little.patterns} == {"unknown"}
    assert weeks(_record(0), END) is None
    assert weeks(_record(5, until=END - timedelta(days=20)), END).glycemia is None


def test_what_is_kept_is_what_was_found():
    found = weeks(_record(15), END)
    assert Weeks.model_validate_json(found.model_dump_json()) == found
