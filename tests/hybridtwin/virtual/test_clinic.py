import numpy as np
import pandas as pd
import pytest

from hybridtwin.virtual.clinic import NIGHT_HOURS, Recipe, as_recorded, clinic, settle_clinic
from hybridtwin.virtual.life import at_first, go_on

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


def test_who_goes_on_has_lived_what_the_records_say(people):
    recipe = Recipe(end=END.to_pydatetime(), days=1)
    lives = settle_clinic(recipe)
    assert lives.grid[recipe.recorded] == END
    moment, diary, _ = go_on(lives, at_first(lives), recipe.recorded)
    for number, person in enumerate(people):
        shown = diary.reading_mg_dl[:, number]
        np.testing.assert_array_equal(person.record.glucose["mg_dl"], shown[~np.isnan(shown)])
        now = person.truth.index(END)
        np.testing.assert_array_equal(
            moment.body.compartments[:, number], person.truth.compartments[now]
        )
    _, after, _ = go_on(lives, moment, 4 * 12)
    silent = np.isnan(after.reading_mg_dl[:12]).all(axis=0)
    assert silent.sum() == 1
    assert not np.isnan(after.reading_mg_dl[12:, silent]).all()  # another sensor is put on
    unknown = np.isnan(as_recorded(after).basal_u_h).any(axis=0)
    assert unknown.sum() == 1
