import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridtwin.errors import HistoryError
from hybridtwin.events import Activity, Dose, GlucoseReading, InsulinKind, Meal, Profile
from hybridtwin.record import Record, from_events
from hybridtwin.timeline import CHANNEL, Timeline, to_timeline

START = pd.Timestamp("2024-05-01T00:00Z")
SPAN_MIN = 48 * 60


def minutes(count: float) -> pd.Timestamp:
    return START + pd.Timedelta(seconds=round(60 * count))


def column(timeline: Timeline, name: str) -> np.ndarray:
    return timeline.values[:, CHANNEL[name]].numpy()


def known(timeline: Timeline, name: str) -> np.ndarray:
    return timeline.known[:, CHANNEL[name]].numpy()


def readings(count: int = SPAN_MIN // 5 + 1) -> list[GlucoseReading]:
    return [GlucoseReading(time=minutes(5 * k), mg_dl=100 + k % 50) for k in range(count)]


amounts = st.floats(0.1, 20)
moments = st.floats(0, SPAN_MIN - 300)
doses = st.tuples(moments, amounts, st.one_of(st.just(0.0), st.floats(1, 290)))


@settings(deadline=None, max_examples=30)
@given(
    boluses=st.lists(doses, max_size=6),
    rates=st.lists(doses.filter(lambda dose: dose[2] >= 40), max_size=6),
    injections=st.lists(st.tuples(moments, amounts), max_size=3),
    meals=st.lists(st.tuples(moments, amounts), max_size=6),
)
def test_every_unit_and_gram_arrives_on_the_grid(boluses, rates, injections, meals) -> None:
    insulin = [Dose(time=minutes(at), dose_u=u, duration_min=span) for at, u, span in boluses]
    insulin += [
        Dose(time=minutes(at), dose_u=u, duration_min=span, purpose="basal")
        for at, u, span in rates
    ]
    insulin += [
        Dose(time=minutes(at), dose_u=u, purpose="basal", kind=InsulinKind.LONG_ACTING)
        for at, u in injections
    ]
    eaten = [Meal(time=minutes(at), carbs_g=g) for at, g in meals]
    distinct = [dose for at, dose in enumerate(insulin) if dose not in insulin[:at]]
    plates = [meal for at, meal in enumerate(eaten) if meal not in eaten[:at]]
    record = from_events(
        Profile(),
        readings(),
        sorted(distinct, key=lambda dose: dose.time),
        sorted(plates, key=lambda meal: meal.time),
    )
    timeline = to_timeline(record)
    rows = record.insulin
    long_acting = rows["kind"] == "long_acting"
    for name, chosen in (
        ("bolus_u", rows["purpose"] == "bolus"),
        ("basal_u", (rows["purpose"] == "basal") & ~long_acting),
        ("long_acting_u", long_acting),
    ):
        total = rows.loc[chosen, "dose_u"].sum()
        assert column(timeline, name).sum() == pytest.approx(total, rel=1e-4, abs=1e-4)
    grams = record.meals["carbs_g"].sum()
    assert column(timeline, "carbs_g").sum() == pytest.approx(grams, rel=1e-4, abs=1e-4)


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
    for name in ("bolus_u", "basal_u", "carbs_g", "steps", "heart_rate_bpm"):
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
