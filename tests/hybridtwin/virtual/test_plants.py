"""Whether plants change what they should, on the same people with and without."""

import numpy as np
import pandas as pd
import pytest

from hybridtwin.virtual.patients import load_patients
from hybridtwin.virtual.plants import MEALS, PlantedPerson, PlantKind, live_with_plants

START = pd.Timestamp("2026-01-11T23:00Z")
DAYS = 8


@pytest.fixture(scope="module")
def people() -> dict[PlantKind | None, PlantedPerson]:
    """The same patient with every plant, each living days of their own."""
    kinds = [*PlantKind, None]
    patients = load_patients(["adult-03"] * len(kinds))
    planted = live_with_plants(patients, kinds, DAYS, START, seed=5)
    return {one.kind: one for one in planted}


def by_hour(planted: PlantedPerson) -> np.ndarray:
    """(8, 24) true glucose; the days begin at local midnight."""
    return planted.person.truth.glucose_mg_dl.reshape(DAYS, 24, 12).mean(axis=2)


def low_nights(planted: PlantedPerson, begin_h: int, end_h: int) -> int:
    nights = planted.person.truth.glucose_mg_dl.reshape(DAYS, 24, 12)[:, begin_h:end_h]
    return int((nights.min(axis=(1, 2)) < 70).sum())


def test_lows_come_in_their_half_of_the_night(people):
    early, late, none = (
        people[kind] for kind in (PlantKind.EARLY_NIGHT_LOWS, PlantKind.LATE_NIGHT_LOWS, None)
    )
    assert low_nights(early, 0, 3) >= 2 > low_nights(none, 0, 3)
    assert low_nights(late, 3, 6) >= 2 > low_nights(none, 3, 6)


def test_dawn_raises_glucose_towards_the_morning(people):
    rise = by_hour(people[PlantKind.DAWN])
    assert (rise[:, 6] - rise[:, 3]).mean() > 20


def test_boluses_go_missing_at_their_meal_alone(people):
    planted = people[PlantKind.MISSED_BOLUSES]
    assert planted.part in MEALS
    minute = planted.person.record.insulin["time"].dt.tz_convert("Europe/Berlin")
    bolus = planted.person.record.insulin["purpose"] == "bolus"
    clock = (minute.dt.hour * 60 + minute.dt.minute)[bolus]
    in_time = {
        meal: int(clock.between(begin - 30, end).sum()) for meal, (begin, end) in MEALS.items()
    }
    assert min(in_time, key=lambda meal: in_time[meal]) == planted.part


def test_insulin_that_does_not_arrive_is_logged_all_the_same(people):
    site, none = (people[kind].person for kind in (PlantKind.SITE_PROBLEMS, None))
    arrived = site.truth.insulin_u_min.sum()
    assert arrived < 0.9 * site.record.insulin["dose_u"].sum()
    assert none.truth.insulin_u_min.sum() == pytest.approx(none.record.insulin["dose_u"].sum())
    assert site.truth.glucose_mg_dl.max() > none.truth.glucose_mg_dl.max()


@pytest.mark.parametrize(
    ("kind", "sign"), [(PlantKind.FALLING_SENSITIVITY, -1), (PlantKind.RISING_SENSITIVITY, 1)]
)
def test_sensitivity_changes_to_the_end(people, kind, sign):
    course = np.log(people[kind].person.truth.sensitivity)
    assert sign * course[-288:].mean() > 0.4


def test_exercise_is_logged_by_all_and_acts_where_it_is_planted(people):
    for kind, planted in people.items():
        activity = planted.person.record.activity
        assert len(activity) >= 2
        begin = planted.person.truth.index(activity["time"].iloc[0])
        sensitivity = planted.person.truth.sensitivity[begin : begin + 6].mean()
        if kind is PlantKind.AEROBIC_EXERCISE:
            assert sensitivity > 2
        elif kind is PlantKind.ANAEROBIC_EXERCISE:
            assert sensitivity < 0.6
            assert set(activity["kind"]) == {"anaerobic"}
        elif kind is None:
            assert 0.4 < sensitivity < 2
