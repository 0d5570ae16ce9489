"""What is worked out of a record for the panel."""

import re
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from hybridtwin.events import GlucoseReading, Profile
from hybridtwin.forecast import EventProbabilities
from hybridtwin.record import from_events
from hybridtwin.review.review import NightRisk
from serving.clinic import drawing
from serving.clinic.summary import lately, past_night

SIX = pd.Timestamp("2026-01-31 06:00", tz="UTC")


def _record(levels, end=SIX, step_min=5):
    times = [
        end.to_pydatetime() - timedelta(minutes=step_min * (back + 1))
        for back in reversed(range(len(levels)))
    ]
    return from_events(
        Profile(),
        [GlucoseReading(time=t, mg_dl=v) for t, v in zip(times, levels, strict=True) if v],
    )


def _risk():
    events = EventProbabilities(below_70=0.3, below_54=0.1, above_180=0, above_250=0)
    begin = (SIX - pd.Timedelta(hours=6)).to_pydatetime()
    return NightRisk(participant="p", status="forecast", begin=begin, events=events)


CALM = [120.0] * 72


@pytest.mark.parametrize(
    ("levels", "low", "very_low"),
    [
        (CALM, False, False),
        ([*CALM[:40], 65, 65, 65, *CALM[43:]], True, False),
        ([*CALM[:40], 65, 65, *CALM[42:]], False, False),
        ([*CALM[:40], 50, 50, 50, *CALM[43:]], True, True),
        ([None] * 36 + CALM[:36], None, None),
        ([None] * 36 + [*CALM[:30], 65, 65, 65, *CALM[:3]], True, None),
        ([60.0] * 12 + CALM, False, False),  # before midnight
    ],
)
def test_a_night_is_judged_by_its_own_readings(levels, low, very_low):
    found = past_night(_record(levels), _risk(), SIX)
    assert (found.low, found.very_low) == (low, very_low)
    assert found.below_70 == 0.3
    assert found.lowest_mg_dl == min(level for level in levels[-72:] if level)


def test_a_night_without_readings_is_not_known():
    found = past_night(_record(CALM, SIX - pd.Timedelta(days=1)), _risk(), SIX)
    assert (found.low, found.lowest_mg_dl, found.covered) == (None, None, 0)


def test_the_last_readings_are_told():
    levels = [*CALM, 65, 65, 65, *[100 + 2.0 * i for i in range(12)]]
    found = lately(_record(levels))
    assert found.mg_dl == 122
    assert found.time == datetime(2026, 1, 31, 5, 55, tzinfo=UTC)
    assert found.rate_mg_dl_min == pytest.approx(0.4)
    assert (found.lows, found.very_lows) == (1, 0)
    assert lately(_record([])) is None


def test_a_curve_breaks_where_nothing_is_known():
    path = drawing.line(np.array([100.0, 110, np.nan, 120, 500]), 5)
    assert path == "M0 200L5 190M15 180L20 0"


def test_a_band_is_closed_and_holds_both_its_edges():
    path = drawing.band(np.array([80.0, 70]), np.array([120.0, 150]), 15)
    points = re.findall(r"(\d+) (\d+)", path)
    assert points == [("0", "180"), ("15", "150"), ("15", "230"), ("0", "220")]
    assert path.endswith("Z")
