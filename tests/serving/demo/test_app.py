"""What the virtual people's app sends: rows that depend on nothing but their five minutes."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from hybridtwin.virtual.clinic import Recipe, as_recorded, settle_clinic
from hybridtwin.virtual.life import at_first, go_on
from serving.demo.app import batch, steps_begun

END = pd.Timestamp("2026-05-04 21:30", tz="Europe/Berlin")
WITHOUT_BASAL = 8


@pytest.fixture(scope="module")
def day():
    lives = settle_clinic(Recipe(end=END.to_pydatetime(), count=9, days=1))
    _, diary, _ = go_on(lives, at_first(lives), 288)
    return lives, as_recorded(diary)


def _cut(diary, begin, end):
    return type(diary)(**{name: column[begin:end] for name, column in vars(diary).items()})


def test_rows_are_the_same_however_they_are_sent(day):
    lives, diary = day
    times = lives.grid[:288].tz_convert("UTC")
    for person in range(9):
        whole = batch(diary, person, times)
        for cuts in ([0, 288], [0, 1, 2, 3, 288], range(0, 289, 12)):
            parts = [
                batch(_cut(diary, begin, end), person, times[begin:end])
                for begin, end in zip(cuts, list(cuts)[1:], strict=False)
            ]
            for kind in ("glucose", "insulin", "meals"):
                assert [row for part in parts for row in part[kind]] == whole[kind]
            spans = [part["complete"]["insulin"] for part in parts]
            assert spans[0]["from"] == whole["complete"]["insulin"]["from"]
            assert spans[-1]["to"] == whole["complete"]["insulin"]["to"]
            assert all(one["to"] == next_["from"] for one, next_ in pairwise(spans))


def test_all_that_was_logged_is_sent(day):
    lives, diary = day
    times = lives.grid[:288].tz_convert("UTC")
    for person in range(9):
        sent = batch(diary, person, times)
        basal = sum(row["dose_u"] for row in sent["insulin"] if row["purpose"] == "basal")
        bolus = sum(row["dose_u"] for row in sent["insulin"] if row["purpose"] == "bolus")
        assert basal == pytest.approx(np.nansum(diary.basal_u_h[:, person]) / 12)
        assert (basal == 0) == (person == WITHOUT_BASAL)
        assert bolus == pytest.approx(diary.bolus_u[:, person].sum())
        assert sum(row["carbs_g"] for row in sent["meals"]) == diary.carbs_g[:, person].sum()
        shown = diary.reading_mg_dl[:, person]
        assert [row["value"] for row in sent["glucose"]] == list(shown[~np.isnan(shown)])


def test_a_step_is_sent_when_it_begins(day):
    grid = day[0].grid
    second = pd.Timedelta(seconds=1)
    assert steps_begun(grid, (grid[0] - second).to_pydatetime()) == 0
    assert steps_begun(grid, grid[0].to_pydatetime()) == 1
    assert steps_begun(grid, (grid[7] - second).to_pydatetime()) == 7
    assert steps_begun(grid, grid[7].to_pydatetime()) == 8
