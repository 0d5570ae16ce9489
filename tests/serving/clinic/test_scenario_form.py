"""What is typed into the bench means what it says, or is marked where it is wrong."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.clinic.scenario_form import MODES, SIDES, Form, fields

NOW = datetime(2026, 1, 31, 20, 7, 30, tzinfo=UTC)  # 21:07 in Berlin
ZONE = "Europe/Berlin"


def _read(now=NOW, zone=ZONE, **typed):
    return Form(typed, now, zone).read()


def test_nothing_typed_is_nothing_planned():
    question, faults = _read()
    assert faults == {}
    assert question.mode == "open"
    usual, changed = (question.sides[side].plan(side, "open", 1.0) for side in SIDES)
    assert usual.model_copy(update={"name": "if"}) == changed
    assert [usual.meals, usual.insulin, usual.activity] == [[], [], []]


def test_each_field_comes_into_the_plan():
    question, faults = _read(
        if_meal1_g="45,5",
        if_meal1_at="21:30",
        if_meal1_speed="fast",
        if_meal2_g="20",
        if_meal2_speed="slow",
        if_bolus1_u="2.5",
        if_bolus1_at="00:15",
        if_basal_percent="40",
        if_basal_from="22:00",
        if_basal_to="01:30",
        if_exercise_min="30",
        if_exercise_at="21:15",
        if_exercise_kind="mixed",
        if_exercise_intensity="vigorous",
        mode="complete",
        horizon_h="8",
    )
    assert faults == {}
    plan = question.sides["if"].plan("what if", question.mode, usual_basal_u_h=0.8)
    first, second = plan.meals
    assert (first.carbs_g, first.liquid, first.time - NOW) == (45.5, True, timedelta(minutes=22.5))
    assert (second.time, second.glycaemic_index <= 55) == (NOW, True)
    bolus, basal = plan.insulin
    assert (bolus.dose_u, bolus.time) == (2.5, datetime(2026, 1, 31, 23, 15, tzinfo=UTC))
    assert basal.rate_u_h == pytest.approx(0.4 * 0.8)
    assert (basal.duration_min, basal.time.astimezone(ZoneInfo(ZONE)).hour) == (210, 22)
    (exercise,) = plan.activity
    assert (exercise.kind, exercise.intensity) == ("mixed", "vigorous")
    assert (question.horizon_min, plan.mode) == (480, "complete")
    usual = question.sides["usual"].plan("as usual", question.mode, 0.8)
    assert [usual.meals, usual.insulin, usual.activity] == [[], [], []]


def test_what_if_is_as_usual_where_it_says_nothing():
    question, _ = _read(
        usual_meal1_g="60", usual_meal1_at="21:45", usual_bolus1_u="6", if_bolus1_u="0"
    )
    usual, changed = (question.sides[side] for side in SIDES)
    assert usual.meals == changed.meals
    assert [dose.dose_u for dose in usual.boluses] == [6]
    assert changed.boluses == []


def test_times_alone_say_nothing():
    """A form that is sent without script names every time and choice."""
    form = Form({"usual_meal1_at": "now", "usual_exercise_kind": "mixed"}, NOW, ZONE)
    assert not form.says("usual")
    assert Form({"usual_basal_percent": "0"}, NOW, ZONE).says("usual")


def test_a_basal_change_lasts_to_the_end():
    question, _ = _read(if_basal_percent="0", horizon_h="4")
    assert question.sides["if"].basal.end == NOW + timedelta(hours=4)


@pytest.mark.parametrize(
    ("typed", "field", "kind"),
    [
        ({"if_meal1_g": "much"}, "if_meal1_g", "number"),
        ({"if_meal1_g": "nan"}, "if_meal1_g", "range"),
        ({"if_meal1_g": "501"}, "if_meal1_g", "range"),
        ({"usual_bolus2_u": "-1"}, "usual_bolus2_u", "range"),
        ({"if_bolus1_u": "2", "if_bolus1_at": "20:00"}, "if_bolus1_at", "time"),  # has passed
        ({"if_bolus1_u": "2", "if_bolus1_at": "25:00"}, "if_bolus1_at", "time"),
        ({"if_bolus1_u": "2", "if_bolus1_at": "03:00"}, "if_bolus1_at", "time"),
        ({"if_basal_percent": "50", "if_basal_to": "now"}, "if_basal_to", "order"),
        ({"if_basal_percent": "50", "if_basal_to": "x"}, "if_basal_to", "time"),
        ({"if_exercise_min": "20", "if_exercise_kind": "chess"}, "if_exercise_kind", "choice"),
        ({"horizon_h": "48"}, "horizon_h", "choice"),
        ({"mode": "closed"}, "mode", "choice"),
    ],
)
def test_what_is_wrong_is_marked_where_it_stands(typed, field, kind):
    question, faults = _read(**typed)
    assert question is None
    assert {name: fault.kind for name, fault in faults.items()} == {field: kind}


def test_the_minute_that_runs_is_now():
    question, faults = _read(if_bolus1_u="2", if_bolus1_at="21:07")
    assert faults == {}
    assert question.sides["if"].boluses[0].time == NOW


def test_the_times_offered_are_ahead_and_one_typed_stays():
    offered = dict(Form({"if_meal1_at": "22:41"}, NOW, ZONE).times("if_meal1_at"))
    assert list(offered)[:3] == ["now", "21:15", "21:30"]
    assert offered["22:41"] == datetime(2026, 1, 31, 21, 41, tzinfo=UTC)
    assert all(time > NOW for time in list(offered.values())[1:])


_typed = st.dictionaries(
    st.sampled_from(fields()),
    st.sampled_from(["", "0", "3", "55", "1e9", "now", "22:00", "02:30", "é", *MODES]) | st.text(),
)


@settings(max_examples=50)
@given(_typed, st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)))
def test_whatever_is_typed_is_answered(typed, now):
    """Also in the nights in which clocks change."""
    form = Form(typed, now.replace(tzinfo=UTC), ZONE)
    question, faults = form.read()
    assert (question is None) == bool(faults)
    assert set(faults) <= set(fields())
    if question:
        end = form.now + timedelta(minutes=question.horizon_min)
        for side in SIDES:
            plan = question.sides[side].plan(side, question.mode, 1.0)
            for event in (*plan.meals, *plan.insulin, *plan.activity):
                assert form.now <= event.time < end
