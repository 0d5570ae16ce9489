import numpy as np
import pandas as pd
import pytest

from hybridtwin.errors import HistoryError
from hybridtwin.glycemia.summary import glycemia
from tests.hybridtwin.traces import MIDNIGHT, record_of, wave

DAY = pd.Timedelta(days=1)


def test_figures_of_days_whose_shares_are_known():
    day = np.repeat([50.0, 60.0, 120.0, 200.0, 300.0], [5, 5, 46, 24, 20])
    found = glycemia(record_of(np.tile(day, 40)))
    assert found.percents == pytest.approx(
        {"very_low": 5, "low": 5, "target": 46, "high": 24, "very_high": 20}, abs=1e-9
    )
    assert found.risk_index == pytest.approx(78.2)
    assert found.risk_zone == "D"
    assert found.mean_mg_dl == pytest.approx(168.7)
    assert found.gmi_percent == pytest.approx(3.31 + 0.02392 * 168.7)
    assert found.tight_percent == pytest.approx(46, abs=1e-9)


def test_a_fortnight_that_is_worn_is_trusted():
    found = glycemia(record_of(wave(14)))
    assert found.trusted
    assert found.days == 14
    assert found.worn_percent == 100
    assert found.begin == MIDNIGHT
    assert found.end == MIDNIGHT + 14 * DAY


def test_only_the_last_fortnight_counts():
    values = np.concatenate([np.full(3 * 288, 300.0), np.full(14 * 288, 110.0)])
    found = glycemia(record_of(values))
    assert found.percents["target"] == 100
    earlier = glycemia(record_of(values), end=MIDNIGHT + 3 * DAY)
    assert earlier.percents["very_high"] == 100
    assert earlier.days == 3


@pytest.mark.parametrize(("hours", "trusted"), [(17, True), (16, False)])
def test_too_little_wear_is_said(hours, trusted):
    values = wave(14)
    values[np.arange(len(values)) // 12 % 24 >= hours] = np.nan
    values[-1] = 120
    found = glycemia(record_of(values))
    assert found.worn_percent == pytest.approx(100 * hours / 24, abs=0.1)
    assert found.trusted is trusted
    assert trusted or "70 % are needed" in found.lacking[0]


def test_too_few_days_are_said():
    found = glycemia(record_of(wave(9)))
    assert found.lacking == ("9.0 days of data; 14 are needed",)


def test_less_than_a_day_is_refused():
    with pytest.raises(HistoryError, match="A day is the least"):
        glycemia(record_of(wave(0.9)))
    with pytest.raises(HistoryError, match="no reading in these days"):
        glycemia(record_of(wave(2)), end=MIDNIGHT)


def test_episodes_are_counted():
    values = np.full(2 * 288, 120.0)
    values[50:54] = 65
    values[100:103] = 50
    values[200:220] = 260
    found = glycemia(record_of(values))
    assert found.episodes == {"below_54": 1, "below_70": 2, "above_180": 1, "above_250": 1}
