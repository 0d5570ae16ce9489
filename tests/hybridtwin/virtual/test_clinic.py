import pandas as pd
import pytest

from hybridtwin.virtual.clinic import NIGHT_HOURS, clinic

END = pd.Timestamp("2026-05-04 21:30", tz="Europe/Berlin")


@pytest.fixture(scope="module")
def people():
    return clinic(END, days=1)


def test_twelve_people_whose_records_end_this_evening(people):
    assert len({person.record.profile.participant for person in people}) == 12
    last = [person.record.glucose["time"].iloc[-1] for person in people]
    assert max(last) == END - pd.Timedelta(minutes=5)
    assert sum(time < END - pd.Timedelta(hours=2) for time in last) == 1
    for person in people:
        for rows in (person.record.insulin, person.record.meals):
            ends = rows["time"] + pd.to_timedelta(rows.get("duration_min", 0.0), unit="min")
            assert ends.max() <= END


def test_one_does_not_record_basal(people):
    without = [
        person for person in people if not (person.record.insulin["purpose"] == "basal").any()
    ]
    assert len(without) == 1


def test_the_truth_goes_on_into_a_night_with_lows(people):
    lows = 0
    for person in people:
        truth = person.truth
        now = truth.index(END)
        assert len(truth) - now == NIGHT_HOURS * 12
        lows += bool((truth.glucose_mg_dl[now:] < 70).sum() >= 3)
    assert 2 <= lows <= 7
