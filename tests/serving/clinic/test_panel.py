"""What a patient's row on the panel says, hour by hour."""

import uuid
from datetime import datetime, timedelta

import pytest

from hybridtwin.review.review import NightRisk
from serving.clinic.panel import row_of
from serving.clinic.summary import Lately, Night
from serving.settings import Settings
from serving.store.summaries import Summary

ISSUED = datetime.fromisoformat("2026-01-31T21:30+01:00")


@pytest.mark.parametrize(
    ("zone", "now", "runs"),
    [
        ("Europe/Berlin", "2026-01-31T21:31+01:00", True),
        ("Europe/Berlin", "2026-02-01T05:59+01:00", True),
        ("Europe/Berlin", "2026-02-01T06:00+01:00", False),
        ("America/Bogota", "2026-02-01T11:59+01:00", True),  # in the afternoon there
        ("America/Bogota", "2026-02-01T12:00+01:00", False),
        ("Asia/Tokyo", "2026-01-31T21:59+01:00", True),  # after five there
        ("Asia/Tokyo", "2026-01-31T22:00+01:00", False),
    ],
)
def test_a_night_without_a_forecast_is_over_in_the_morning(zone: str, now: str, runs: bool) -> None:
    moment = datetime.fromisoformat(now)
    night = Night(issued=ISSUED, risk=NightRisk(participant="p", status="refused"))
    last = Lately(
        time=moment - timedelta(minutes=3),
        mg_dl=120,
        rate_mg_dl_min=0,
        lows=0,
        very_lows=0,
        origin=moment,
        curve="",
    )
    parts = {
        name: one.model_dump_json().encode() for name, one in (("night", night), ("lately", last))
    }
    profile = {"participant": "p", "time_zone": zone}
    row = row_of(Summary(uuid.uuid4(), "north", None, profile, parts, {}), moment, Settings())
    assert (row.night is not None) == runs
    assert row.group == ("missing" if runs else "well")


@pytest.mark.parametrize(("hour", "drawn"), [(5, True), (9, True), (17, True), (18, False)])
def test_the_night_that_is_over_stays_in_the_picture_while_its_hours_do(
    hour: int, drawn: bool
) -> None:
    """Twelve hours before now are shown, so that what came lies on what was forecast."""
    now, six = ISSUED + timedelta(hours=hour + 2.5), ISSUED + timedelta(hours=8.5)
    risk = NightRisk(participant="p", status="forecast", begin=six - timedelta(hours=6), end=six)
    night = Night(issued=ISSUED, risk=risk, origin=ISSUED, fan=("M0 0Z",), median="M0 0")
    parts = {"night": night.model_dump_json().encode()}
    profile = {"participant": "p", "time_zone": "Europe/Berlin"}
    row = row_of(Summary(uuid.uuid4(), "north", None, profile, parts, {}), now, Settings())
    assert (row.night is not None) == (hour < 6)
    assert row.picture.fan_x == (12 * 60 - 60 * (hour + 2.5) if drawn else None)
