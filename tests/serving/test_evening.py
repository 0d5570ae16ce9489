"""When it is evening where somebody lives, and when a night is over."""

import uuid
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from threading import Event

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hybridtwin.events import Profile
from hybridtwin.forecast import EventProbabilities, Forecast
from hybridtwin.registry import load_twin
from hybridtwin.review.review import NightRisk
from hybridtwin.trust import Trust
from serving import clock
from serving.clinic.summary import Night, NightPictures, Nights, Part, PastNight
from serving.due import is_due, last_night_end
from serving.evening import look
from serving.jobs import Work, run
from serving.settings import Settings
from serving.store import consents, issued, jobs, observations, patients, summaries
from serving.store.batch import Batch
from serving.store.database import open_database
from serving.store.vault import Vault
from serving.v1.store import Store

NINE = time(21)
REFUSED = NightRisk(participant="me", status="refused", reason="the readings are old")


def _report(issued_at):
    """120 mg/dL all night, on every path."""
    start = pd.Timestamp(issued_at)
    return Forecast(
        participant="me",
        plan="as usual",
        issued=start,
        start=start,
        last_reading_mg_dl=120.0,
        last_reading_time=start,
        time_zone="UTC",
        expected_mg_dl=torch.full((108,), 120.0),
        paths_mg_dl=torch.full((10, 108), 120.0),
        trust=Trust(level="full"),
    ).report()


def _utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "now", "reviewed", "due"),
    [
        ("UTC", "2026-01-31T20:59", None, False),
        ("UTC", "2026-01-31T21:00", None, True),
        ("UTC", "2026-02-01T05:59", None, True),
        ("UTC", "2026-02-01T06:00", None, False),
        ("UTC", "2026-01-31T21:05", "2026-01-31T20:59", True),
        ("UTC", "2026-01-31T21:05", "2026-01-31T21:01", False),
        ("UTC", "2026-02-01T03:00", "2026-01-31T21:01", False),
        ("Asia/Tokyo", "2026-01-31T12:00", None, True),
        ("America/New_York", "2026-01-31T21:00", None, False),
        ("America/New_York", "2026-02-01T02:00", None, True),
        ("Europe/Berlin", "2026-03-28T20:00", None, True),  # the clocks change in this night
        ("Europe/Berlin", "2026-03-29T03:59", None, True),
        ("Europe/Berlin", "2026-03-29T04:00", None, False),
        ("Europe/Berlin", "2026-03-29T19:00", "2026-03-28T20:01", True),
    ],
)
def test_a_review_is_due_once_every_evening(zone, now, reviewed, due):
    assert is_due(zone, NINE, _utc(now), _utc(reviewed) if reviewed else None) == due


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),
    st.sampled_from(["UTC", "Asia/Kolkata", "Pacific/Chatham", "America/St_Johns"]),
)
def test_who_was_just_reviewed_is_due_to_nobody(now, zone):
    assert not is_due(zone, NINE, now, now)


@pytest.mark.parametrize(
    ("zone", "now", "end"),
    [
        ("UTC", "2026-01-31T06:29", "2026-01-30T06:00"),
        ("UTC", "2026-01-31T06:30", "2026-01-31T06:00"),
        ("UTC", "2026-01-31T23:59", "2026-01-31T06:00"),
        ("Europe/Berlin", "2026-03-29T04:30", "2026-03-29T04:00"),
        ("Europe/Berlin", "2026-03-28T05:30", "2026-03-28T05:00"),
    ],
)
def test_a_night_is_judged_half_an_hour_after_six(zone, now, end):
    assert last_night_end(zone, _utc(now)) == _utc(end)
    assert last_night_end(zone, _utc(now)) <= _utc(now) - timedelta(minutes=30)


def _said(session, vault, patient, part, end, content):
    summaries.put(session, vault, patient, part, end, content.model_dump_json().encode())


@pytest.fixture
def database(database_url):
    with closing(open_database(database_url)) as found:
        found.migrate()
        yield found


@pytest.fixture
def vault():
    return Vault(bytes(range(32)))


@pytest.fixture
def ann(database, vault):
    """Somebody who lives in UTC and agrees to care."""
    with database.session() as session:
        one = patients.create(session, vault, Profile(), "north", "Ann").id
        consents.give(session, one, "care", "1")
    return one


def _jobs(database):
    with database.reading() as session:
        kinds = ("review", "outcome")
        return [job.kind for kind in kinds for job in jobs.under_way(session, kind, ["north"])]


def test_what_is_due_is_asked_for_once(database, vault, ann):
    store, evening = Store(database, vault), _utc("2026-01-31T21:10")
    look(store, Settings(), evening - timedelta(hours=1))
    look(store, Settings(evening=None), evening)
    assert _jobs(database) == []
    for _ in range(2):
        look(store, Settings(), evening)
    assert _jobs(database) == ["review"]
    with database.session() as session:
        consents.withdraw(session, ann, "care")
    look(store, Settings(), evening + timedelta(days=1))
    assert _jobs(database) == ["review"]


