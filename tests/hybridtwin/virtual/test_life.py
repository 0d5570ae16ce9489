from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from hybridtwin.record_files import fingerprint
from hybridtwin.timeline import CHANNEL, to_timeline
from hybridtwin.virtual.days import draw_days
from hybridtwin.virtual.habits import Habits, draw_traits
from hybridtwin.virtual.life import at_first, go_on, live, settle
from hybridtwin.virtual.patients import load_patients
from hybridtwin.virtual.truth import replay

START = pd.Timestamp("2026-03-27T23:00Z")  # the clocks go forward in the night to 29 March
NAMES = ["adult-03", "adolescent-05", "child-06", "adult-03"]


@pytest.fixture(scope="module")
def people():
    return live(load_patients(NAMES), days=2, start=START, seed=3, hours_after=6)


def test_names_and_profiles(people):
    profiles = [person.record.profile for person in people]
    assert [profile.participant for profile in profiles] == [
        "virtual-adult-03",
        "virtual-adolescent-05",
        "virtual-child-06",
        "virtual-adult-03-2",
    ]
    assert {profile.therapy for profile in profiles} == {"pump"}
    assert {profile.time_zone for profile in profiles} == {"Europe/Berlin"}


def test_one_patient_taken_twice_is_two_people(people):
    first, second = people[0].truth, people[3].truth
    assert np.abs(first.glucose_mg_dl - second.glucose_mg_dl).max() > 10


def test_records_hold_what_was_logged(people):
    for person in people:
        record, truth = person.record, person.truth
        end = START + pd.Timedelta(days=2)
        assert record.glucose["time"].iloc[-1] < end
        assert record.glucose["mg_dl"].between(40, 400).all()
        assert set(record.logged["channel"]) == {"bolus", "meals"}
        basal = record.insulin[record.insulin["purpose"] == "basal"]
        assert basal["duration_min"].sum() == 2 * 1440
        assert basal["duration_min"].max() <= 1440
        given = truth.insulin_u_min[: 2 * 1440].sum()
        assert record.insulin["dose_u"].sum() == pytest.approx(given, rel=1e-9)


def test_the_timeline_of_a_record_knows_basal_and_boluses_throughout(people):
    timeline = to_timeline(people[0].record)
    assert timeline.known[:, CHANNEL["basal_u"]].all()
    assert timeline.known[:, CHANNEL["bolus_u"]].all()
    assert timeline.known[:, CHANNEL["glucose_mg_dl"]].float().mean() > 0.85


def test_what_is_counted_is_not_what_is_eaten(people):
    eaten = sum(person.truth.carbs_g_min[: 2 * 1440].sum() for person in people)
    counted = sum(person.record.meals["carbs_g"].sum() for person in people)
    assert 0.5 < counted / eaten < 1.0


