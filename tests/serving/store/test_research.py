"""Research gets records of those who agree, when enough are alike, and no dates or places."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from hybridtwin.events import Profile
from serving.store import consents, patients
from serving.store.batch import Batch
from serving.store.errors import PrivacyError
from serving.store.observations import accept
from serving.store.research import pseudonymised

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


@pytest.fixture
def people(database, vault):
    """Three women in their forties."""
    with database.session() as session:
        return [_person(session, vault, age_years=age, sex="female") for age in (40, 44.5, 49)]


def test_times_move_by_weeks_and_keep_weekday_and_clock(database, vault, people):
    with database.reading() as session:
        records = list(pseudonymised(session, vault, k=3))
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
        records = list(pseudonymised(session, vault, k=3))
    assert len({record.profile.participant for record in records}) == 3
    for record in records:
        left = Profile(participant=record.profile.participant, age_years=45, sex="female")
        assert record.profile == left
        assert record.provenance.source == "research"
        for said in ("Ada", "somebody", "ward-7", "Libre", *(str(one.id) for one in people)):
            assert said not in repr(record)
    with database.reading() as session:
        again = list(pseudonymised(session, vault, k=3))
    pseudonyms = [{one.profile.participant for one in run} for run in (records, again)]
    assert pseudonyms[0].isdisjoint(pseudonyms[1])


def test_a_rare_profile_stops_the_export(database, vault, people):
    with database.reading() as session, pytest.raises(PrivacyError, match="fewer than 4"):
        pseudonymised(session, vault, k=4)
    for unlike in ({"age_years": 50, "sex": "female"}, {"age_years": 45, "sex": "male"}, {}):
        with database.session() as session:
            _person(session, vault, **unlike)
            with pytest.raises(PrivacyError) as caught:
                pseudonymised(session, vault, k=3)
            session.rollback()
        assert "50" not in str(caught.value)


def test_only_those_who_agree_now_are_in_it(database, vault, people):
    with database.session() as session:
        _person(session, vault, research=False, age_years=20, sex="male")
        assert len(list(pseudonymised(session, vault, k=3))) == 3
        consents.withdraw(session, people[0].id, "research")
        assert len(list(pseudonymised(session, vault, k=2))) == 2
        with pytest.raises(PrivacyError):
            pseudonymised(session, vault, k=3)
    patients.erase(database, people[1].id, "somebody")
    with database.reading() as session:
        assert len(list(pseudonymised(session, vault, k=1))) == 1
