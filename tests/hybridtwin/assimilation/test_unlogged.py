"""What was not logged, told from readings that the twin's own body made."""

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hybridtwin.assimilation.settings import HindcastNoise, UnloggedSettings
from hybridtwin.assimilation.supposed import drift
from hybridtwin.assimilation.unlogged import Unlogged, looks, merged, unlogged
from hybridtwin.assimilation.weighed import Suppositions, weigh
from hybridtwin.events import Activity, Condition, Dose, Meal
from hybridtwin.native import native_walk
from hybridtwin.plan import Plan
from hybridtwin.record import Record
from hybridtwin.registry import load_twin
from hybridtwin.timeline import to_timeline
from hybridtwin.twin import Twin
from tests.hybridtwin.people import START, history

HOURS = 39.5
SETTINGS = UnloggedSettings(
    noise=HindcastNoise(
        sensor_sd_mg_dl=1,
        rate_sd_mg_dl_min=0.2,
        carbs_share=0.25,
        carbs_time_sd_min=15,
        carbs_late_share=0,
        sensitivity=0.05,
        absorption=0,
    )
)
"""Of a body that is the twin's own."""
BEGIN = START + timedelta(hours=HOURS - 4)
NOW = pd.Timestamp(BEGIN) + pd.Timedelta(hours=4)
DOSE = Dose(time=BEGIN + timedelta(minutes=40), dose_u=4)
LUNCH = Meal(time=BEGIN + timedelta(minutes=50), carbs_g=45)
SNACK = Meal(time=BEGIN + timedelta(minutes=120), carbs_g=50)


@pytest.fixture(scope="module")
def twin() -> Twin:
    return replace(load_twin(), walk=native_walk())


def lived(twin: Twin, **happened: object) -> Record:
    """A record with lunch and its bolus logged, whose last four hours are the twin's own."""
    record = history(HOURS)
    record = replace(record, profile=record.profile.model_copy(update={"therapy": "pump"}))
    belief = twin.believe(record.before(pd.Timestamp(BEGIN)))
    plan = Plan(name="lived", mode="complete", **happened)
    read = twin.forecast(belief, plan, 240).expected_mg_dl.double().numpy()
    glucose = record.glucose.copy()
    glucose.loc[glucose.index[-48:], "mg_dl"] = read
    return replace(record, glucose=glucose)


@pytest.fixture(scope="module")
def snacked(twin: Twin) -> Record:
    return lived(twin, insulin=[DOSE], meals=[LUNCH, SNACK])


def minutes_off(one: Unlogged, time: datetime) -> float:
    apart: float = abs((pd.Timestamp(one.time) - time) / pd.Timedelta(minutes=1))
    return apart


def test_a_meal_is_told_with_its_time_and_grams(twin: Twin, snacked: Record) -> None:
    (meal,) = unlogged(twin, snacked, settings=SETTINGS)
    assert meal.kind == "meal"
    assert minutes_off(meal, SNACK.time) <= 15
    assert meal.amount == pytest.approx(SNACK.carbs_g, rel=0.25)
    assert abs(meal.amount - SNACK.carbs_g) <= 2 * meal.amount_sd
    assert meal.probability >= SETTINGS.told_at
    assert meal.off_mg_dl > 30 > 5 > abs(meal.left_mg_dl)


def test_where_all_was_logged_nothing_is_told(twin: Twin) -> None:
    assert unlogged(twin, lived(twin, insulin=[DOSE], meals=[LUNCH]), settings=SETTINGS) == []


def test_what_waits_in_the_stomach_is_no_second_meal(twin: Twin) -> None:
    parts = [
        LUNCH.model_copy(update={"carbs_g": grams, "time": LUNCH.time + timedelta(minutes=late)})
        for grams, late in ((LUNCH.carbs_g - 30, 0), (30, 75))
    ]
    record = lived(twin, insulin=[DOSE], meals=parts)
    sooner = SETTINGS.model_copy(update={"told_at": 0.5})
    waits = SETTINGS.noise.model_copy(update={"carbs_late_share": 0.3})
    told = unlogged(twin, record, settings=sooner)
    assert [one.kind for one in told] == ["meal"]
    assert unlogged(twin, record, settings=sooner.model_copy(update={"noise": waits})) == []


