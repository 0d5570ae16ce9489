"""Sealing: nothing opens with another key, at another place, or once its key is gone."""

import base64
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from hybridtwin.events import Profile
from serving.store import patients
from serving.store.errors import VaultError
from serving.store.tables import DataKey, PatientRow
from serving.store.vault import Vault, check, rotate, seal, tag, unseal, vault_from

KEY, OTHER = os.urandom(32), os.urandom(32)


@given(st.binary(max_size=300))
def test_what_was_sealed_opens_again_and_nothing_else_does(content):
    sealed = seal(KEY, content, "observations", "p1", "r1")
    assert unseal(KEY, sealed, "observations", "p1", "r1") == content
    for key, place in (
        (OTHER, ("observations", "p1", "r1")),
        (KEY, ("observations", "p2", "r1")),
        (KEY, ("observations", "p1", "r2")),
        (KEY, ("issued", "p1", "r1")),
        (KEY, ("observations", "p1")),
    ):
        with pytest.raises(VaultError, match="does not open"):
            unseal(key, sealed, *place)


@given(st.data())
def test_a_changed_byte_is_found(data):
    sealed = bytearray(seal(KEY, b"carbs", "observations", "p1"))
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(VaultError):
        unseal(KEY, bytes(sealed), "observations", "p1")
    with pytest.raises(VaultError):
        unseal(KEY, bytes(sealed[:at]), "observations", "p1")


def test_equal_contents_look_different_and_tags_depend_on_the_key():
    assert seal(KEY, b"same", "t", "p") != seal(KEY, b"same", "t", "p")
    assert tag(KEY, "meals", "app", "1") == tag(KEY, "meals", "app", "1")
    assert tag(KEY, "meals", "app", "1") != tag(OTHER, "meals", "app", "1")
    assert tag(KEY, "meals", "app", "1") != tag(KEY, "meals", "app", "2")


def _base64(key):
    return base64.b64encode(key).decode()


def test_the_master_key_comes_from_a_variable_or_a_file(tmp_path):
    assert vault_from({"HYBRIDTWIN_MASTER_KEY": _base64(KEY)}).master == KEY
    path = tmp_path / "key"
    path.write_text(_base64(KEY) + "\n")
    found = vault_from(
        {"HYBRIDTWIN_MASTER_KEY_FILE": str(path), "HYBRIDTWIN_MASTER_KEY_OLD": _base64(OTHER)}
    )
    assert (found.master, list(found.older)) == (KEY, [OTHER])
    assert _base64(KEY) not in repr(found)
    assert repr(KEY) not in repr(found)


@pytest.mark.parametrize(
    ("environment", "what"),
    [
        ({}, "is not set"),
        ({"HYBRIDTWIN_MASTER_KEY": "c2VjcmV0"}, "is not 32 bytes"),
        ({"HYBRIDTWIN_MASTER_KEY": "s3cret s3cret!"}, "is not 32 bytes in base64"),
        ({"HYBRIDTWIN_MASTER_KEY_FILE": "/nowhere"}, "cannot be read"),
    ],
)
def test_a_missing_or_broken_master_key_is_said_to_be(environment, what):
    with pytest.raises(VaultError, match=what) as caught:
        vault_from(environment)
    assert "s3cret" not in str(caught.value)


def test_another_master_key_opens_nothing_and_says_so(database, vault, patient):
    stranger = Vault(os.urandom(32))
    with database.reading() as session:
        check(session, vault)
        with pytest.raises(VaultError, match=f"{stranger.key_id}.*{vault.key_id}"):
            check(session, stranger)
        with pytest.raises(VaultError, match="Set that master key"):
            patients.find(session, stranger, patient.id)


def test_rotation_wraps_anew_and_retires_the_old_key(database, vault, patient):
    moved = Vault(os.urandom(32), [vault.master])
    with database.session() as session:
        patients.create(session, moved, Profile())
        before = session.get_one(PatientRow, patient.id).sealed
        assert patients.find(session, moved, patient.id) == patient
        assert rotate(session, moved) == 1
        assert rotate(session, moved) == 0
    alone = Vault(moved.master)
    with database.reading() as session:
        check(session, alone)
        assert patients.find(session, alone, patient.id) == patient
        assert session.get_one(PatientRow, patient.id).sealed == before
        with pytest.raises(VaultError):
            patients.find(session, vault, patient.id)


def test_rotation_without_the_old_key_changes_nothing(database, vault, patient):
    with pytest.raises(VaultError), database.session() as session:
        rotate(session, Vault(os.urandom(32)))
    with database.reading() as session:
        assert patients.find(session, vault, patient.id) == patient


def test_keys_do_not_move_between_people(database, vault, patient):
    with database.session() as session:
        other = patients.create(session, vault, Profile())
        ours, theirs = (session.get_one(DataKey, one.id) for one in (patient, other))
        theirs.wrapped = ours.wrapped
        session.flush()
        with pytest.raises(VaultError):
            patients.find(session, vault, other.id)
        assert session.scalar(select(func.count()).select_from(DataKey)) == 2
