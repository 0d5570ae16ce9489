import numpy as np
import pandas as pd
import pytest

from hybridtwin.events import Profile
from hybridtwin.glycemia.metrics import mean, sd
from hybridtwin.glycemia.ranges import RANGES
from hybridtwin.glycemia.trace import to_trace
from hybridtwin.record import Record
from hybridtwin.timeline import to_timeline
from tests.hybridtwin.traces import MIDNIGHT, trace_of, wave


def test_readings_every_five_minutes_are_the_trace():
    values = wave(1).round()
    np.testing.assert_allclose(trace_of(values).mg_dl, values)


def test_a_sensor_that_reads_every_quarter_of_an_hour_gives_the_same_figures():
    often, seldom = trace_of(wave(3)), trace_of(wave(3)[::3], step_min=15)
    assert mean(seldom.mg_dl) == pytest.approx(mean(often.mg_dl), abs=0.2)
    assert sd(seldom.mg_dl) == pytest.approx(sd(often.mg_dl), rel=0.003)
    for each in RANGES:
        assert each.percent(seldom.mg_dl) == pytest.approx(each.percent(often.mg_dl), abs=0.5)


def test_days_of_a_slow_and_of_a_quick_sensor_weigh_the_same():
    low, high = np.full(288, 100.0), np.full(96, 200.0)
    times = [
        MIDNIGHT + pd.to_timedelta(5 * np.arange(288), unit="min"),
        MIDNIGHT + pd.Timedelta(days=1) + pd.to_timedelta(15 * np.arange(96), unit="min"),
    ]
    rows = pd.DataFrame({"time": [*times[0], *times[1]], "mg_dl": [*low, *high]})
    record = Record(profile=Profile(time_zone="Europe/Berlin"), glucose=rows)
    trace = to_trace(to_timeline(record), "Europe/Berlin")
    assert mean(trace.mg_dl) == pytest.approx(150, abs=0.5)


def test_two_sensors_at_once_count_once():
    values = wave(2)
    shifted = MIDNIGHT + pd.to_timedelta(5 * np.arange(len(values)) + 1, unit="min")
    own = MIDNIGHT + pd.to_timedelta(5 * np.arange(len(values)), unit="min")
    both = pd.DataFrame({"time": [*own, *shifted], "mg_dl": [*values, *values]})
    record = Record(profile=Profile(time_zone="Europe/Berlin"), glucose=both.sort_values("time"))
    trace = to_trace(to_timeline(record), "Europe/Berlin")
    np.testing.assert_allclose(trace.mg_dl[: len(values)], values)


def test_a_gap_is_not_known():
    values = wave(1)
    values[100:110] = np.nan
    trace = trace_of(values)
    assert np.isnan(trace.mg_dl[100:110]).all()
    assert not np.isnan(trace.mg_dl[[99, 110]]).any()


@pytest.mark.parametrize(
    ("start", "hours_of_sunday"),
    # Clocks go forward on 29 March and back on 25 October 2026.
    [("2026-03-28T00:00+01:00", 23), ("2026-10-24T00:00+02:00", 25)],
)
def test_days_are_local_across_daylight_saving(start, hours_of_sunday):
    trace = trace_of(np.arange(3.0 * 288) / 2 + 50, start=pd.Timestamp(start))
    assert (trace.day == 1).sum() == 12 * hours_of_sunday
    assert list(trace.dates().day_name())[:3] == ["Saturday", "Sunday", "Monday"]
    days = trace.by_day(trace.mg_dl)
    two_to_three = days[1, 24:36]
    if hours_of_sunday == 23:
        assert np.isnan(two_to_three).all()
    else:  # the mean of an hour and the one after
        np.testing.assert_allclose(two_to_three, trace.mg_dl[288 + 24 : 288 + 36] + 3)
    midnight = 288 + 12 * hours_of_sunday
    assert days[2, 0] == trace.mg_dl[midnight]
    assert trace.time(midnight).strftime("%A %H:%M") == "Monday 00:00"