def test_a_meal_that_is_logged_afterwards_is_no_longer_told(twin: Twin, snacked: Record) -> None:
    (meal,) = unlogged(twin, snacked, settings=SETTINGS)
    row = snacked.meals.tail(1).assign(time=pd.Timestamp(meal.time), carbs_g=meal.amount)
    meals = pd.concat([snacked.meals, row])
    told = unlogged(twin, replace(snacked, meals=meals), settings=SETTINGS)
    # What is left to tell: nobody took a bolus for it.
    assert [one.kind for one in told] in ([], ["missed bolus"])


def test_nothing_that_comes_later_is_looked_at(twin: Twin, snacked: Record) -> None:
    now = NOW - pd.Timedelta(minutes=30)
    early = unlogged(twin, snacked, now, SETTINGS)
    timeline = to_timeline(snacked)
    whole = looks(twin, snacked, timeline, torch.tensor([timeline.index(now)]), SETTINGS)[0]
    assert [one.kind for one in early] == ["meal"]
    assert whole == early


def test_a_failing_site_is_told(twin: Twin) -> None:
    fails = Condition(
        time=BEGIN + timedelta(minutes=5), duration_min=600, kind="site failure", severity=1
    )
    told = unlogged(
        twin, lived(twin, insulin=[DOSE], meals=[LUNCH], conditions=[fails]), settings=SETTINGS
    )
    assert [one.kind for one in told] == ["site failure"]


def test_exercise_is_told(twin: Twin) -> None:
    bout = Activity(
        time=BEGIN + timedelta(minutes=100), duration_min=60, kind="aerobic", intensity="moderate"
    )
    told = unlogged(
        twin, lived(twin, insulin=[DOSE], meals=[LUNCH], activity=[bout]), settings=SETTINGS
    )
    assert [one.kind for one in told] == ["exercise"]
    assert minutes_off(told[0], bout.time) <= 45


def without_bolus(record: Record) -> Record:
    late = record.insulin["time"] >= pd.Timestamp(DOSE.time)
    return replace(record, insulin=record.insulin[~late])


def test_a_bolus_is_missed_only_where_readings_say_so(twin: Twin) -> None:
    # As far as it is logged, each of both ate without a bolus.
    missed, given = (
        without_bolus(lived(twin, insulin=doses, meals=[LUNCH])) for doses in ([], [DOSE])
    )
    (told,) = unlogged(twin, missed, settings=SETTINGS)
    assert told.kind == "missed bolus"
    assert pd.Timestamp(told.time) == pd.Timestamp(LUNCH.time)
    # All meals before had 4 U.
    assert told.amount == pytest.approx(4.0)
    assert told.amount_sd == pytest.approx(0.0, abs=1e-6)
    assert told.off_mg_dl > 0
    assert "missed bolus" not in [one.kind for one in unlogged(twin, given, settings=SETTINGS)]


def test_a_sensor_that_jumps_makes_no_meal(twin: Twin) -> None:
    record = lived(twin, insulin=[DOSE], meals=[LUNCH])
    late = record.glucose["time"] >= NOW - pd.Timedelta(hours=2)
    jumped = record.glucose.assign(mg_dl=record.glucose["mg_dl"] + 60 * late)
    assert "meal" not in [
        one.kind for one in unlogged(twin, replace(record, glucose=jumped), settings=SETTINGS)
    ]


def test_in_a_gap_nothing_is_told(twin: Twin, snacked: Record) -> None:
    times = snacked.glucose["time"]
    gap = (times > pd.Timestamp(SNACK.time)) & (times < NOW - pd.Timedelta(minutes=2))
    assert unlogged(twin, replace(snacked, glucose=snacked.glucose[~gap]), settings=SETTINGS) == []


