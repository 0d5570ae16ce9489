"""`hybridtwin database`, as an operator runs it."""

import base64
import os

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from hybridtwin.errors import TwinError
from hybridtwin.events import Profile
from serving.store import audit, consents, patients
from serving.store.cli import commands
from serving.store.errors import PrivacyError
from serving.store.research import MANIFEST, K
from serving.store.vault import Vault


def _run(url, *arguments, **environment):
    done = CliRunner().invoke(commands, arguments, env={"HYBRIDTWIN_DATABASE": url} | environment)
    if isinstance(done.exception, TwinError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output.strip()


def _variables(vault, **older):
    keys = {"HYBRIDTWIN_MASTER_KEY": vault.master} | older
    return {name: base64.b64encode(key).decode() for name, key in keys.items()}


def test_an_empty_database_becomes_usable(database_url):
    for _ in range(2):
        assert "up to date" in _run(database_url, "upgrade")
    assert _run(database_url, "verify") == f"0:{'0' * 64}"


def test_keys_are_rotated(database, database_url, vault, patient):
    new = Vault(os.urandom(32))
    keys = _variables(new, HYBRIDTWIN_MASTER_KEY_OLD=vault.master)
    assert _run(database_url, "rotate", **keys).startswith("1 keys")
    with database.reading() as session:
        assert patients.find(session, new, patient.id) == patient


def test_meddling_with_the_audit_log_shows(database, database_url):
    with database.session() as session:
        for _ in range(3):
            audit.append(session, "caller", "patient.read")
    head = _run(database_url, "verify")
    assert head.startswith("3:")
    assert _run(database_url, "verify", "--anchor", head) == head
    with pytest.raises(TwinError, match="last verified"):
        _run(database_url, "verify", "--anchor", "2" + head[1:])
    with pytest.raises(TwinError, match="not what verify prints"):
        _run(database_url, "verify", "--anchor", "nonsense")
    with database.session() as session:
        session.execute(text("UPDATE audit_head SET sequence = 2"))
    with pytest.raises(TwinError, match="ends elsewhere"):
        _run(database_url, "verify")


def test_records_for_research_are_written_and_who_withdrew_since_is_named(
    database, database_url, vault, tmp_path
):
    with database.session() as session:
        people = [patients.create(session, vault, Profile()).id for _ in range(K)]
        for person in people:
            consents.give(session, person, "research", "1")
    keys, out = _variables(vault), str(tmp_path / "records")
    assert _run(database_url, "research", "--out", out, **keys).startswith(f"{K} records")
    manifest = str(tmp_path / "records" / MANIFEST)
    assert _run(database_url, "withdrawn", manifest, **keys) == ""
    with database.session() as session:
        consents.withdraw(session, people[0], "research")
    gone = _run(database_url, "withdrawn", manifest, **keys)
    assert (tmp_path / "records" / gone / "record.json").exists()
    with pytest.raises(PrivacyError):
        _run(database_url, "research", "--out", str(tmp_path / "next"), **keys)
    with pytest.raises(TwinError, match="no manifest"):
        _run(database_url, "withdrawn", str(tmp_path / "records" / gone), **keys)