def test_in_the_morning_the_night_is_set_beside_what_happened(database, vault, ann):
    six = datetime.combine(datetime.now(UTC).date(), time(6), UTC)
    if datetime.now(UTC) < six + timedelta(minutes=30):
        six -= timedelta(days=1)
    risk = NightRisk(
        participant="me",
        status="forecast",
        begin=six - timedelta(hours=6),
        end=six,
        events=EventProbabilities(below_70=0.7, below_54=0.2, above_180=0, above_250=0),
    )
    low_at = six - timedelta(hours=3)
    rows = [
        {"time": (low_at + timedelta(minutes=5 * i)).isoformat(), "value": 62 if 0 <= i < 4 else 99}
        for i in range(-30, 30)
    ]
    said = {"source": "app", "units": {"glucose": "mg/dL"}, "glucose": rows}
    evening = six - timedelta(hours=9)
    with database.session() as session:
        observations.accept(session, vault, ann, Batch.model_validate(said))
        issued.keep(session, vault, ann, "review", evening, "m", risk.model_dump_json().encode())
        said = _report(evening).model_dump_json().encode()
        issued.keep(session, vault, ann, "forecast", evening, "m", said)
        _said(session, vault, ann, "night", evening, Night(issued=evening, risk=risk))
    store = Store(database, vault)
    look(store, Settings(evening=None), datetime.now(UTC))
    assert _jobs(database) == ["outcome"]
    worker = uuid.uuid4()
    with database.session() as session:
        job = jobs.take(session, worker, ["outcome"])
    run(Work(store, load_twin(), job, worker, Settings()), Event())
    with database.reading() as session:
        parts = ["morning", "nights", "night_pictures"]
        (found,) = summaries.of_clinics(session, vault, ["north"], parts)
        assert jobs.find(session, job.id).state == "done"
    morning = PastNight.model_validate_json(found.parts["morning"])
    assert (morning.end, morning.below_70, morning.low) == (six, 0.7, True)
    assert (morning.lowest_mg_dl, morning.very_low) == (62, False)  # five of six hours were read
    assert Nights.model_validate_json(found.parts["nights"]).nights == [morning]
    (picture,) = NightPictures.model_validate_json(found.parts["night_pictures"]).nights
    assert (picture.end, picture.fan_x) == (six, 5)  # the picture begins at nine, as the evening
    # the first reading is two and a half hours before the low; the picture is 260 high for 260
    assert (picture.curve_x, picture.curve[:8]) == (3 * 60 + 30, "M0 201L1")
    assert picture.median.startswith("M0 180L15 180")
    look(store, Settings(evening=None), datetime.now(UTC))
    assert _jobs(database) == []


def _refused_at(session, vault, patient, at):
    """A review that could forecast nothing."""
    issued.keep(session, vault, patient, "review", at, "m", REFUSED.model_dump_json().encode())
    _said(session, vault, patient, "night", at, Night(issued=at, risk=REFUSED))


def test_a_night_that_was_reviewed_too_late_is_looked_at_once(database, vault, ann):
    end = last_night_end("UTC", datetime.now(UTC))
    late = end - timedelta(hours=4)
    with database.session() as session:
        _refused_at(session, vault, ann, late)
    store, worker = Store(database, vault), uuid.uuid4()
    for expected in (["outcome"], []):
        look(store, Settings(evening=None), datetime.now(UTC))
        assert _jobs(database) == expected
        with database.session() as session:
            job = jobs.take(session, worker, ["outcome"])
        if job:
            run(Work(store, load_twin(), job, worker, Settings()), Event())
    with database.reading() as session:
        (found,) = summaries.of_clinics(session, vault, ["north"], ["morning", "nights"])
    assert "morning" not in found.parts  # what was forecast during the night says nothing of it
    assert Nights.model_validate_json(found.parts["nights"]).nights == []


def test_a_refused_night_is_looked_at_anew_once_readings_have_come(database, vault, ann):
    evening = _utc("2026-01-31T21:10")
    store = Store(database, vault)

    def put(part, at, content):
        with database.session() as session:
            _said(session, vault, ann, part, at, content)

    put("night", evening, Night(issued=evening, risk=REFUSED))
    put("refused", evening, Part())
    put("lately", evening - timedelta(hours=2), Part())
    later = evening + timedelta(minutes=45)
    look(store, Settings(), later)
    assert _jobs(database) == []  # nothing new is known
    put("lately", later, Part())
    look(store, Settings(), evening + timedelta(minutes=29))
    assert _jobs(database) == []  # it is not looked at again and again
    put("night", later, Night(issued=later, risk=REFUSED.model_copy(update={"status": "forecast"})))
    look(store, Settings(), later + timedelta(hours=1))
    assert _jobs(database) == []  # it was forecast since
    put("night", evening, Night(issued=evening, risk=REFUSED))
    look(store, Settings(), later)
    assert _jobs(database) == ["review"]


@dataclass(frozen=True)
class _Withdrawn(Work):
    """Work at somebody who withdraws their consent once their record was read."""

    def record(self, patient, days=None):
        found = super().record(patient, days)
        with self.store.database.session() as session:
            consents.withdraw(session, patient, "care")
        return found


@pytest.mark.parametrize("kind", ["review", "outcome"])
def test_of_who_withdraws_meanwhile_nothing_is_kept(database, vault, ann, kind, monkeypatch):
    end = last_night_end("UTC", datetime.now(UTC))
    begun = end - timedelta(hours=9)
    with database.session() as session:
        _refused_at(session, vault, ann, begun)
        jobs.start(session, kind, "somebody", clinic="north")
    if kind == "review":
        monkeypatch.setattr(clock, "now", lambda: end + timedelta(hours=16))  # ten in the evening
    worker = uuid.uuid4()
    with database.session() as session:
        job = jobs.take(session, worker, [kind])
    run(_Withdrawn(Store(database, vault), load_twin(), job, worker, Settings()), Event())
    with database.session() as session:
        found = jobs.find(session, job.id)
        assert (found.state, found.done) == ("done", 1)
        assert len(issued.find(session, vault, ann, "review")) == 1
        consents.give(session, ann, "care", "2")
        (kept,) = summaries.of_clinics(session, vault, ["north"], [], ["night", "nights"])
    assert kept.times == {"night": begun}