def test_where_boluses_were_not_logged_nothing_is_told(twin: Twin, snacked: Record) -> None:
    logged = snacked.logged[snacked.logged["channel"] != "bolus"]
    assert unlogged(twin, replace(snacked, logged=logged), settings=SETTINGS) == []


def test_what_two_looks_tell_is_told_once_as_surely_as_it_was() -> None:
    def meal(minute: int, probability: float) -> Unlogged:
        return Unlogged(
            kind="meal",
            time=START + timedelta(minutes=minute),
            time_sd_min=10,
            amount=40,
            amount_sd=10,
            unit="g",
            probability=probability,
            readings=12,
            off_mg_dl=40,
            left_mg_dl=1,
        )

    told = merged([[meal(300, 0.8)], [meal(10, 0.9), meal(310, 0.95)], [meal(320, 0.85)]])
    assert told == [meal(10, 0.9), meal(310, 0.95)]


@given(
    st.integers(0, 2**32 - 1),
    st.floats(0.1, 300),
    st.floats(0.5, 50),
    st.lists(st.booleans(), min_size=12, max_size=12),
)
def test_probabilities_of_a_look_add_up_to_one(
    seed: int, size: float, freedom: float, read: list[bool]
) -> None:
    g = torch.Generator().manual_seed(seed)
    count = len(read)
    values = 150 + size * torch.randn(2, count, generator=g).double()
    values[:, ~torch.tensor(read)] = torch.nan
    root = torch.randn(2, count, count, generator=g).double()
    covariance = root @ root.transpose(1, 2) + torch.eye(count)
    expected = 150 + size * torch.randn(2, 3, 4, count, generator=g).double()
    log_prior = -5 * torch.rand(2, 3, 4, generator=g).double()
    log_prior[0] = -torch.inf  # impossible for the first
    each = Suppositions((1.0, 2.0, 3.0, 4.0), expected, log_prior)
    logged = torch.full((2, count), 150.0).double()
    found = weigh(values, logged, {"one": each}, covariance, freedom)
    total = found.nothing + found.kinds["one"].sum((1, 2))
    torch.testing.assert_close(total, torch.ones(2).double())
    assert (found.kinds["one"] >= 0).all()
    assert (found.kinds["one"][0] == 0).all()
    if not any(read):  # then the odds are those beforehand
        odds = found.kinds["one"][1] / found.nothing[1]
        torch.testing.assert_close(odds, log_prior[1].exp())


def test_the_drift_is_an_integrated_rate() -> None:
    """Soon it grows like a line, late like a random walk: Uhlenbeck & Ornstein 1930."""
    short = drift(3, HindcastNoise(rate_sd_mg_dl_min=0.5, rate_memory_min=1e6))
    np.testing.assert_allclose(short.diagonal().sqrt(), 0.5 * np.array([5, 10, 15]), rtol=1e-3)
    noise = HindcastNoise(rate_sd_mg_dl_min=0.5, rate_memory_min=5)
    late = drift(2000, noise).diagonal()
    assert float(late[-1] - late[-2]) == pytest.approx(2 * 0.5**2 * 5 * 5, rel=1e-6)
    # The rate's memory is what two spans share: by simulation of the same process.
    rng, count = np.random.default_rng(0), 4000
    rates = rng.normal(0, 0.5, count)
    fine, paths = 0.1, []
    total = np.zeros(count)
    for step in range(1, 301):
        kept = np.exp(-fine / 20)
        total += fine * rates
        rates = kept * rates + 0.5 * np.sqrt(1 - kept**2) * rng.normal(size=count)
        if step % 150 == 0:
            paths.append(total.copy())
    found = drift(6, HindcastNoise(rate_sd_mg_dl_min=0.5, rate_memory_min=20))
    np.testing.assert_allclose(np.cov(paths), found[2::3, 2::3], rtol=0.1)
