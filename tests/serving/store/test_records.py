"""A Record from the store is the Record of the same events."""

from dataclasses import fields
from datetime import timedelta

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hybridtwin.events import Activity, Condition, Dose, Glucagon, GlucoseReading, Meal, Profile
from hybridtwin.record import from_events
from serving.store import patients
from serving.store.batch import Batch
from serving.store.observations import accept, withdraw
from serving.store.records import record_of


def _assert_equal(found, expected):
    assert found.profile == expected.profile
    for entry in fields(expected):
        rows = getattr(expected, entry.name)
        if isinstance(rows, pd.DataFrame):
            pd.testing.assert_frame_equal(getattr(found, entry.name), rows)


def _row(event):
    row = event.model_dump(mode="json")
    if isinstance(event, GlucoseReading):
        row["value"] = row.pop("mg_dl")
    return row


def _sent(database, vault, profile, now, events, complete):
    batch = Batch.model_validate(
        {
            "source": "app",
            "units": {"glucose": "mg/dL"},
            "complete": complete,
            **{name: [_row(event) for event in rows] for name, rows in events.items()},
        }
    )
    with database.session() as session:
        patient = patients.create(session, vault, profile)
        outcomes = accept(session, vault, patient.id, batch, now)
        assert {one.outcome for one in outcomes} <= {"accepted"}
    return patient.id


def _strictly(draw, now, rows):
    """Rows at different times, in order."""
    minutes = draw(st.lists(st.integers(0, 3000), min_size=0, max_size=rows, unique=True))
    return [now - timedelta(minutes=back) for back in sorted(minutes, reverse=True)]


def _numbers(low, high):
    return st.floats(low, high, allow_nan=False)


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_from_the_store_and_from_the_events(database, vault, now, data):
    def times(most):
        return _strictly(data.draw, now, most)

    def number(low, high):
        return data.draw(_numbers(low, high))

    events = {
        "glucose": [
            GlucoseReading(
                time=time,
                mg_dl=number(60, 400),
                source=data.draw(st.sampled_from(["cgm", "fingerstick"])),
                interpolated=data.draw(st.booleans()),
            )
            for time in times(8)
        ],
        "insulin": [
            Dose(time=time, dose_u=number(0, 20), automatic=data.draw(st.booleans()))
            for time in times(3)
        ],
        "meals": [
            Meal(time=time, carbs_g=number(0, 150), fat_g=data.draw(st.none() | _numbers(0, 80)))
            for time in times(3)
        ],
        "activity": [
            Activity(time=time, steps=number(0, 5000), asleep=data.draw(st.none() | st.booleans()))
            for time in times(3)
        ],
        "glucagon": [Glucagon(time=time, dose_ug=number(0, 1000)) for time in times(1)],
        "conditions": [
            Condition(time=time, kind="illness", duration_min=600, severity=number(0, 1))
            for time in times(1)
        ],
    }
    logged = data.draw(st.sets(st.sampled_from(["bolus", "meals"])))
    glucose = events["glucose"]
    spans = {}
    if len(glucose) > 1:
        span = {"from": glucose[0].time.isoformat(), "to": glucose[-1].time.isoformat()}
        spans = {
            kind: span
            for kind, channel in (("insulin", "bolus"), ("meals", "meals"))
            if channel in logged
        }
    profile = Profile(time_zone="Europe/Berlin", weight_kg=80)
    patient_id = _sent(database, vault, profile, now, events, spans)
    with database.reading() as session:
        found = record_of(session, vault, patient_id, profile)
    channels = sorted(logged) if spans else []
    _assert_equal(found, from_events(profile, **events, logged=channels))


@pytest.fixture
def day(now):
    """A day of readings."""
    return [GlucoseReading(time=now - timedelta(minutes=5 * i), mg_dl=120) for i in range(288)][
        ::-1
    ]


def test_a_log_of_which_nobody_said_that_it_is_complete_is_unknown(database, vault, now, day):
    meals = [Meal(time=now - timedelta(hours=3), carbs_g=40)]
    span = {"from": day[0].time.isoformat(), "to": now.isoformat()}
    events = {"glucose": day, "meals": meals}
    for complete, known in (({}, []), ({"insulin": span}, ["bolus"])):
        patient_id = _sent(database, vault, Profile(), now, events, complete)
        with database.reading() as session:
            record = record_of(session, vault, patient_id, Profile())
        assert [one for one in ("bolus", "meals") if record.is_logged(one)] == known
        assert len(record.meals) == 1


def test_spans_that_meet_are_one_and_are_cut_to_what_is_asked(database, vault, patient, send, now):
    def hours(*pair):
        return {"from": (now - timedelta(hours=pair[0])).isoformat()} | {
            "to": (now - timedelta(hours=pair[1])).isoformat()
        }

    for source, pair in (("app", (20, 14)), ("pump", (16, 10)), ("app", (10, 8)), ("app", (6, 1))):
        send(source=source, complete={"insulin": hours(*pair)})
    with database.reading() as session:
        whole = record_of(session, vault, patient.id, Profile())
        part = record_of(
            session,
            vault,
            patient.id,
            Profile(),
            now - timedelta(hours=18),
            now - timedelta(hours=7),
        )

    def spans(record):
        gone = (record.logged[["start", "end"]] - pd.Timestamp(now)) / pd.Timedelta(hours=-1)
        return gone.to_numpy().tolist()

    assert spans(whole) == [[20, 8], [6, 1]]
    assert spans(part) == [[18, 8]]


def test_two_sources_of_the_same_count_once(database, vault, patient, send, now):
    time = now.isoformat()
    earlier = (now - timedelta(minutes=5)).isoformat()
    send(
        glucose=[{"time": earlier, "value": 110}, {"time": time, "value": 120}],
        meals=[{"time": time, "carbs_g": 40}],
    )
    send(
        now + timedelta(minutes=1),
        source="cloud",
        glucose=[{"time": time, "value": 121}],
        meals=[{"time": time, "carbs_g": 40}],
    )
    with database.reading() as session:
        record = record_of(session, vault, patient.id, Profile())
    assert record.glucose["mg_dl"].tolist() == [110, 121]
    assert record.meals["carbs_g"].tolist() == [40]
    assert record.provenance.count("dropped") == 2
    assert record.provenance.source == "app, cloud"


def test_a_withdrawn_row_is_not_in_the_record(database, vault, patient, send, now):
    _, gone = send(
        meals=[
            {"time": now.isoformat(), "carbs_g": 40},
            {"time": (now - timedelta(hours=1)).isoformat(), "carbs_g": 50},
        ]
    )
    with database.session() as session:
        withdraw(session, patient.id, gone.id)
    with database.reading() as session:
        record = record_of(session, vault, patient.id, Profile())
    assert record.meals["carbs_g"].tolist() == [40]
