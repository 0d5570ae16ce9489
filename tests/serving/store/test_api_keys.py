"""A key opens until it expires or is revoked; its secret is nowhere."""

from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import select

from serving.store import api_keys
from serving.store.errors import UnknownError
from serving.store.tables import ApiKeyRow


def test_a_key_says_what_it_may(database, patient):
    with database.session() as session:
        key, secret = api_keys.create(
            session, "pump cloud", ["app", "patient"], ["ward-7", "ward-8"], patient.id
        )
    with database.reading() as session:
        assert api_keys.find(session, secret) == key
        assert (key.roles, key.clinics) == ({"app", "patient"}, {"ward-7", "ward-8"})
        assert api_keys.everything(session) == [key]
        for wrong in ("", secret[:-1], secret + "x", secret.swapcase(), str(key.id)):
            assert api_keys.find(session, wrong) is None


def test_the_secret_is_not_kept(database):
    with database.session() as session:
        _, secret = api_keys.create(session, "pump", ["app"])
        _, other = api_keys.create(session, "pump", ["app"])
        rows = session.scalars(select(ApiKeyRow)).all()
    assert secret != other
    assert len(secret) >= 43  # 256 bits in base64
    for row in rows:
        assert not any(
            part in str(value) for value in vars(row).values() for part in (secret, secret[4:])
        )


def test_a_key_ends_by_itself_or_by_being_revoked(database, now):
    with database.session() as session:
        brief, brief_secret = api_keys.create(
            session, "brief", ["app"], expires=now + timedelta(hours=1)
        )
        lasting, lasting_secret = api_keys.create(session, "lasting", ["app"])
        late = now + timedelta(hours=1)
        assert api_keys.find(session, brief_secret, late - timedelta(microseconds=1)) == brief
        assert api_keys.find(session, brief_secret, late) is None
        assert api_keys.find(session, lasting_secret, late) == lasting
        assert api_keys.revoke(session, lasting.id, late).revoked == late
        assert api_keys.revoke(session, lasting.id, late + timedelta(hours=1)).revoked == late
        assert api_keys.find(session, lasting_secret, now) is None
        with pytest.raises(UnknownError):
            api_keys.revoke(session, uuid4())


def test_a_key_of_nobody_is_not_made(database):
    with database.session() as session, pytest.raises(UnknownError):
        api_keys.create(session, "pump", ["patient"], patient_id=uuid4())


def test_names_with_spaces_are_refused(database):
    with database.session() as session, pytest.raises(ValueError, match="no spaces"):
        api_keys.create(session, "pump", ["app admin"])
