"""The night that comes, and who needs attention first."""

import pandas as pd
import pytest
import torch

from hybridtwin.forecast import EventProbabilities
from hybridtwin.plan import HORIZON_MAX_MIN
from hybridtwin.registry import load_twin
from hybridtwin.review.night import as_likely, coming_night, in_reach
from hybridtwin.review.review import by_attention, review_night
from hybridtwin.trust import STALE_MIN
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
    assert fine.risk.end is not None
    assert fine.risk.begin <= fine.risk.nadir.time <= fine.risk.end


@pytest.mark.parametrize(
    ("now", "reached"),
    [("12:00", False), ("18:59", False), ("19:00", True), ("23:30", True), ("05:45", True)],
)
def test_a_night_in_reach_is_not_refused_for_the_hour(now: str, reached: bool) -> None:
    """Not even with a last reading that is almost stale."""
    moment = pd.Timestamp(f"2026-03-02T{now}+01:00")
    assert in_reach(moment, "Europe/Madrid") == reached
    _, end = coming_night(moment, "Europe/Madrid")
    last = moment - pd.Timedelta(minutes=STALE_MIN)
    assert (end - last <= pd.Timedelta(minutes=HORIZON_MAX_MIN)) == reached


def test_noon_is_too_early_to_review_the_night() -> None:
    record = history(hours=29)
    review = review_night(load_twin(), record)
    assert review.risk.status == "refused"
    assert "evening" in review.risk.reason


def test_a_night_is_reviewed_until_it_is_too_short_for_a_low() -> None:
    twin, record = load_twin(), history(hours=46.5)  # to half past five
    last = record.glucose["time"].iloc[-1]
    for minute in range(30):
        now = last + pd.Timedelta(minutes=minute)
        risk = review_night(twin, record, now).risk
        assert in_reach(now, record.profile.time_zone) == (minute <= 15)
        assert risk.status == ("forecast" if minute <= 15 else "refused")
        assert risk.status == "forecast" or "over" in risk.reason


@pytest.mark.parametrize("likely", [(0.1, 0.0), (0.25, 0.1), (0.7, 0.3), (1.0, 0.2), (0.0, 0.0)])
def test_as_many_paths_are_low_as_lows_are_likely(likely: tuple[float, float]) -> None:
    """Of 100 paths half are low and a quarter very low; the trees say otherwise."""
    depths = torch.tensor([120.0] * 50 + [65.0] * 25 + [50.0] * 25)
    paths = depths.unsqueeze(1).repeat(1, 12)
    said = EventProbabilities(below_70=likely[0], below_54=likely[1], above_180=0, above_250=0)
    chosen = paths[as_likely(paths, said)]
    for limit, share in zip((70, 54), likely, strict=True):
        assert float((chosen < limit).all(1).float().mean()) == pytest.approx(share, abs=0.011)


def test_a_low_that_no_path_has_leaves_the_others_as_they_are() -> None:
    paths = torch.full((10, 12), 120.0)
    said = EventProbabilities(below_70=1, below_54=0, above_180=0, above_250=0)
    assert as_likely(paths, said).tolist() == list(range(10))


def test_the_lowest_point_tells_of_the_same_night_as_the_probabilities() -> None:
    twin, record = load_twin(), history(hours=39.5)  # at half past nine in the evening
    review = review_night(twin, record)
    assert review.forecast is not None
    assert review.risk.events is not None
    assert review.risk.begin is not None
    assert review.risk.end is not None
    night = review.forecast.window(
        pd.Timestamp(review.risk.begin), pd.Timestamp(review.risk.end)
    ).events()
    assert night.below_70 == pytest.approx(review.risk.events.below_70, abs=0.006)
    assert night.below_54 == pytest.approx(review.risk.events.below_54, abs=0.006)
