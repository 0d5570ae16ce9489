"""Patients are found, changed and forgotten."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import insert, select, text

from hybridtwin.events import Profile
from serving.store import api_keys, audit, consents, issued, patients, shares
from serving.store.errors import ConflictError, StoreError, UnknownError, VaultError
from serving.store.observations import kept
from serving.store.tables import Base, DataKey, Issued, Observation, PatientRow
from serving.store.vault import destroy_key
from tests.serving.store.conftest import NAME, PROFILE

CARBS_G = 77.640625
CANARIES = [
    NAME.encode(),
    PROFILE.participant.encode(),
    str(PROFILE.sensor).encode(),
    str(PROFILE.weight_kg).encode(),
    str(CARBS_G).encode(),
    b"canary-sender-id",
    b"canary forecast",
]


def test_a_patient_is_found_as_they_were_entered(database, vault, patient):
    assert (patient.name, patient.profile, patient.clinic) == (NAME, PROFILE, "ward-7")
    with database.reading() as session:
        assert patients.find(session, vault, patient.id) == patient
        assert patients.clinic_of(session, patient.id) == "ward-7"
        assert patients.clinic_of(session, uuid4()) is None
        with pytest.raises(UnknownError):
            patients.find(session, vault, uuid4())


def test_an_identifier_is_given_once(database, vault, patient):
    known_by = uuid4()
    with database.session() as session:
        assert patients.create(session, vault, PROFILE, patient_id=known_by).id == known_by
    with pytest.raises(ConflictError), database.session() as session:
        patients.create(session, vault, PROFILE, patient_id=patient.id)


def test_two_editors_do_not_overwrite_each_other(database, vault, patient):
    with database.session() as session:
        new = patients.change(session, vault, patient.id, Profile(weight_kg=90), "Ada B", 1)
        assert (new.version, new.profile.weight_kg) == (2, 90)
        assert patients.find(session, vault, patient.id) == new
        with pytest.raises(ConflictError):
            patients.change(session, vault, patient.id, Profile(weight_kg=95), "Ada C", 1)
        assert patients.find(session, vault, patient.id) == new


def test_a_clinics_patients_are_listed_in_pages(database, vault, patient):
    with database.session() as session:
        others = [patients.create(session, vault, Profile(), "ward-7").id for _ in range(4)]
        patients.create(session, vault, Profile(), "ward-8")
        found = []
        while page := patients.in_clinic(session, "ward-7", found[-1] if found else None, limit=2):
            found += page
    assert found == sorted([patient.id, *others])


@pytest.fixture
def full(database, vault, patient, send, now):
    """A patient of whom something is kept in every table."""
    meal = {"id": "canary-sender-id", "time": now.isoformat(), "carbs_g": CARBS_G}
    span = {"from": "2026-01-31T00:00Z", "to": now.isoformat()}
    send(meals=[meal], complete={"meals": span})
    send(meals=[meal | {"fat_g": 3}])
    with database.session() as session:
        issued.keep(session, vault, patient.id, "forecast", now, "twin 1", b"canary forecast")
        consents.give(session, patient.id, "care", "1")
        shares.give(session, patient.id, "somebody", ["read"], now, now.replace(year=2027))
        api_keys.create(session, "pump", ["app"], patient_id=patient.id)
        audit.append(session, "caller", "patient.read", patient.id)
    return patient


def _files(database, postgres):
    """All bytes of the database's files, after what is in memory was written."""
    if postgres is None:
        folder = Path(database.engine.url.database).parent
    else:
        folder = postgres.home / "data"
        with database.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("CHECKPOINT"))
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def files(database, request):
    postgres = None
    if database.engine.dialect.name == "postgresql":
        postgres = request.getfixturevalue("postgres")
    return lambda: _files(database, postgres)


def _where(found, canary):
    return [path.name for path, content in found.items() if canary in content]


def test_after_erasure_nothing_of_the_person_is_left(database, full, files):
    sealed = []
    with database.reading() as session:
        for table in (Observation, Issued, PatientRow):
            sealed += session.scalars(select(table.sealed))
        wrapped = session.get_one(DataKey, full.id).wrapped
    before = files()
    assert all(_where(before, some) for some in (*sealed, wrapped))  # the search does find
    for canary in CANARIES:
        assert _where(before, canary) == []
    patients.erase(database, full.id, "the patient")
    after = files()
    for canary in CANARIES:
        assert _where(after, canary) == []
    if database.engine.dialect.name == "sqlite":
        assert [_where(after, some) for some in (*sealed, wrapped)] == [[]] * (len(sealed) + 1)
    else:  # the server's write-ahead log is its own matter
        tables = {path: said for path, said in after.items() if "pg_wal" not in path.parts}
        assert _where(tables, wrapped) == []
    with database.reading() as session:
        for table in Base.metadata.tables.values():
            if "patient_id" in table.c and table.name != "audit":
                assert session.execute(select(table)).all() == []
        tombstone = session.get_one(PatientRow, full.id)
        assert tombstone.erased is not None
        assert (tombstone.clinic, tombstone.sealed) == (None, None)
        assert [one.action for one in audit.entries(session, full.id)] == [
            "patient.read",
            "patient.erase",
        ]
        audit.verify(session)


