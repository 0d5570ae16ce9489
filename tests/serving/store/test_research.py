"""Research gets records of those who agree, when enough are alike, and no dates or places."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pandas as pd
import pytest

from hybridtwin.errors import TwinError
from hybridtwin.events import Profile
from hybridtwin.record_files import load_record, record_folders, save_record
from serving.store import audit, consents, patients, research
from serving.store.batch import Batch
from serving.store.errors import PrivacyError
from serving.store.observations import accept
from serving.store.research import MANIFEST, export, pseudonymised, read_manifest, withdrawn

# Over the night in which Berlin's clocks go back: 3:00 CEST is 2:00 CET.
BEGIN = datetime(2025, 10, 25, 18, 0, tzinfo=UTC)


def _person(session, vault, research=True, **profile):
    person = patients.create(
        session,
        vault,
        Profile(participant="somebody", time_zone="Europe/Berlin", sensor="Libre 3", **profile),
        "ward-7",
        "Ada",
    )
    times = [BEGIN + timedelta(minutes=5 * i) for i in range(288)]
    meal = BEGIN + timedelta(hours=14)
    batch = Batch.model_validate(
        {
            "source": "ward-7",
            "units": {"glucose": "mg/dL"},
            "glucose": [{"time": at.isoformat(), "value": 100 + i} for i, at in enumerate(times)],
            "meals": [{"time": meal.isoformat(), "carbs_g": 45}],
            "complete": {"meals": {"from": BEGIN.isoformat(), "to": times[-1].isoformat()}},
        }
    )
    accept(session, vault, person.id, batch, times[-1])
    if research:
        consents.give(session, person.id, "research", "1")
    return person


def _records(session, vault, k):
    agreed = consents.agreeing(session, "research")
    return list(pseudonymised(session, vault, agreed, uuid4(), k))


@pytest.fixture
def people(database, vault):
    """Three women in their forties."""
    with database.session() as session:
        return [_person(session, vault, age_years=age, sex="female") for age in (40, 44.5, 49)]


def test_times_move_by_weeks_and_keep_weekday_and_clock(database, vault, people):
    with database.reading() as session:
        records = _records(session, vault, k=3)
    assert len(records) == 3
    for record in records:
        local = pd.date_range(BEGIN, periods=288, freq="5min").tz_convert("Europe/Berlin")
        moved = local[0].tz_localize(None) - record.glucose["time"][0].tz_localize(None)
        assert moved % pd.Timedelta(weeks=1) == pd.Timedelta(0)
        assert pd.Timedelta(weeks=52) <= moved <= pd.Timedelta(weeks=260)
        first_pass = [time for time in local if not time.to_pydatetime().fold]
        expected = [time.tz_localize(None) - moved for time in first_pass]
        assert record.glucose["time"].dt.tz_localize(None).tolist() == expected
        meal = (BEGIN + timedelta(hours=14)).astimezone(local.tz)
        (at,) = record.meals["time"]
        assert (at.weekday(), at.hour, at.minute) == (meal.weekday(), meal.hour, meal.minute)
        assert record.is_logged("meals")
        assert not record.is_logged("bolus")
        assert (record.logged["start"] == record.glucose["time"].iloc[0]).all()


def test_nothing_that_names_the_person_is_left(database, vault, people):
    with database.reading() as session:
        records = _records(session, vault, k=3)
    assert len({record.profile.participant for record in records}) == 3
    for record in records:
        left = Profile(participant=record.profile.participant, age_years=45, sex="female")
        assert record.profile == left
        assert record.provenance.source == "research"
        for said in ("Ada", "somebody", "ward-7", "Libre", *(str(one.id) for one in people)):
            assert said not in repr(record)
    with database.reading() as session:
        again = _records(session, vault, k=3)
    pseudonyms = [{one.profile.participant for one in run} for run in (records, again)]
    assert pseudonyms[0].isdisjoint(pseudonyms[1])


def test_a_rare_profile_stops_the_export(database, vault, people):
    with database.reading() as session, pytest.raises(PrivacyError, match="fewer than 4"):
        _records(session, vault, k=4)
    for unlike in ({"age_years": 50, "sex": "female"}, {"age_years": 45, "sex": "male"}, {}):
        with database.session() as session:
            _person(session, vault, **unlike)
            with pytest.raises(PrivacyError) as caught:
                _records(session, vault, k=3)
            session.rollback()
        assert "50" not in str(caught.value)


def test_only_those_who_agree_now_are_in_it(database, vault, people):
    with database.session() as session:
        _person(session, vault, research=False, age_years=20, sex="male")
        assert len(_records(session, vault, k=3)) == 3
        consents.withdraw(session, people[0].id, "research")
        assert len(_records(session, vault, k=2)) == 2
        with pytest.raises(PrivacyError):
            _records(session, vault, k=3)
    patients.erase(database, people[1].id, "somebody")
    with database.reading() as session:
        assert len(_records(session, vault, k=1)) == 1


def test_an_export_is_written_as_training_reads_it_and_says_on_whose_word(
    database, vault, people, tmp_path
):
    manifest = export(database, vault, "engineer", tmp_path / "a", k=3)
    assert manifest == read_manifest(tmp_path / "a" / MANIFEST)
    records = [load_record(home) for home in record_folders(tmp_path / "a")]
    said = [(one.pseudonym, one.consent_version) for one in manifest.participants]
    assert said == sorted((record.profile.participant, "1") for record in records)
    assert {len(record.glucose) for record in records} == {276}  # but the hour told twice
    with database.reading() as session:
        for person in people:
            (consent,) = consents.history(session, person.id)
            assert {one.consented for one in manifest.participants} == {consent.given.date()}
            entries = audit.entries(session, person.id)
            assert [(one.actor, one.action) for one in entries] == [("engineer", "research.export")]
    assert str(people[0].id) not in (tmp_path / "a" / MANIFEST).read_text()
    with pytest.raises(TwinError, match="not empty"):
        export(database, vault, "engineer", tmp_path / "a", k=3)


def test_who_withdraws_is_in_no_later_export_and_named_in_the_earlier_one(
    database, vault, people, tmp_path
):
    before = export(database, vault, "engineer", tmp_path / "before", k=1)
    with database.session() as session:
        assert withdrawn(session, vault, before) == []
        consents.withdraw(session, people[0].id, "research")
        (first,) = withdrawn(session, vault, before)
    patients.erase(database, people[1].id, "somebody")
    with database.reading() as session:
        gone = withdrawn(session, vault, before)
    assert first in gone
    assert len(gone) == 2
    after = export(database, vault, "engineer", tmp_path / "after", k=1)
    (left,) = after.participants
    assert left.pseudonym not in {one.pseudonym for one in before.participants}
    with database.session() as session:  # a new word counts
        consents.give(session, people[0].id, "research", "2")
        assert withdrawn(session, vault, before) == [one for one in gone if one != first]


def test_who_withdraws_while_it_is_made_is_not_given_away(
    database, vault, people, tmp_path, monkeypatch
):
    def slowly(record, folder):
        save_record(record, folder)
        with database.session() as session:  # meanwhile
            consents.withdraw(session, people[0].id, "research")

    monkeypatch.setattr(research, "save_record", slowly)
    with pytest.raises(PrivacyError, match="withdrew"):
        export(database, vault, "engineer", tmp_path / "a", k=1)
    assert not (tmp_path / "a").exists()
    with database.reading() as session:
        assert [one.action for one in audit.entries(session)] == []
