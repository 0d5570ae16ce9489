"""What is sent is kept exactly once, row by row, however often and by whomever it is sent."""

from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import select

from hybridtwin.events import GlucoseReading, Meal, Profile
from serving.store import patients
from serving.store.batch import Batch
from serving.store.errors import UnknownError, VaultError
from serving.store.observations import accept, kept, withdraw
from serving.store.tables import Observation


def _readings(now, count=24, value=120.0):
    return [
        {"time": (now - timedelta(minutes=5 * back)).isoformat(), "value": value + back}
        for back in reversed(range(count))
    ]


def _outcomes(outcomes):
    return [one.outcome for one in outcomes]


def test_sent_again_it_is_known(send, stored, now):
    said = {
        "glucose": _readings(now),
        "meals": [{"time": now.isoformat(), "carbs_g": 45}],
        "complete": {"meals": {"from": "2026-01-31T00:00Z", "to": now.isoformat()}},
    }
    first = send(**said)
    assert _outcomes(first) == 26 * ["accepted"]
    again = send(now + timedelta(hours=1), **said)
    assert _outcomes(again) == 26 * ["known"]
    assert [one.id for one in again] == [one.id for one in first]
    assert len(stored()) == 25
    assert {row.received for row in stored(every_version=True)} == {now}


def test_the_same_instant_in_another_zone_is_the_same_row(send, now):
    send(meals=[{"time": "2026-02-01T08:00:00+01:00", "carbs_g": 45}])
    assert _outcomes(send(meals=[{"time": "2026-02-01T07:00:00Z", "carbs_g": 45}])) == ["known"]


def test_a_correction_keeps_the_version_before(send, stored, now):
    (first,) = send(meals=[{"id": "m1", "time": now.isoformat(), "carbs_g": 45}])
    later = now + timedelta(hours=1)
    (second,) = send(later, meals=[{"id": "m1", "time": now.isoformat(), "carbs_g": 60}])
    assert (second.outcome, second.id == first.id) == ("corrected", False)
    assert [(row.event, row.sender_id) for row in stored()] == [(Meal(time=now, carbs_g=60), "m1")]
    old, new = stored(every_version=True)
    assert (old.event, old.replaced) == (Meal(time=now, carbs_g=45), later)
    assert (new.id, new.replaced) == (second.id, None)
    assert _outcomes(send(later, meals=[{"id": "m1", "time": now.isoformat(), "carbs_g": 60}])) == [
        "known"
    ]


def test_a_correction_may_move_a_row_with_an_id_in_time(send, stored, now):
    send(meals=[{"id": "m1", "time": now.isoformat(), "carbs_g": 45}])
    earlier = now - timedelta(minutes=20)
    assert _outcomes(send(meals=[{"id": "m1", "time": earlier.isoformat(), "carbs_g": 45}])) == [
        "corrected"
    ]
    assert [row.event.time for row in stored()] == [earlier]


def test_sources_and_kinds_do_not_touch_each_other(send, stored, now):
    meal = {"id": "1", "time": now.isoformat(), "carbs_g": 45}
    dose = {"id": "1", "time": now.isoformat(), "dose_u": 4}
    assert _outcomes(send(meals=[meal], insulin=[dose])) == 2 * ["accepted"]
    assert _outcomes(send(source="pump", meals=[meal | {"carbs_g": 50}])) == ["accepted"]
    assert len(stored()) == 3


def test_doses_of_two_kinds_share_a_time(send, now):
    time = {"time": now.isoformat()}
    bolus = time | {"dose_u": 4}
    basal = time | {"dose_u": 0.5, "purpose": "basal", "duration_min": 30}
    long_acting = time | {"dose_u": 18, "purpose": "basal", "kind": "degludec"}
    doses = [bolus, basal, long_acting]
    assert _outcomes(send(insulin=doses)) == 3 * ["accepted"]
    assert _outcomes(send(insulin=doses)) == 3 * ["known"]


def test_bad_rows_are_refused_one_by_one_and_good_ones_kept(send, stored, now):
    good = {"time": now.isoformat(), "carbs_g": 45}
    bad = [
        (good | {"carbs_g": -1}, "meals[1].carbs_g"),
        (good | {"carbs_g": "much"}, "meals[2].carbs_g"),
        (good | {"carbs_g": float("nan")}, "meals[3].carbs_g"),
        (good | {"carbs": 3}, "meals[4].carbs"),
        ({"carbs_g": 3}, "meals[5].time"),
        (good | {"time": "2026-02-01T08:00:00"}, "meals[6].time"),
        (good | {"time": "2026-02-02T08:00:00Z"}, "meals[7].time"),
        (good | {"time": "1926-02-02T08:00:00Z"}, "meals[8].time"),
        (good | {"id": 5}, "meals[9].id"),
        (good | {"id": "x" * 201}, "meals[10].id"),
        (good | {"id": "\ud800"}, "meals[11].id"),
        (good | {"carbs_g": 10**400}, "meals[12].carbs_g"),
        (good | {"carbs_g": 46}, "meals[13]"),  # at the same time, with other content
    ]
    outcomes = send(meals=[good, *(row for row, _ in bad)])
    assert _outcomes(outcomes) == ["accepted"] + len(bad) * ["refused"]
    assert [one.problem.where for one in outcomes[1:]] == [where for _, where in bad]
    assert [one.where for one in outcomes] == [f"meals[{i}]" for i in range(14)]
    assert all(one.problem.what and one.problem.advice for one in outcomes[1:])
    assert [row.event for row in stored()] == [Meal(time=now, carbs_g=45)]