def test_a_backup_from_before_stays_unreadable(database, vault, full):
    with database.reading() as session:
        rows = [
            {column.key: getattr(row, column.key) for column in Observation.__table__.columns}
            for row in session.scalars(select(Observation))
        ]
        profile = session.get_one(PatientRow, full.id).sealed
    patients.erase(database, full.id, "the patient")
    with database.session() as session:  # all but the keys comes back
        session.execute(insert(Observation), rows)
        row = session.get_one(PatientRow, full.id)
        row.sealed, row.erased = profile, None
    with database.reading() as session:
        with pytest.raises(UnknownError):
            patients.find(session, vault, full.id)
        with pytest.raises(UnknownError):
            list(kept(session, vault, full.id))


def test_erasure_spares_others_and_may_be_repeated(database, vault, full):
    with database.session() as session:
        other = patients.create(session, vault, PROFILE, "ward-7", "Grace")
    patients.erase(database, full.id, "the patient")
    patients.erase(database, full.id, "the patient")
    with database.session() as session:
        assert patients.in_clinic(session, "ward-7") == [other.id]
        assert patients.find(session, vault, other.id) == other
        assert len(audit.entries(session, full.id)) == 2
        with pytest.raises(UnknownError):
            patients.change(session, vault, full.id, PROFILE)
        with pytest.raises(ConflictError):
            patients.create(session, vault, PROFILE, patient_id=full.id)
    with pytest.raises(UnknownError):
        patients.erase(database, uuid4(), "somebody")


def test_an_erasure_that_waits_for_a_reader_keeps_nobody_else_waiting(database, vault, patient):
    with database.session() as session:
        other = patients.create(session, vault, PROFILE, "ward-7").id
    with ThreadPoolExecutor(1) as pool:
        with database.reading() as session:
            patients.find(session, vault, patient.id)
            erased = pool.submit(patients.erase, database, patient.id, "the patient")
            time.sleep(0.2)  # it waits by now
            begin = time.monotonic()
            with database.reading() as another:
                patients.find(another, vault, other)
            assert time.monotonic() - begin < 5
            assert not erased.done()
        erased.result()
    with database.reading() as session, pytest.raises(UnknownError):
        patients.find(session, vault, patient.id)


def test_an_erasure_that_was_cut_off_between_two_files_is_finished(database, vault, full):
    """SQLite commits the keys' file last: a crash in between leaves them."""
    with database.session() as session:
        other = patients.create(session, vault, PROFILE, "ward-7")
        key = session.get_one(DataKey, full.id)
        left = {name: getattr(key, name) for name in ("patient_id", "master_key_id", "wrapped")}
    patients.erase(database, full.id, "the patient")
    with database.session() as session:
        session.execute(insert(DataKey), [left])
    patients.finish_erasures(database)
    with database.reading() as session:
        assert session.scalars(select(DataKey.patient_id)).all() == [other.id]


def test_an_entry_that_was_cut_off_between_two_files_is_made_again(database, vault, patient):
    with database.session() as session:
        consents.give(session, patient.id, "research", "1")
        destroy_key(session, patient.id)
    with database.reading() as session:  # meanwhile there is nobody
        assert patients.in_clinic(session, "ward-7") == []
        assert patients.count(session, "ward-7") == 0
        assert not patients.known(session, [patient.id])
        assert not consents.agreeing(session, "research")
    with database.session() as session:
        new = patients.create(session, vault, Profile(weight_kg=90), "ward-8", "Ada", patient.id)
    with database.reading() as session:
        assert patients.find(session, vault, patient.id) == new


def test_no_error_and_no_entry_carries_a_persons_data(database, vault, full, caplog):
    texts = []
    with database.reading() as session:
        texts += [str(row) for row in session.execute(select(Base.metadata.tables["audit"]))]
    with database.session() as session:
        session.get_one(DataKey, full.id).wrapped = bytes(60)
    for call in (patients.find, lambda *given: list(kept(*given))):
        with pytest.raises(VaultError) as caught, database.reading() as session:
            call(session, vault, full.id)
        texts.append(str(caught.value))
    with pytest.raises(StoreError) as broken, database.session() as session:
        session.execute(text("SELECT :name FROM nowhere"), {"name": NAME})
    texts += [str(broken.value), str(broken.value.__cause__), caplog.text]
    for canary in CANARIES:
        assert not any(canary.decode() in said for said in texts)
