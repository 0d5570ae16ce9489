"""A session opens until it is idle, old or ended; neither its secret nor its person is readable."""

import os
from datetime import timedelta

import pytest
from sqlalchemy import select

from serving.access.caller import Caller, Role
from serving.store import sessions
from serving.store.tables import SessionRow
from serving.store.vault import Vault

IDLE, LASTS = timedelta(minutes=30), timedelta(hours=8)
WHO = Caller(
    "https://login.example#17",
    "session",
    frozenset({Role.CLINICIAN, Role.ADMIN}),
    frozenset({"ward 7", "ward/8"}),
    frozenset({"6c1f"}),
    "Dr Ann Canary",
)


@pytest.fixture
def begin(database, vault, now):
    def begin(who=WHO, at=now):
        with database.session() as session:
            return sessions.begin(session, vault, who, at, LASTS, IDLE)

    return begin


@pytest.fixture
def find(database, vault, now):
    def find(secret, after=timedelta(), opened_by=vault):
        with database.reading() as session:
            found = sessions.find(session, opened_by, secret, now + after, IDLE)
        return found and found[0]

    return find


def test_it_says_who_signed_in(begin, find):
    secret = begin()
    assert find(secret) == WHO
    for wrong in ("", secret[:-1], secret + "x", secret.swapcase()):
        assert find(wrong) is None


def test_neither_its_secret_nor_its_person_is_kept_readable(database, begin):
    secret, other = begin(), begin()
    assert secret != other
    assert len(secret) >= 43  # 256 bits in base64
    with database.reading() as session:
        rows = session.scalars(select(SessionRow)).all()
    shown = [str(value) for row in rows for value in vars(row).values()]
    for part in (secret, "Canary", "ward", "6c1f", "clinician"):
        assert not any(part in value for value in shown)


def test_it_ends_when_nobody_uses_it(database, begin, find, now):
    secret = begin()
    assert find(secret, IDLE - timedelta(seconds=1)) == WHO
    assert find(secret, IDLE) is None
    with database.session() as session:
        sessions.use(session, secret, now + IDLE / 2)
    assert find(secret, IDLE) == WHO
    assert find(secret, 1.5 * IDLE) is None


def test_it_ends_however_much_it_is_used(database, begin, find, now):
    secret = begin()
    for minutes in range(20, 480, 20):
        with database.session() as session:
            sessions.use(session, secret, now + timedelta(minutes=minutes))
    assert find(secret, LASTS - timedelta(seconds=1)) == WHO
    assert find(secret, LASTS) is None


def test_ended_is_ended(database, begin, find, now):
    secret, other = begin(), begin()
    with database.session() as session:
        assert sessions.end(session, secret) == WHO.subject
        assert sessions.end(session, secret) is None
        sessions.use(session, secret, now)
    assert find(secret) is None
    assert find(other) == WHO


def test_somebody_s_or_everybody_s_are_revoked(database, begin, find):
    other = Caller("https://login.example#18", "session", frozenset({Role.ADMIN}))
    mine, also_mine, theirs = begin(), begin(), begin(other)
    with database.session() as session:
        assert sessions.end_all(session, WHO.subject) == [WHO.subject] * 2
    assert [find(secret) for secret in (mine, also_mine, theirs)] == [None, None, other]
    begin()
    with database.session() as session:
        assert sessions.end_all(session) == [WHO.subject, other.subject]
    assert find(theirs) is None


def test_with_another_master_key_people_sign_in_again(begin, find, vault):
    secret, new = begin(), os.urandom(32)
    assert find(secret, opened_by=Vault(new, [vault.master])) == WHO
    assert find(secret, opened_by=Vault(new)) is None


def test_one_moved_to_another_row_does_not_open(database, begin, find):
    other = Caller("https://login.example#18", "session", frozenset({Role.ADMIN}))
    secret, theirs = begin(), begin(other)
    with database.session() as session:
        rows = {row.subject: row for row in session.scalars(select(SessionRow))}
        rows[WHO.subject].sealed = rows[other.subject].sealed
    assert find(secret) is None
    assert find(theirs) == other


def test_those_that_are_over_are_not_kept(database, begin, now):
    begin()
    begin(at=now + IDLE)
    with database.reading() as session:
        assert len(session.scalars(select(SessionRow)).all()) == 1
