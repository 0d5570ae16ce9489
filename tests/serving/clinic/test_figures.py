"""The clinic's own hits and false alarms, against what is counted by hand."""

from datetime import UTC, datetime, timedelta

import pytest

from serving.clinic.figures import EDGES, figures
from serving.clinic.summary import PastNight

END = datetime(2026, 1, 31, 5, tzinfo=UTC)


def _nights(*said):
    return [
        PastNight(
            end=END + timedelta(days=day),
            below_70=chance,
            below_54=None,
            lowest_mg_dl=None,
            low=low,
            very_low=None,
            covered=1,
        )
        for day, (chance, low) in enumerate(said)
    ]


def test_hits_and_false_alarms_are_counted_over_nights_that_are_known():
    nights = _nights(
        *[(0.8, True)] * 3,
        *[(0.5, False)] * 2,
        *[(0.1, True)],
        *[(0.1, False)] * 8,
        (None, True),
        (0.9, None),
    )
    found = figures(nights, listed_from=(0.5, 0.1))
    assert (found.nights, found.unforecast, found.unknown, found.lows) == (14, 1, 1, 4)
    likely, watched = found.listed
    assert (likely.chance, likely.hits, likely.false_alarms) == (0.5, 3, 2)
    assert likely.false_alarms_per_patient_week == pytest.approx(1)  # 2 in 14 patient-nights
    assert (watched.chance, watched.hits, watched.false_alarms) == (0.1, 4, 10)


def test_every_night_is_in_one_bin():
    chances = [0.0, *EDGES[1:-1], 1.0, 0.999, 0.049]
    found = figures(_nights(*[(chance, False) for chance in chances]), listed_from=(0.5,))
    assert sum(one.nights for one in found.bins) == len(chances)
    for one in found.bins:
        assert one.begin <= one.forecast <= one.end


def test_a_bin_s_interval_is_wilson_s():
    # 2 of 10 with z = 1.96: (0.2 + z2/20 -+ z sqrt(0.016 + z2/400)) / (1 + z2/10)
    (one,) = figures(_nights(*[(0.2, day < 2) for day in range(10)]), listed_from=(0.5,)).bins
    assert one.share == pytest.approx(0.2)
    assert one.interval == pytest.approx((0.0567, 0.5098), abs=2e-4)


def test_of_no_nights_nothing_is_said():
    found = figures([], listed_from=(0.5,))
    assert (found.nights, found.lows) == (0, 0)
    assert found.listed == []
    assert found.bins == []
