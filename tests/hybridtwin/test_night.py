"""The night that comes, and who needs attention first."""

import pandas as pd
import pytest

from hybridtwin.night import by_attention, coming_night, review_night
from hybridtwin.registry import load_twin
from tests.hybridtwin.people import history


@pytest.mark.parametrize(
    ("now", "begin", "end"),
    [
        ("2026-03-01T21:30+01:00", "2026-03-02T00:00+01:00", "2026-03-02T06:00+01:00"),
        ("2026-03-02T03:10+01:00", "2026-03-02T03:10+01:00", "2026-03-02T06:00+01:00"),
        # The night in which clocks go forward: five hours long.
        ("2026-03-28T22:00+01:00", "2026-03-29T00:00+01:00", "2026-03-29T06:00+02:00"),
        ("2026-10-24T22:00+02:00", "2026-10-25T00:00+02:00", "2026-10-25T06:00+01:00"),
    ],
)
def test_the_coming_night(now: str, begin: str, end: str) -> None:
    found = coming_night(pd.Timestamp(now), "Europe/Madrid")
    assert found == (pd.Timestamp(begin), pd.Timestamp(end))


def test_a_patient_without_a_forecast_is_listed_first_and_never_as_safe() -> None:
    twin = load_twin()
    record = history(hours=39.5)
    now = record.glucose["time"].iloc[-1]
    stale = review_night(twin, record.before(now - pd.Timedelta(hours=3)), now)
    fine = review_night(twin, record, now)
    ordered = by_attention([fine, stale])
    assert ordered[0] is stale
    assert stale.risk.status == "refused"
    assert stale.risk.events is None
    assert "old" in stale.risk.reason
    assert fine.risk.events is not None
    assert fine.forecast is not None
    assert fine.risk.nadir is not None
    assert fine.risk.begin is not None
    assert fine.risk.begin <= fine.risk.nadir.time <= fine.risk.end


def test_noon_is_too_early_to_review_the_night() -> None:
    record = history(hours=29)
    review = review_night(load_twin(), record)
    assert review.risk.status == "refused"
    assert "evening" in review.risk.reason
