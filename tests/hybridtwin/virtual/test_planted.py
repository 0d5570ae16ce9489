"""What is planted into an evening, and the same evening without it."""

import numpy as np
import pandas as pd
import pytest

from hybridtwin.units import STEP_MIN, steps
from hybridtwin.virtual.life import TIME_ZONE, VirtualPerson, live
from hybridtwin.virtual.patients import load_patients
from hybridtwin.virtual.planted import Evening, Planted, plant

MONDAY = pd.Timestamp("2024-03-04", tz=TIME_ZONE)


@pytest.fixture(scope="module")
def person() -> VirtualPerson:
    return live(load_patients(["adult-03"]), 3, MONDAY, seed=2)[0]


@pytest.fixture(scope="module", params=list(Planted))
def pair(request: pytest.FixtureRequest, person: VirtualPerson) -> tuple[Evening, Evening]:
    found = plant(person, MONDAY + pd.Timedelta(days=1), request.param, np.random.default_rng(3))
    assert found is not None
    return found


def test_untouched_nothing_changes_until_now(
    person: VirtualPerson, pair: tuple[Evening, Evening]
) -> None:
    _, untouched = pair
    until = untouched.begin + steps(untouched.now_min) + 1
    np.testing.assert_allclose(
        untouched.lived_mg_dl()[: until - untouched.begin],
        person.truth.glucose_mg_dl[untouched.begin : until],
    )
    pd.testing.assert_frame_equal(
        untouched.record.glucose, person.record.before(untouched.now).glucose
    )


def test_after_now_there_is_basal_alone(pair: tuple[Evening, Evening]) -> None:
    for evening in pair:
        rest = slice(evening.now_min, None)
        assert not evening.inputs.carbs_g_min[rest].any()
        assert not evening.inputs.bolus_u()[rest].any()
        assert (evening.inputs.insulin_u_min[rest] > 0).any()


def test_what_is_planted_lowers_the_night_and_the_readings_as_much(
    pair: tuple[Evening, Evening],
) -> None:
    planted, untouched = pair
    assert planted.ahead_mg_dl().min() < untouched.ahead_mg_dl().min() - 5
    change = planted.lived_mg_dl() - untouched.lived_mg_dl()
    read, before = planted.record.glucose, untouched.record.glucose
    step = (read["time"] - planted.truth.start) / pd.Timedelta(minutes=STEP_MIN)
    after = step.round().astype(int).to_numpy() - planted.begin
    expected = np.where(after >= 0, change[np.maximum(after, 0)], 0)
    difference = (read["mg_dl"] - before["mg_dl"]).to_numpy()
    inside = read["mg_dl"].to_numpy() > 40
    np.testing.assert_allclose(difference[inside], expected[inside], atol=0.51)


def test_the_record_says_what_was_done(person: VirtualPerson) -> None:
    rng = np.random.default_rng(3)
    day = MONDAY + pd.Timedelta(days=1)
    for planted, table, more in (
        (Planted.BOLUS, "insulin", 1),
        (Planted.RUN, "activity", 1),
        (Planted.MEAL, "meals", -1),
    ):
        found = plant(person, day, planted, rng)
        assert found is not None
        rows = [len(getattr(evening.record, table)) for evening in found]
        assert rows[0] - rows[1] == more
