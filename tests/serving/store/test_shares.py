"""A share holds from its begin to its end, if it was not revoked; then never again."""

from datetime import timedelta
from uuid import uuid4

import pytest

from hybridtwin.events import Profile
from serving.store import patients, shares
from serving.store.errors import UnknownError

HOUR = timedelta(hours=1)


@pytest.fixture
def share(database, patient, now):
    with database.session() as session:
        return shares.give(session, patient.id, "carer", ["read", "forecast"], now, now + HOUR)


def test_a_share_is_pending_then_active_then_expired(database, patient, share, now):
    with database.reading() as session:
        (found,) = shares.of_patient(session, patient.id)
        assert shares.with_subject(session, "carer") == [found]
        assert shares.with_subject(session, "somebody else") == []
    assert found == share
    assert found.scopes == {"read", "forecast"}
    instant = timedelta(microseconds=1)
    states = {
        now - instant: "pending",
        now: "active",
        now + HOUR - instant: "active",
        now + HOUR: "expired",
    }
    assert {at: found.state(at) for at in states} == states


def test_a_revoked_share_stays_revoked(database, patient, share, now):
    at = now + HOUR / 2
    with database.session() as session:
        shares.revoke(session, patient.id, share.id, at)
        shares.revoke(session, patient.id, share.id, at + HOUR)
    with database.reading() as session:
        (found,) = shares.of_patient(session, patient.id)
    assert found.revoked == at
    assert [found.state(when) for when in (now, at, at + HOUR)] == ["active", "revoked", "revoked"]


def test_only_ones_own_share_can_be_revoked(database, vault, patient, share):
    with database.session() as session:
        other = patients.create(session, vault, Profile())
        for whose, which in ((other.id, share.id), (patient.id, uuid4())):
            with pytest.raises(UnknownError):
                shares.revoke(session, whose, which)


def test_empty_shares_are_refused(database, patient, now):
    with database.session() as session:
        for scopes, end in (([], now + HOUR), (["read"], now)):
            with pytest.raises(ValueError, match="a share has"):
                shares.give(session, patient.id, "carer", scopes, now, end)
