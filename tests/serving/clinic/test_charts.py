"""Where things lie in the page's pictures."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridtwin.glycemia.metrics import glycemia_risk
from hybridtwin.glycemia.ranges import GOALS, PREGNANCY_GOALS
from hybridtwin.glycemia.summary import Glycemia
from serving.clinic import charts, drawing
from serving.clinic.panel import AHEAD_MIN, BEHIND_MIN

NOW = datetime(2026, 1, 31, 20, 30, tzinfo=UTC)


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),
    st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata", "America/St_Johns"]),
)
def test_marks_are_full_hours_of_the_clock_where_they_belong(now, zone):
    ticks = charts.hours_around(now, zone)
    assert 6 <= len(ticks) <= 8
    for tick in ticks:
        local = tick.value.astimezone(ZoneInfo(zone))
        assert (local.hour % 3, local.minute) == (0, 0)
        minutes = tick.at / 100 * (BEHIND_MIN + AHEAD_MIN) - BEHIND_MIN
        assert now + timedelta(minutes=minutes) - tick.value < timedelta(seconds=1)
    assert all(before.at < after.at for before, after in pairwise(ticks))
    assert ticks[0].at >= 0
    assert ticks[-1].at <= 100


def _glycemia(percents):
    risk = glycemia_risk(percents)
    return Glycemia(
        participant="p",
        begin=NOW,
        end=NOW,
        days=14,
        worn_percent=100,
        lacking=(),
        mean_mg_dl=150,
        sd_mg_dl=50,
        cv_percent=33,
        gmi_percent=7,
        percents=percents,
        tight_percent=50,
        pregnancy_percents={"very_low": 1, "low": 4, "target": 60, "high": 35},
        risk_index=risk.index,
        risk_hypoglycemia=risk.hypoglycemia,
        risk_hyperglycemia=risk.hyperglycemia,
        risk_zone=risk.zone,
        episodes={},
    )


@pytest.mark.parametrize(("pregnant", "goals"), [(False, GOALS), (True, PREGNANCY_GOALS)])
def test_every_goal_is_said_once_and_the_bar_is_whole(pregnant, goals):
    percents = {"very_low": 2.0, "low": 3.0, "target": 65.0, "high": 20.0, "very_high": 10.0}
    shares = charts.range_shares(_glycemia(percents), pregnant)
    said = [goal for share in shares for goal in share.goals]
    assert sorted(map(str, said)) == sorted(map(str, goals))
    for one, following in pairwise(shares):
        assert following.from_top == pytest.approx(one.from_top + one.percent)
    assert shares[-1].from_top + shares[-1].percent == pytest.approx(100)
    assert shares[0].range.from_mg_dl > shares[-1].range.from_mg_dl


def test_goals_are_judged_with_what_lies_beyond():
    percents = {"very_low": 0.5, "low": 3.0, "target": 72.5, "high": 20.0, "very_high": 4.0}
    met = {share.range.name: share.met for share in charts.range_shares(_glycemia(percents), False)}
    assert all(met.values())
    percents |= {"low": 3.6, "target": 71.9}
    met = {share.range.name: share.met for share in charts.range_shares(_glycemia(percents), False)}
    assert met == {"very_high": True, "high": True, "target": True, "low": False, "very_low": True}


def test_a_band_has_gaps_where_nothing_is_known():
    low, high = np.array([80.0, 80, np.nan, 80]), np.array([90.0, 90, 90, 90])
    assert drawing.band(low, high, 5) == "M0 210L5 210L5 220L0 220ZM15 210L15 220Z"


@given(st.floats(-100, 700))
def test_a_value_is_drawn_inside_and_higher_values_higher(value):
    scale = drawing.Scale(40, 400)
    assert 0 <= scale.y(value) <= drawing.HEIGHT
    assert scale.y(value + 1) <= scale.y(value)
    assert (scale.y(40), scale.y(400)) == (drawing.HEIGHT, 0)
