"""From a question to a Record, without a server."""

from datetime import timedelta

import pandas as pd
import pytest

from hybridtwin.errors import PlanError, RecordError
from hybridtwin.event_tables import EVENT_TABLES
from hybridtwin.events import Condition, Glucagon, Meal
from serving.history import check_times, to_record
from serving.schema import MAX_RARE, ForecastRequest

GLUCAGON = {"dose_ug": 150}
ILLNESS = {"kind": "illness", "duration_min": 600, "severity": 0.5}


def test_glucagon_conditions_and_drinks_arrive(question, now):
    earlier = now - timedelta(hours=2)
    time = {"time": earlier.isoformat()}
    drink = {"carbs_g": 5, "alcohol_g": 20, "liquid": True}
    asked = ForecastRequest.model_validate(
        question(glucagon=[time | GLUCAGON], conditions=[time | ILLNESS], meals=[time | drink])
    )
    record = to_record(asked, pd.Timestamp(now))
    for name, event, fields in (
        ("glucagon", Glucagon, GLUCAGON),
        ("conditions", Condition, ILLNESS),
        ("meals", Meal, drink),
    ):
        (row,) = getattr(record, name).to_dict("records")
        known = {key: value for key, value in row.items() if pd.notna(value)}
        assert event.model_validate(known) == event(time=earlier, **fields)


@pytest.mark.parametrize("said", [{}, {"glucagon": None, "conditions": None}])
def test_what_is_left_out_was_not_there(question, now, said):
    record = to_record(ForecastRequest.model_validate(question(**said)), pd.Timestamp(now))
    assert record.glucagon.empty
    assert record.conditions.empty


EVENTS = {
    "insulin": {"dose_u": 1},
    "meals": {"carbs_g": 20},
    "activity": {"steps": 100},
    "glucagon": GLUCAGON,
    "conditions": ILLNESS,
}


@pytest.mark.parametrize("name", EVENT_TABLES)
def test_times_that_cannot_be_are_refused(question, now, name):
    for days in (-40, 1):
        event = EVENTS[name] | {"time": (now + timedelta(days=days)).isoformat()}
        asked = ForecastRequest.model_validate(question(**{name: [event]}))
        with pytest.raises(RecordError) as caught:
            to_record(asked, pd.Timestamp(now))
        assert [problem.where for problem in caught.value.problems] == [f"{name}[0].time"]
    late = EVENTS[name] | {"time": (now + timedelta(days=40)).isoformat()}
    asked = ForecastRequest.model_validate(question(plan={name: [late]}))
    with pytest.raises(PlanError) as refused:
        check_times([asked.plan], pd.Timestamp(now))
    assert refused.value.problems[0].where.endswith(f"{name}[0].time")


def test_too_many_rare_events_are_refused(question, now):
    rows = [GLUCAGON | {"time": now.isoformat()}] * (MAX_RARE + 1)
    with pytest.raises(ValueError, match="at most 300 items"):
        ForecastRequest.model_validate(question(glucagon=rows))
