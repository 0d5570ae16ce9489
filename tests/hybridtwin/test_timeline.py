from collections.abc import Sequence
from typing import TypeVar, get_args

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridtwin.errors import HistoryError
from hybridtwin.events import (
    STATED_EXERTION,
    Activity,
    Condition,
    Dose,
    Event,
    Glucagon,
    GlucoseReading,
    InsulinKind,
    Meal,
    Profile,
)
from hybridtwin.physiology.insulin import ENTRIES
from hybridtwin.record import Record, from_events
from hybridtwin.timeline import (
    BOLUS,
    CARBS,
    CHANNEL,
    LONG_ACTING,
    MODULATORS,
    Timeline,
    to_timeline,
)
from tests.hybridtwin.people import history

START = pd.Timestamp("2024-05-01T00:00Z")
SPAN_MIN = 48 * 60
AnEvent = TypeVar("AnEvent", bound=Event)


def minutes(count: float) -> pd.Timestamp:
    return START + pd.Timedelta(seconds=round(60 * count))


def column(timeline: Timeline, name: str) -> np.ndarray:
    return timeline.values[:, CHANNEL[name]].numpy()


def known(timeline: Timeline, name: str) -> np.ndarray:
    return timeline.known[:, CHANNEL[name]].numpy()


def readings(count: int = SPAN_MIN // 5 + 1) -> list[GlucoseReading]:
    return [GlucoseReading(time=minutes(5 * k), mg_dl=100 + k % 50) for k in range(count)]


amounts = st.floats(0.1, 20)
grams = st.floats(0, 200)
unless_unknown = st.one_of(st.none(), grams)
moments = st.floats(0, SPAN_MIN - 300)
kinds = st.sampled_from(InsulinKind)
times = moments.map(minutes)
spans = st.one_of(st.just(0.0), st.floats(1, 290))
boluses = st.builds(Dose, time=times, dose_u=amounts, duration_min=spans, kind=kinds)
rates = st.builds(
    Dose,
    time=times,
    dose_u=amounts,
    duration_min=st.floats(40, 290),
    kind=kinds,
    purpose=st.just("basal"),
)
plates = st.builds(
    Meal,
    time=times,
    carbs_g=grams,
    fat_g=unless_unknown,
    protein_g=unless_unknown,
    fibre_g=unless_unknown,
    glycaemic_index=st.one_of(st.none(), st.floats(0, 150)),
    alcohol_g=unless_unknown,
    liquid=st.booleans(),
)
shots = st.builds(Glucagon, time=times, dose_ug=st.floats(0, 3000))


def several(events: st.SearchStrategy[AnEvent]) -> st.SearchStrategy[list[AnEvent]]:
    """In order of time, none twice."""
    return st.lists(events, max_size=8, unique_by=repr).map(
        lambda found: sorted(found, key=lambda event: event.time)
    )


def summed(timeline: Timeline, names: Sequence[str]) -> float:
    return float(sum(column(timeline, name).sum() for name in names))


@settings(deadline=None, max_examples=40)
@given(several(st.one_of(boluses, rates)), several(plates), several(shots))
def test_every_unit_and_gram_arrives_on_the_grid_once(
    doses: list[Dose], meals: list[Meal], glucagon: list[Glucagon]
) -> None:
    record = from_events(Profile(), readings(), doses, meals, glucagon=glucagon)
    timeline = to_timeline(record)
    long = [dose.dose_u for dose in doses if dose.kind.acts_long]
    short = [dose for dose in doses if not dose.kind.acts_long]
    pump = [dose.dose_u for dose in short if dose.purpose == "basal"]
    bolus = [dose.dose_u for dose in short if dose.purpose == "bolus"]
    for names, taken in (
        (BOLUS, bolus),
        (("basal_u",), pump),
        (LONG_ACTING, long),
        (CARBS, [meal.carbs_g for meal in meals]),
        (("fat_g",), [meal.fat_g or 0 for meal in meals]),
        (("protein_g",), [meal.protein_g or 0 for meal in meals]),
        (("alcohol_g",), [meal.alcohol_g or 0 for meal in meals]),
        (("glucagon_ug",), [dose.dose_ug for dose in glucagon]),
    ):
        assert summed(timeline, names) == pytest.approx(sum(taken), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("kind", InsulinKind)
def test_each_kind_enters_where_physiology_says(kind: InsulinKind) -> None:
    dose = Dose(time=minutes(60), dose_u=10, kind=kind)
    timeline = to_timeline(from_events(Profile(), readings(), [dose], logged=("bolus",)))
    entered = {name: float(column(timeline, name)[12]) for name in (*BOLUS, *LONG_ACTING)}
    assert {name: u for name, u in entered.items() if u} == pytest.approx(
        {name: 10 * share for name, share in ENTRIES[kind].items()}
    )
    covered = [known(timeline, name).sum() for name in ("basal_u", *LONG_ACTING)]
    hours = 36 if kind.acts_long else 0
    assert covered == [hours * 12] * len(covered)
    assert all(known(timeline, name).all() for name in BOLUS)


def test_a_meal_goes_the_way_of_its_composition() -> None:
    def share(way: str, **composition: float | bool) -> float:
        meal = Meal.model_validate({"time": minutes(0), "carbs_g": 50} | composition)
        timeline = to_timeline(from_events(Profile(), readings(), meals=[meal]))
        return float(column(timeline, way)[0]) / 50

    assert share("carbs_g") == pytest.approx(1)
    assert share("fast_carbs_g", liquid=True) > share("fast_carbs_g") == 0
    assert share("slow_carbs_g", fat_g=60) > share("slow_carbs_g", fat_g=20) > 0
    assert share("slow_carbs_g", glycaemic_index=30) > share("slow_carbs_g") == 0


def test_who_states_no_alcohol_had_none_and_who_states_no_fat_does_not_know() -> None:
    meal = Meal(time=minutes(60), carbs_g=30, protein_g=9)
    timeline = to_timeline(from_events(Profile(), readings(), meals=[meal], logged=("meals",)))
    for name in (*CARBS, "protein_g", "alcohol_g"):
        assert known(timeline, name).all()
    assert np.flatnonzero(~known(timeline, "fat_g")).tolist() == [12]


@pytest.mark.parametrize(
    ("kind", "intensity", "aerobic", "sprint"),
    [
        (None, "light", STATED_EXERTION["light"], 0),
        ("aerobic", "vigorous", STATED_EXERTION["vigorous"], 0),
        ("anaerobic", "vigorous", 0, STATED_EXERTION["vigorous"]),
        ("mixed", "vigorous", STATED_EXERTION["vigorous"] / 2, STATED_EXERTION["vigorous"] / 2),
        ("anaerobic", None, 0, STATED_EXERTION["moderate"]),
    ],
)
def test_stated_exercise_is_aerobic_or_a_sprint_or_both(
    kind: str | None, intensity: str | None, aerobic: float, sprint: float
) -> None:
    stated = {"time": minutes(5), "duration_min": 10, "kind": kind, "intensity": intensity}
    moves = [
        Activity.model_validate(stated),
        Activity(time=minutes(30), duration_min=10, steps=500),
    ]
    timeline = to_timeline(from_events(Profile(), readings(), activity=moves))
    for name, exertion in (("stated_exertion", aerobic), ("stated_sprint", sprint)):
        np.testing.assert_allclose(column(timeline, name)[1:3], exertion, rtol=1e-6)
        assert np.flatnonzero(known(timeline, name)).tolist() == [1, 2]


spells = st.builds(
    Condition,
    time=st.integers(-300, 500).map(minutes),
    kind=st.sampled_from(["illness", "short sleep"]),
    duration_min=st.integers(1, 400),
    severity=st.integers(0, 10).map(lambda tenth: tenth / 10),
)


@settings(deadline=None, max_examples=60)
@given(several(spells))
def test_a_condition_is_averaged_over_each_step_and_the_larger_wins(
    conditions: list[Condition],
) -> None:
    timeline = to_timeline(from_events(Profile(), readings(), conditions=conditions))
    for kind, name in (("illness", "illness"), ("short sleep", "short_sleep"), ("", "stress")):
        by_minute = np.zeros(len(timeline) * 5)
        for one in conditions:
            begin = (pd.Timestamp(one.time) - START) // pd.Timedelta(minutes=1)
            lasting = slice(max(begin, 0), max(begin + int(one.duration_min), 0))
            if one.kind == kind:
                by_minute[lasting] = np.maximum(by_minute[lasting], one.severity)
        expected = by_minute.reshape(-1, 5).mean(axis=1)
        np.testing.assert_allclose(column(timeline, name), expected, atol=1e-6)


def test_every_condition_has_a_channel_of_its_own() -> None:
    conditions = [
        Condition.model_validate({"time": minutes(at), "kind": kind, "duration_min": 60})
        for at, kind in enumerate(get_args(Condition.model_fields["kind"].annotation))
    ]
    timeline = to_timeline(from_events(Profile(), readings(), conditions=conditions))
    for name in (*MODULATORS, "site_loss"):
        assert column(timeline, name).sum() == pytest.approx(12)
        assert known(timeline, name).all()


def test_a_rate_is_even_over_its_steps_and_known_only_there() -> None:
    dose = Dose(time=minutes(2.5), dose_u=1.2, duration_min=60, purpose="basal")
    timeline = to_timeline(from_events(Profile(), readings(), [dose]))
    basal = column(timeline, "basal_u")
    np.testing.assert_allclose(basal[1:12], 0.1, rtol=1e-5)
    np.testing.assert_allclose(basal[[0, 12]], 0.05, rtol=1e-5)
    assert basal[13:].sum() == 0
    assert known(timeline, "basal_u")[:13].all()
    assert not known(timeline, "basal_u")[13:].any()


def test_missing_is_never_a_known_zero() -> None:
    rows = [*readings(10), *readings(40)[20:]]
    timeline = to_timeline(from_events(Profile(), rows))
    assert not known(timeline, "glucose_mg_dl")[10:20].any()
    assert known(timeline, "glucose_mg_dl")[20:].all()
    for name in (*BOLUS, "basal_u", *LONG_ACTING, *CARBS, "alcohol_g", "steps", "heart_rate_bpm"):
        assert not known(timeline, name).any()


@pytest.mark.parametrize(
    ("day", "steps"), [("2024-03-31", 23 * 12), ("2024-10-27", 25 * 12), ("2024-06-01", 24 * 12)]
)
def test_days_of_clock_changes_have_23_and_25_hours(day: str, steps: int) -> None:
    zone = "Europe/Madrid"
    start = pd.Timestamp(day, tz=zone).tz_convert("UTC")
    end = (pd.Timestamp(day) + pd.Timedelta(days=1)).tz_localize(zone).tz_convert("UTC")
    times = pd.date_range(start, end, freq="5min")
    glucose = pd.DataFrame({"time": times, "mg_dl": 120.0})
    timeline = to_timeline(Record(Profile(time_zone=zone), glucose=glucose))
    clock = timeline.minute_of_day.numpy()
    assert len(timeline) - 1 == steps
    assert (clock[0], clock[-1]) == (0, 0)
    three = int(np.flatnonzero(clock == 180)[0])
    assert (timeline.time(three) - start) / pd.Timedelta(hours=1) == (steps / 12) - 21
    assert np.unique(timeline.weekday.numpy()[:-1]).size == 1


def test_interpolated_glucose_is_not_original() -> None:
    rows = [
        GlucoseReading(time=minutes(5 * k), mg_dl=100 + k, interpolated=bool(k % 3))
        for k in range(12)
    ]
    timeline = to_timeline(from_events(Profile(), rows))
    assert timeline.original.tolist() == [k % 3 == 0 for k in range(12)]
    assert known(timeline, "glucose_mg_dl").all()


def test_vitals_are_averaged_and_steps_are_summed() -> None:
    moves = [
        Activity(time=minutes(0), duration_min=15, steps=300, heart_rate_bpm=90),
        Activity(time=minutes(15), duration_min=15, steps=0, heart_rate_bpm=60),
    ]
    timeline = to_timeline(from_events(Profile(), readings(), activity=moves))
    np.testing.assert_allclose(column(timeline, "steps")[:6], [100, 100, 100, 0, 0, 0], atol=1e-4)
    np.testing.assert_allclose(column(timeline, "heart_rate_bpm")[:6], [90] * 3 + [60] * 3)
    assert known(timeline, "steps")[:6].all()
    assert not known(timeline, "steps")[6:].any()


def test_no_glucose_is_no_history() -> None:
    with pytest.raises(HistoryError, match="no readings"):
        to_timeline(Record(Profile()))


def test_a_part_of_a_timeline_keeps_its_instants() -> None:
    timeline = to_timeline(history(48))
    part = timeline.between(100, 300)
    assert part.time(7) == timeline.time(107)
    assert torch.equal(part.values, timeline.values[100:300])
