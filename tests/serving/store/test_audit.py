"""The audit log: what was done stays said, and whoever meddles with it is found out."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from serving.store import audit
from serving.store.errors import AuditError, StoreError
from serving.store.tables import AuditHead


@pytest.fixture
def log(database):
    """Five entries."""
    with database.session() as session:
        for i in range(5):
            audit.append(session, f"caller-{i}", "observations.read", uuid4())
    return database


@contextmanager
def _meddled(database, *statements):
    """A transaction in which somebody who owns the database did this; it is undone at the end."""
    with database.session() as session:
        if database.engine.dialect.name == "postgresql":
            session.execute(text("ALTER TABLE audit DISABLE TRIGGER ALL"))
        else:
            for what in ("update", "delete"):
                session.execute(text(f"DROP TRIGGER audit_allows_no_{what}"))
        for statement in statements:
            session.execute(text(statement))
        yield session
        session.rollback()


def _is_found(database, *statements):
    with _meddled(database, *statements) as session, pytest.raises(AuditError):
        audit.verify(session)
    assert _verify(database).sequence == 5


def _verify(database, anchor=None):
    with database.reading() as session:
        return audit.verify(session, anchor)


def test_an_untouched_log_verifies_and_grows(log):
    head = _verify(log)
    assert head.sequence == 5
    with log.session() as session:
        audit.append(session, "caller", "patient.read", outcome="denied")
    assert _verify(log, anchor=head).sequence == 6


def test_a_changed_entry_is_found(log):
    for change in (
        "actor = 'somebody-else'",
        "action = 'patient.read'",
        "outcome = 'denied'",
        "patient_id = NULL",
        "time = '2020-01-01 00:00:00.000000'",
        "digest = previous",
        "previous = digest",
    ):
        for at in (1, 3, 5):
            _is_found(log, f"UPDATE audit SET {change} WHERE sequence = {at}")  # noqa: S608


def test_a_missing_entry_is_found(log):
    for at in range(1, 6):
        _is_found(log, f"DELETE FROM audit WHERE sequence = {at}")  # noqa: S608
    _is_found(log, "DELETE FROM audit")


def test_a_closed_gap_is_found(log):
    _is_found(
        log,
        "DELETE FROM audit WHERE sequence = 3",
        "UPDATE audit SET sequence = 3 WHERE sequence = 4",
        "UPDATE audit SET sequence = 4 WHERE sequence = 5",
        "UPDATE audit_head SET sequence = 4",
    )


def test_another_order_is_found(log):
    _is_found(
        log,
        "UPDATE audit SET sequence = 9 WHERE sequence = 2",
        "UPDATE audit SET sequence = 2 WHERE sequence = 3",
        "UPDATE audit SET sequence = 3 WHERE sequence = 9",
    )


def test_a_chain_made_anew_is_found_by_its_anchor(log):
    anchor = _verify(log)
    with _meddled(log, "DELETE FROM audit") as session:
        head = session.get_one(AuditHead, 1)
        head.sequence, head.digest = 0, bytes(32)
        session.flush()
        for i in range(6):
            audit.append(session, f"forged-{i}", "observations.read")
        assert audit.verify(session).sequence == 6
        with pytest.raises(AuditError, match="last verified"):
            audit.verify(session, anchor)


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'me'", "DELETE FROM audit"])
def test_the_database_itself_refuses_changes(log, statement):
    with pytest.raises((StoreError, DBAPIError)), log.session() as session:
        session.execute(text(statement))
    assert _verify(log).sequence == 5


def test_many_who_append_at_once_make_one_chain(database):
    def write(number):
        for _ in range(5):
            with database.session() as session:
                audit.append(session, f"caller-{number}", "observations.write", uuid4())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert _verify(database).sequence == 20


def test_an_entry_falls_with_its_transaction(database):
    def fail_late():
        with database.session() as session:
            audit.append(session, "caller", "patient.read")
            session.execute(text("SELECT nonsense"))

    with pytest.raises(StoreError):
        fail_late()
    assert _verify(database).sequence == 0


def test_an_action_is_a_name_and_no_room_for_data(database):
    with database.session() as session, pytest.raises(ValueError, match="lower-case"):
        audit.append(session, "caller", "read 5.5 mmol/L of Ada")
