"""A use is allowed from the consent on until its withdrawal, and not a moment longer."""

from datetime import timedelta
from uuid import uuid4

import pytest

from hybridtwin.events import Profile
from serving.store import consents, patients
from serving.store.errors import UnknownError


def test_nothing_is_agreed_to_at_first(database, patient):
    with database.reading() as session:
        assert not any(
            consents.may_use(session, patient.id, use) for use in ("care", "sharing", "research")
        )
        assert not consents.may_use(session, uuid4(), "care")


def test_withdrawal_stops_a_use_at_once_and_no_other(database, patient, now):
    with database.session() as session:
        consents.give(session, patient.id, "care", "1", now)
        consents.give(session, patient.id, "research", "1", now)
    with database.reading() as session:
        assert consents.purposes(session, patient.id) == {"care", "research"}
        assert list(consents.agreeing(session, "research")) == [patient.id]
    with database.session() as session:
        consents.withdraw(session, patient.id, "research", now + timedelta(days=1))
    with database.reading() as session:
        assert consents.purposes(session, patient.id) == {"care"}
        assert not consents.agreeing(session, "research")
        assert consents.may_use(session, patient.id, "care")


def test_every_version_that_was_agreed_to_is_known(database, patient, now):
    days = [now + timedelta(days=day) for day in range(5)]
    with database.session() as session:
        consents.give(session, patient.id, "care", "1", days[0])
        consents.give(session, patient.id, "care", "1", days[1])
        consents.give(session, patient.id, "care", "2", days[2])
        consents.withdraw(session, patient.id, "care", days[3])
        consents.withdraw(session, patient.id, "care", days[4])
        consents.give(session, patient.id, "care", "2", days[4])
        assert consents.history(session, patient.id) == [
            consents.Consent("care", "1", days[0], days[2]),
            consents.Consent("care", "2", days[2], days[3]),
            consents.Consent("care", "2", days[4], None),
        ]


def test_consents_are_of_one_person(database, vault, patient):
    with database.session() as session:
        other = patients.create(session, vault, Profile())
        consents.give(session, other.id, "care", "1")
        assert not consents.may_use(session, patient.id, "care")
        with pytest.raises(UnknownError):
            consents.give(session, uuid4(), "care", "1")