def test_the_sensor_errs_as_sensors_do(people):
    for person in people:
        glucose = person.record.glucose
        at = ((glucose["time"] - person.truth.start) // pd.Timedelta(minutes=5)).to_numpy()
        true = person.truth.glucose_mg_dl[at]
        relative = np.abs(glucose["mg_dl"] - true) / true
        assert 0.02 < relative.mean() < 0.15
        error = (glucose["mg_dl"] - true).to_numpy()
        assert np.corrcoef(error[1:], error[:-1])[0, 1] > 0.5


def test_seed_decides_everything_and_company_nothing(people):
    again = live(load_patients(NAMES[:2]), days=2, start=START, seed=3, hours_after=6)
    assert fingerprint([one.record for one in again]) == fingerprint(
        [one.record for one in people[:2]]
    )
    np.testing.assert_allclose(
        again[1].truth.glucose_mg_dl, people[1].truth.glucose_mg_dl, rtol=1e-9
    )
    other = live(load_patients(NAMES[:1]), days=2 / 24, start=START, seed=4)[0].record
    assert not np.array_equal(other.glucose["mg_dl"], again[0].record.glucose["mg_dl"][:24])


def test_days_keep_to_the_wall_clock_across_daylight_saving():
    patient = load_patients(["adult-06"])
    habits = Habits()
    traits = draw_traits(np.random.default_rng(0), habits)

    def meals(start):
        hours = pd.date_range(start, periods=47 * 12, freq="5min").tz_convert("Europe/Berlin")
        days = draw_days(patient, traits, habits, hours, np.random.default_rng(1))
        assert np.all(np.diff(days.basal_u_h)[hours[1:].minute != 0] == 0)
        return list(hours[days.carbs_g > 0].strftime("%a %H:%M"))

    winter, spring, summer = map(meals, ("2026-01-30T23:00Z", START, "2026-06-26T22:00Z"))
    assert len(winter) >= 6
    assert winter == spring == summer


def test_glucose_is_read_every_five_minutes_across_daylight_saving(people):
    times = people[0].record.glucose["time"]
    gaps = times.diff().dropna() / pd.Timedelta(minutes=5)
    assert (gaps >= 1).all()
    assert (gaps == gaps.round()).all()
    assert gaps.median() == 1


def test_replay_of_what_happened_is_what_happened(people):
    truths = [person.truth for person in people]
    begins = [30, 200, 411, 570]
    inputs = [truth.inputs(begin, 240) for truth, begin in zip(truths, begins, strict=True)]
    carbs, insulin = (np.stack(part) for part in zip(*inputs, strict=True))
    glucose = replay(truths, begins, carbs, insulin)
    for row, truth, begin in zip(glucose, truths, begins, strict=True):
        np.testing.assert_allclose(
            row, truth.glucose_mg_dl[begin : begin + 49], rtol=1e-9, atol=1e-9
        )


@pytest.mark.parametrize("person", range(3))
def test_other_doses_and_meals_have_the_right_sign(people, person):
    truth = people[person].truth
    carbs, insulin = truth.inputs(160, 360)
    more_bolus, more_basal, more_carbs, less_basal = (
        insulin.copy(),
        insulin * 1.5,
        carbs.copy(),
        insulin * 0.5,
    )
    more_bolus[0] += 1.0
    more_carbs[:4] += 5.0
    futures = [
        (carbs, insulin),
        (carbs, more_bolus),
        (carbs, more_basal),
        (carbs, less_basal),
        (more_carbs, insulin),
    ]
    what_if = replay(
        [truth] * 5,
        [160] * 5,
        np.stack([one for one, _ in futures]),
        np.stack([two for _, two in futures]),
    )
    difference = what_if[1:, -1] - what_if[0, -1]
    assert np.all(np.sign(difference) == [-1, -1, 1, 1])
    assert np.abs(difference).min() > 0.5


def test_a_future_nobody_lived_is_refused(people):
    truth = people[0].truth
    with pytest.raises(ValueError, match="beyond the days"):
        replay([truth], [len(truth) - 10], np.zeros((1, 60)), np.zeros((1, 60)))


@pytest.mark.slow
def test_glycaemia_is_that_of_people_on_pumps():
    people = live(load_patients(), days=14, start=START, seed=1)
    true = np.stack([person.truth.glucose_mg_dl for person in people])
    low, high = 100 * (true < 70).mean(axis=1), 100 * (true > 180).mean(axis=1)
    assert 135 < np.median(true.mean(axis=1)) < 175
    assert 1 < np.median(low) < 5
    assert low.max() < 15
    assert 15 < np.median(high) < 40


def test_basal_is_a_persons_own():
    patients = load_patients(["adult-03"])
    traits = draw_traits(np.random.default_rng(0), Habits())
    weak, strong = (
        live(patients, 9 / 24, START, 0, traits=[replace(traits, basal_factor=factor)])[0].truth
        for factor in (0.7, 1.3)
    )
    assert strong.glucose_mg_dl[72:90].mean() < weak.glucose_mg_dl[72:90].mean() - 10


def _settled():
    return settle(load_patients(NAMES), days=3, start=START, seed=3)


def test_who_stops_after_every_step_lives_on_without_a_break():
    lives = _settled()
    at_once, whole, truths = go_on(lives, at_first(lives), 864)
    moment, parts = at_first(lives), []
    for step in range(864):
        moment, diary, lived = go_on(lives, moment, 1)
        parts.append(diary)
        for truth, one in zip(truths, lived, strict=True):
            assert truth.index(one.start) == step
            np.testing.assert_array_equal(one.compartments[0], truth.compartments[step])
    for name in ("reading_mg_dl", "bolus_u", "carbs_g", "basal_u_h"):
        joined = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(joined, getattr(whole, name))
    assert moment.step == at_once.step
    np.testing.assert_array_equal(moment.body.compartments, at_once.body.compartments)


def test_after_a_restart_a_day_and_two_more_are_three():
    lives, again = _settled(), _settled()  # nothing is handed on but the moment
    _, whole, _ = go_on(lives, at_first(lives), 864)
    moment, _, _ = go_on(lives, at_first(lives), 288)
    _, rest, _ = go_on(again, moment, 576)
    np.testing.assert_array_equal(rest.reading_mg_dl, whole.reading_mg_dl[288:])
    np.testing.assert_array_equal(rest.bolus_u, whole.bolus_u[288:])


def test_nobody_lives_longer_than_is_settled():
    lives = _settled()
    with pytest.raises(ValueError, match="864 steps are settled, not 865"):
        go_on(lives, at_first(lives), 865)
