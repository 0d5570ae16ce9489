"""The database itself: migrations, transactions, and what it says when it is away."""

import gc
import resource
import socket
import struct
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Thread

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError

from hybridtwin.events import Profile
from serving.store import audit, patients
from serving.store.database import open_database
from serving.store.errors import ConflictError, StoreError
from serving.store.tables import AuditHead, Base, PatientRow


def _ours(name, kind, parents):
    return kind != "schema" or name in (None, "vault")


OPTIONS = {
    "target_metadata": Base.metadata,
    "include_schemas": True,
    "include_name": _ours,
    "compare_type": True,
    "compare_server_default": True,
}


def test_the_migrations_make_what_the_code_expects(database):
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=OPTIONS)
        assert compare_metadata(context, Base.metadata) == []


def test_several_processes_may_migrate_at_once(database_url):
    def migrate(_):
        found = open_database(database_url)
        found.migrate()
        found.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate, range(4)))
    found = open_database(database_url)
    with found.reading() as session:
        assert session.scalar(select(func.count()).select_from(AuditHead)) == 1
    found.close()


def test_a_database_of_a_newer_version_is_left_alone(database):
    with database.session() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="Install the version that wrote it"):
        database.migrate()


def test_a_broken_migration_changes_nothing(database_url):
    found = open_database(database_url)
    with found.session() as session:  # in the way of the last table
        session.execute(text("CREATE TABLE audit_head (id INTEGER)"))
    with pytest.raises(StoreError):
        found.migrate()
    with found.session() as session:
        session.execute(text("DROP TABLE audit_head"))
    found.migrate()
    with found.reading() as session:
        assert session.scalar(select(func.count()).select_from(PatientRow)) == 0
    found.close()


def test_a_transaction_holds_as_a_whole_or_not_at_all(database, vault, patient):
    def fail_late():
        with database.session() as session:
            patients.create(session, vault, Profile())
            patients.create(session, vault, Profile(), patient_id=patient.id)

    with pytest.raises(ConflictError):
        fail_late()
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(PatientRow)) == 1


def test_a_reader_sees_one_instant(database, vault):
    count = select(func.count()).select_from(PatientRow)
    with database.reading() as reader:
        assert reader.scalar(count) == 0
        with database.session() as session:
            patients.create(session, vault, Profile())
        assert reader.scalar(count) == 0
    with database.reading() as reader:
        assert reader.scalar(count) == 1


def test_foreign_keys_hold(database, patient):
    delete = text("DELETE FROM patients")
    with database.session() as session:
        session.execute(
            text(
                "INSERT INTO consents (id, patient_id, purpose, version, given) "
                "SELECT id, id, 'care', '1', created FROM patients"
            )
        )
    with pytest.raises(DBAPIError), database.session() as session:
        session.execute(delete)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////nowhere/at/all/store.db",
        "postgresql://somebody:hunter2@127.0.0.1:1/store",
    ],
)
def test_a_database_that_is_away_is_said_to_be(url):
    found = open_database(url)
    assert not found.usable()
    with pytest.raises(StoreError, match="Ask again") as caught, found.session() as session:
        session.execute(select(1))
    assert "hunter2" not in str(caught.value)
    assert caught.value.code == "store-unavailable"
    found.close()


@pytest.fixture
def hanging_up():
    """The port of a server that breaks every connection off once something is asked."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up():
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    connection.recv(1)
                    at_once = struct.pack("ii", 1, 0)
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
                    connection.close()

        thread = Thread(target=hang_up)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_connection_that_breaks_is_a_database_that_is_away(hanging_up):
    found = open_database(f"postgresql://somebody:hunter2@127.0.0.1:{hanging_up}/store")
    with pytest.raises(StoreError, match="Ask again"), found.session() as session:
        session.execute(select(1))
    found.close()
    gc.collect()  # pg8000 leaves its socket to it


@pytest.mark.parametrize("url", ["", "nonsense", "sqlite://", "mysql://u:hunter2@h/n", "a:b:c"])
def test_an_unknown_database_is_refused(url):
    with pytest.raises(StoreError, match="is no database") as caught:
        open_database(url)
    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path):
    path = tmp_path / "store.db"
    path.write_bytes(b"this is no database " * 500)
    found = open_database(f"sqlite:///{path}")
    with pytest.raises(StoreError, match="NOTADB"):
        found.migrate()
    found.close()


def test_a_full_disk_is_said_to_be_full(tmp_path, vault):
    found = open_database(f"sqlite:///{tmp_path / 'store.db'}")
    found.migrate()

    def fill():
        with found.session() as session:
            session.execute(text("PRAGMA main.max_page_count = 1"))
            for _ in range(200):
                patients.create(session, vault, Profile())

    with pytest.raises(StoreError, match="FULL"):
        fill()
    with found.session() as session:
        session.execute(text("PRAGMA main.max_page_count = 1000000"))
        assert session.scalar(select(func.count()).select_from(PatientRow)) == 0
        patients.create(session, vault, Profile())
    found.close()


def test_a_database_without_any_room_is_not_usable(tmp_path):
    """Every answer is written into the audit log."""
    found = open_database(f"sqlite:///{tmp_path / 'store.db'}")
    found.migrate()
    assert found.usable()
    room = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, room[1]))
    try:
        assert not found.usable()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, room)
    assert found.usable()
    with found.reading() as session:
        assert audit.verify(session).sequence == 0
    found.close()
