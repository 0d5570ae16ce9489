"""The panel's parts and the steps of follow-up: sealed, in order, and gone with the person."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from hybridtwin.events import Profile
from serving.store import consents, follow_ups, patients, summaries
from serving.store.errors import UnknownError
from serving.store.export import export
from serving.store.follow_ups import Step
from serving.store.tables import FollowUpRow, SummaryRow

NOW = datetime(2026, 1, 31, 20, 30, tzinfo=UTC)


@pytest.fixture
def ann(database, vault):
    with database.session() as session:
        one = patients.create(session, vault, Profile(), "north", "Ann").id
        consents.give(session, one, "care", "1")
    return one


def _step(kind, minutes=0, **more):
    return Step(kind=kind, time=NOW + timedelta(minutes=minutes), by="Dr Lee", **more)


def test_the_latest_step_of_each_kind_stands(database, vault, ann):
    steps = [
        _step("comment", 0, text="first"),
        _step("assign", 1, text="Dr Roe"),
        _step("comment", 2, text="second"),
        _step("tag", 3, text="pregnant,ward 3"),
        _step("snooze", 4, until=NOW + timedelta(days=1)),
    ]
    for step in steps:
        with database.session() as session:
            follow_ups.add(session, vault, ann, "sub", step)
    with database.reading() as session:
        assert follow_ups.steps(session, vault, ann) == steps[::-1]
        found = follow_ups.standing(summaries.get(session, vault, ann, "follow_up"))
        assert export(session, vault, ann)["follow_ups"][0]["kind"] == "snooze"
    assert (found.comment, found.assign, found.snooze) == (steps[2], steps[1], steps[4])
    assert found.tags == ["pregnant", "ward 3"]
    assert found.acknowledge is None


def test_nothing_readable_is_kept(database, vault, ann):
    with database.session() as session:
        follow_ups.add(session, vault, ann, "sub", _step("comment", text="canary stew"))
    with database.reading() as session:
        rows = [*session.scalars(select(FollowUpRow)), *session.scalars(select(SummaryRow))]
    assert len(rows) == 2
    for row in rows:
        assert b"canary" not in row.sealed
        assert b"Lee" not in row.sealed


def test_only_those_who_agree_are_on_their_clinic_s_panel(database, vault, ann):
    with database.session() as session:
        away = patients.create(session, vault, Profile(), "south", "Bo").id
        consents.give(session, away, "care", "1")
        patients.create(session, vault, Profile(), "north", "Without consent")
        summaries.put(session, vault, ann, "night", NOW, b"one")
        summaries.put(session, vault, ann, "night", NOW + timedelta(hours=1), b"two")
        summaries.put(session, vault, ann, "lately", NOW, b"lately")
    with database.reading() as session:
        (found,) = summaries.of_clinics(session, vault, ["north"], ["night"], ["night", "lately"])
        both = summaries.of_clinics(session, vault, ["north", "south"], [])
        assert summaries.clinics(session) == ["north", "south"]
    assert (found.id, found.name, found.parts) == (ann, "Ann", {"night": b"two"})
    assert found.times == {"night": NOW + timedelta(hours=1), "lately": NOW}
    assert {one.id for one in both} == {ann, away}
    with database.reading() as session:
        one = summaries.of_patient(session, vault, ann, ["night"])
    assert one == replace(found, times={})
    with database.session() as session:
        consents.withdraw(session, ann, "care")
    with database.reading() as session:
        assert summaries.of_clinics(session, vault, ["north"], []) == []
        with pytest.raises(UnknownError):
            summaries.of_patient(session, vault, ann, ["night"])


def test_who_is_forgotten_is_on_no_panel(database, vault, ann):
    with database.session() as session:
        follow_ups.add(session, vault, ann, "sub", _step("acknowledge"))
    patients.erase(database, ann, "root")
    with database.reading() as session:
        assert summaries.of_clinics(session, vault, ["north"], ["follow_up"]) == []
        assert session.scalars(select(FollowUpRow)).all() == []
        assert session.scalars(select(SummaryRow)).all() == []
    with database.session() as session, pytest.raises(UnknownError):
        follow_ups.add(session, vault, ann, "sub", _step("acknowledge"))
    with database.session() as session, pytest.raises(UnknownError):
        summaries.put(session, vault, uuid.uuid4(), "night", NOW, b"")
