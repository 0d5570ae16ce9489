import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridtwin.ask import read_plan
from hybridtwin.errors import PlanError
from hybridtwin.events import Activity, Condition, Dose, Event, Glucagon, InsulinKind, Meal

ZONE = "Europe/Berlin"
NOW = pd.Timestamp("2026-11-22T20:30Z")

Said = tuple[str, Event]


def at(text: str) -> pd.Timestamp:
    return pd.Timestamp(f"2026-11-{text}", tz=ZONE)


minutes = st.integers(0, 12 * 60)
whens = st.one_of(
    st.just(("now", NOW)),
    minutes.map(lambda after: (f"at +{after}min", NOW + pd.Timedelta(minutes=after))),
    minutes.map(lambda after: (f"at + {after} min", NOW + pd.Timedelta(minutes=after))),
    st.integers(0, 12).map(lambda after: (f"at +{after}h", NOW + pd.Timedelta(hours=after))),
    st.integers(0, 24 * 60 - 1)
    .map(lambda after: (NOW + pd.Timedelta(minutes=after)).tz_convert(ZONE))
    .map(lambda time: (f"at {time:%H:%M}", time)),
)
tenths = st.integers(0, 300).map(lambda tenth: tenth / 10)


@st.composite
def events(draw: st.DrawFn) -> Said:
    when, time = draw(whens)
    amount = draw(tenths)
    kind = draw(st.sampled_from(InsulinKind))
    long = draw(st.sampled_from([kind for kind in InsulinKind if kind.acts_long]))
    span = draw(st.integers(1, 240))
    how = draw(st.sampled_from(["light", "moderate", "vigorous"]))
    effort = draw(st.sampled_from(["aerobic", "anaerobic", "mixed"]))
    state = draw(st.sampled_from(["illness", "stress"]))
    fat, protein = draw(tenths), draw(tenths)
    return draw(
        st.sampled_from(
            [
                (f"bolus {amount} {when}", Dose(time=time, dose_u=amount)),
                (f"bolus {amount}u {when}", Dose(time=time, dose_u=amount)),
                (f"Bolus {amount} U {kind} {when}", Dose(time=time, dose_u=amount, kind=kind)),
                (
                    f"basal {amount} {long} {when}",
                    Dose(time=time, dose_u=amount, kind=long, purpose="basal"),
                ),
                (
                    f"basal {amount} U/h for {span} min {when}",
                    Dose(time=time, dose_u=amount * span / 60, duration_min=span, purpose="basal"),
                ),
                (f"carbs {amount}g {when}", Meal(time=time, carbs_g=amount)),
                (f"carbs  {amount}  {when}", Meal(time=time, carbs_g=amount)),
                (f"carbs {amount} liquid {when}", Meal(time=time, carbs_g=amount, liquid=True)),
                (
                    f"carbs {amount} fat {fat} protein {protein} {when}",
                    Meal(time=time, carbs_g=amount, fat_g=fat, protein_g=protein),
                ),
                (
                    f"carbs {amount} g protein {protein} g liquid {when}",
                    Meal(time=time, carbs_g=amount, protein_g=protein, liquid=True),
                ),
                (f"alcohol {amount} {when}", Meal(time=time, carbs_g=0, alcohol_g=amount)),
                (
                    f"exercise {span} min {how} {when}",
                    Activity(time=time, duration_min=span, kind="aerobic", intensity=how),
                ),
                (
                    f"exercise {span} min {effort} {when}",
                    Activity(time=time, duration_min=span, kind=effort, intensity="moderate"),
                ),
                (
                    f"exercise {span} min {how} {effort} {when}",
                    Activity(time=time, duration_min=span, kind=effort, intensity=how),
                ),
                (f"glucagon {amount} ug {when}", Glucagon(time=time, dose_ug=amount)),
                (
                    f"{state} {amount / 30} for {span} min {when}",
                    Condition(time=time, kind=state, severity=amount / 30, duration_min=span),
                ),
            ]
        )
    )


@given(st.lists(events(), min_size=1, max_size=5))
def test_what_is_typed_is_what_is_planned(said: list[Said]) -> None:
    text = "; ".join(words for words, _ in said)
    plan = read_plan(text, NOW, ZONE)
    whole = " ".join(text.split())
    assert plan.name == whole if len(whole) <= 80 else plan.name.endswith("…")
    assert plan.mode == "open"
    for kind, found in (
        (Dose, plan.insulin),
        (Meal, plan.meals),
        (Activity, plan.activity),
        (Glucagon, plan.glucagon),
        (Condition, plan.conditions),
    ):
        assert found == [event for _, event in said if isinstance(event, kind)]


def test_as_usual_is_the_plan_without_events() -> None:
    plan = read_plan("as usual", NOW, ZONE)
    assert (plan.name, plan.insulin, plan.meals) == ("as usual", [], [])


def test_a_clock_time_is_the_next_such_time_where_the_person_lives() -> None:
    def planned(clock: str, now: pd.Timestamp = NOW) -> pd.Timestamp:
        return pd.Timestamp(read_plan(f"carbs 10 at {clock}", now, ZONE).meals[0].time)

    assert planned("21:30") == at("22T21:30")
    assert planned("21:29") == at("23T21:29")
    assert planned("0:15") == at("23T00:15")
    evening_before_summer_time = pd.Timestamp("2026-03-28T22:00Z")
    assert planned("02:30", evening_before_summer_time) == pd.Timestamp("2026-03-29T01:00Z")
    evening_before_winter_time = pd.Timestamp("2026-10-24T22:00Z")
    assert planned("02:30", evening_before_winter_time) == pd.Timestamp("2026-10-25T00:30Z")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "'' is not understood"),
        ("bolus 3", "'bolus 3' is not understood. Write events such as"),
        ("bolus three now", "'bolus three now' is not understood"),
        ("bolus 3,5 now", "'bolus 3,5 now' is not understood"),
        ("bolus -3 now", "is not understood"),
        ("carbs 40 now; walk the dog", "'walk the dog' is not understood"),
        ("bolus 3 at 24:10", "24:10 is no time of day"),
        ("bolus 3 humalog now", "kind: 'humalog' is not known. Use one of 'rapid'"),
        ("bolus 100 now", "a bolus above 80 U"),
        ("basal 14 aspart now", "needs a duration_min above 0"),
        ("basal 40 for 60 min now", "is it mU/h?"),
        ("carbs 900 now", "carbs_g: 900 is too high. The highest allowed is 500"),
        ("carbs 40 protein 30 fat 40 now", "is not understood"),
        ("carbs 40 fat 900 now", "fat_g: 900 is too high. The highest allowed is 500"),
        ("alcohol 300 now", "alcohol_g: 300 is too high. The highest allowed is 200"),
        ("glucagon 4000 ug now", "dose_ug: 4000 is too high. The highest allowed is 3000"),
        ("glucagon 1 mg now", "'glucagon 1 mg now' is not understood"),
        ("illness 2 for 300 min now", "severity: 2 is too high. The highest allowed is 1"),
        ("illness 0.5 now", "'illness 0.5 now' is not understood"),
        ("exercise 0 min now", "duration_min: 0 is too low. It must be above 0"),
    ],
)
def test_what_is_not_understood_is_said(text: str, said: str) -> None:
    with pytest.raises(PlanError) as caught:
        read_plan(text, NOW, ZONE)
    assert said in str(caught.value)
    assert "plan '" in str(caught.value)
