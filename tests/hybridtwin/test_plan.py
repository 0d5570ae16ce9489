import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridtwin.errors import PlanError
from hybridtwin.events import Condition, Glucagon, GlucoseReading, Meal, Profile
from hybridtwin.plan import Plan, check_plan, plan_timeline, under_way
from hybridtwin.record import Record, from_events
from hybridtwin.timeline import CHANNEL, MODULATORS, to_timeline

NOW = pd.Timestamp("2026-11-22T20:30Z")
HORIZON_MIN = 240
STEPS = HORIZON_MIN // 5


def after(minutes: float) -> pd.Timestamp:
    return NOW + pd.Timedelta(minutes=minutes)


def ill(begin_min: float, duration_min: float, severity: float = 0.5) -> Condition:
    return Condition(
        time=after(begin_min), kind="illness", duration_min=duration_min, severity=severity
    )


def living(conditions: list[Condition]) -> Record:
    times = pd.date_range(after(-600), NOW, freq="5min")
    return from_events(
        Profile(),
        [GlucoseReading(time=time, mg_dl=120) for time in times],
        conditions=sorted(conditions, key=lambda one: one.time),
    )


@pytest.mark.parametrize(
    ("plan", "where", "what"),
    [
        (Plan(conditions=[ill(-5, 600)]), "conditions[0].time", "before now"),
        (Plan(conditions=[ill(0, 60), ill(240, 60)]), "conditions[1].time", "beyond the horizon"),
        (Plan(glucagon=[Glucagon(time=after(-5), dose_ug=150)]), "glucagon[0].time", "before now"),
        (Plan(glucagon=[Glucagon(time=after(300), dose_ug=9)]), "glucagon[0].time", "beyond"),
    ],
)
def test_a_plan_begins_now_and_ends_with_the_horizon(plan: Plan, where: str, what: str) -> None:
    with pytest.raises(PlanError) as caught:
        check_plan(plan, NOW, HORIZON_MIN)
    (problem,) = caught.value.problems
    assert problem.where.endswith(where)
    assert what in problem.what


def test_a_condition_may_last_beyond_the_horizon_and_overlap_another() -> None:
    check_plan(Plan(conditions=[ill(0, 6000), ill(10, 60)]), NOW, HORIZON_MIN)


def test_what_is_left_of_a_condition() -> None:
    over, lasting, to_come = ill(-100, 100), ill(-100, 101.5), ill(0, 60)
    (rest,) = under_way(living([over, lasting, to_come]), NOW)
    assert rest == ill(0, 1.5)


def test_two_that_differ_in_their_beginning_alone_go_on_as_one() -> None:
    rest = under_way(living([ill(-100, 200), ill(-50, 150), ill(-50, 150, severity=0.7)]), NOW)
    assert rest == [ill(0, 100), ill(0, 100, severity=0.7)]


spells = st.builds(
    Condition,
    time=st.integers(-500, HORIZON_MIN).map(after),
    kind=st.sampled_from(["illness", "stress", "site failure"]),
    duration_min=st.integers(1, 2000),
    severity=st.integers(0, 10).map(lambda tenth: tenth / 10),
)


@settings(deadline=None, max_examples=30)
@given(st.lists(spells, max_size=6, unique_by=repr))
def test_the_rest_and_what_begins_later_are_the_whole(conditions: list[Condition]) -> None:
    """Read through the present or parted there, the conditions ahead are the same."""
    record = living(conditions)
    later = [one for one in conditions if one.time >= NOW]
    parted = Plan(conditions=[*under_way(record, NOW), *later])
    ahead = plan_timeline([parted], record.profile, NOW, STEPS)
    whole = to_timeline(record, after(HORIZON_MIN - 5))
    columns = [CHANNEL[name] for name in (*MODULATORS, "site_loss")]
    torch.testing.assert_close(ahead.values[:, columns], whole.values[-STEPS:, columns])


def test_a_plans_events_are_on_its_timeline() -> None:
    plan = Plan(
        meals=[Meal(time=after(10), carbs_g=0, alcohol_g=24)],
        glucagon=[Glucagon(time=after(20), dose_ug=150)],
        conditions=[ill(30, 60)],
    )
    timeline = plan_timeline([Plan(), plan], Profile(), NOW, STEPS)
    for name, first, count, amount in (
        ("alcohol_g", 2, 1, 24),
        ("glucagon_ug", 4, 1, 150),
        ("illness", 6, 12, 0.5),
    ):
        expected = torch.zeros(STEPS)
        expected[first : first + count] = amount
        torch.testing.assert_close(timeline.values[:, CHANNEL[name]], expected)


def test_a_plan_written_without_the_new_lists_is_read() -> None:
    text = '{"name": "old", "mode": "open", "insulin": [], "meals": [], "activity": []}'
    plan = Plan.model_validate_json(text)
    assert (plan.glucagon, plan.conditions) == ([], [])