def test_glucose_in_the_wrong_unit_is_refused_as_such(send, stored, now):
    for unit, value, other in (("mg/dL", 5.5, "mmol/L"), ("mmol/L", 120, "mg/dL")):
        for count in (1, 24):
            readings = [row | {"value": value} for row in _readings(now, count)]
            outcomes = send(units={"glucose": unit}, glucose=readings)
            assert _outcomes(outcomes) == count * ["refused"]
            assert all(f"looks like {other}" in one.problem.what for one in outcomes)
    assert stored() == []


def test_a_few_very_low_readings_are_believed(send, now):
    assert _outcomes(send(glucose=[{"time": now.isoformat(), "value": 30}])) == ["accepted"]
    low = [row | {"value": 30} for row in _readings(now, 24)]
    assert _outcomes(send(glucose=low)) == 24 * ["refused"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, None, "120", [120], True])
def test_values_that_are_no_numbers_are_refused(send, now, value):
    readings = [{"time": now.isoformat(), "value": value}]
    outcomes = send(glucose=[*_readings(now - timedelta(hours=1), 3), *readings])
    assert _outcomes(outcomes) == [*(3 * ["accepted"]), "refused"]


def test_units_are_converted_at_the_door(send, stored, now):
    send(units={"glucose": "mmol/L"}, glucose=[{"time": now.isoformat(), "value": 10}])
    assert [row.event for row in stored()] == [GlucoseReading(time=now, mg_dl=180.156)]


def test_spans_of_complete_logs_are_looked_at(send, now):
    for begin, end, problem in (
        (now, now - timedelta(hours=1), "ends before"),
        (now - timedelta(hours=1), now + timedelta(hours=1), "after now"),
    ):
        span = {"from": begin.isoformat(), "to": end.isoformat()}
        (outcome,) = send(complete={"insulin": span})
        assert (outcome.where, outcome.outcome) == ("complete.insulin", "refused")
        assert problem in outcome.problem.what


def test_a_withdrawn_row_no_longer_counts_though_it_is_sent_again(
    database, patient, send, stored, now
):
    meal = {"time": now.isoformat(), "carbs_g": 45}
    (sent,) = send(meals=[meal])
    with database.session() as session:
        withdraw(session, patient.id, sent.id, now)
    assert stored() == []
    assert [row.withdrawn for row in stored(every_version=True)] == [now]
    assert _outcomes(send(meals=[meal])) == ["known"]
    assert stored() == []
    assert _outcomes(send(meals=[meal | {"carbs_g": 50}])) == ["corrected"]
    assert [row.event for row in stored()] == [Meal(time=now, carbs_g=50)]


def test_only_ones_own_present_rows_can_be_withdrawn(database, vault, patient, send, now):
    meal = {"time": now.isoformat(), "carbs_g": 45}
    (old,) = send(meals=[meal])
    (new,) = send(meals=[meal | {"carbs_g": 50}])
    with database.session() as session:
        stranger = patients.create(session, vault, Profile())
        for whose, row in ((patient.id, old.id), (patient.id, uuid4()), (stranger.id, new.id)):
            with pytest.raises(UnknownError):
                withdraw(session, whose, row)


def test_rows_are_read_by_kind_and_time(send, stored, now):
    send(glucose=_readings(now), meals=[{"time": now.isoformat(), "carbs_g": 45}])
    begin, end = now - timedelta(minutes=20), now - timedelta(minutes=5)
    found = stored(kinds=["glucose"], begin=begin, end=end)
    assert [row.event.time for row in found] == [
        now - timedelta(minutes=back) for back in (20, 15, 10, 5)
    ]


def test_nobody_unknown_is_written_to(database, vault, now):
    batch = Batch.model_validate({"source": "app", "units": {"glucose": "mg/dL"}})
    with database.session() as session:
        with pytest.raises(UnknownError):
            accept(session, vault, uuid4(), batch, now)
        with pytest.raises(UnknownError):
            list(kept(session, vault, uuid4()))


def test_a_row_moved_to_another_person_or_row_does_not_open(database, vault, patient, send, now):
    send(glucose=_readings(now, 2))

    def _moved(change):
        with database.session() as session:
            other = patients.create(session, vault, Profile())
            rows = session.scalars(select(Observation).order_by(Observation.time)).all()
            change(rows, other)
            session.flush()
            with pytest.raises(VaultError):
                list(kept(session, vault, patient.id)) + list(kept(session, vault, other.id))
            session.rollback()

    def _to_other_person(rows, other):
        rows[0].patient_id = other.id

    def _to_other_row(rows, other):
        rows[0].sealed, rows[1].sealed = rows[1].sealed, rows[0].sealed

    _moved(_to_other_person)
    _moved(_to_other_row)
