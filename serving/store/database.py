"""The database: SQLite in a file or PostgreSQL, with the same promises.

A transaction that was committed survives a crash. Writers wait for each other: on SQLite for the
whole database, on PostgreSQL for the rows they lock.
"""

import logging
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import (
    URL,
    Connection,
    Engine,
    create_engine,
    event,
    func,
    make_url,
    select,
    text,
    update,
)
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from serving.store.errors import StoreError
from serving.store.tables import KEY_SCHEMA, AuditHead

_WAIT_S: Final = 10
"""How long a transaction waits for another one, or for a connection."""
_PAUSE_S: Final = 0.1
_BRIEFLY_MS: Final = 300
_STATEMENT_LIMIT_S: Final = 20
_ANSWER_LIMIT_S: Final = 30
"""After which a database that is silent counts as away."""
_NOT_ITS_FAULT: Final = ("22", "23")
"""Classes of SQLSTATE: data that do not fit, and constraints."""
_LOST: Final = (ConnectionError, TimeoutError, ssl.SSLError)
"""What pg8000 lets through where a connection breaks that it reads from, or begins."""
_LOCKED: Final = "55P03"
_FULL: Final = ("SQLITE_FULL", "53100")
_THIS_MACHINE: Final = ("localhost", "127.0.0.1", "::1")
logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)  # or every dead connection is told
_MIGRATION_LOCK: Final = 0x68796274  # any number that nothing else in the database locks


@dataclass(frozen=True)
class Database:
    """An open database.

    Attributes:
        engine: Its connections.
    """

    engine: Engine

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A transaction that may write; committed at the end, or not at all.

        Raises:
            StoreError: The database cannot be used; nothing was written unless the commit's
                answer itself was lost.
        """
        with _explained(), Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A transaction that only reads, and sees the database as it is at one instant.

        Raises:
            StoreError: The database cannot be used.
        """
        readers = self.engine.execution_options(begin=_READING[self.engine.dialect.name])
        with _explained(), Session(readers, expire_on_commit=False) as session, session.begin():
            yield session

    def migrate(self) -> None:
        """Bring the tables to the newest version; several processes may try at once.

        Raises:
            StoreError: A migration fails (and nothing was changed), or the database was made by
                a newer version.
        """
        config = Config()
        config.set_main_option("script_location", "serving.store:migrations")
        try:
            with _explained(), self.engine.begin() as connection:
                if connection.dialect.name == "postgresql":
                    lock = text("SELECT pg_advisory_xact_lock(:number)")
                    connection.execute(lock, {"number": _MIGRATION_LOCK})
                config.attributes["connection"] = connection
                _upgrade(config)
        except CommandError as error:
            raise StoreError.of(
                "database",
                f"has tables that this version does not know ({error})",
                "Install the version that wrote it, or a newer one.",
            ) from error

    def usable(self) -> bool:
        """Whether it can be written to: every answer is audited, so that on a full disk there is
        none.
        """
        try:
            with self.session() as session:
                for step in (1, -1):  # to and fro: SQLite writes no row that stays as it is
                    session.execute(update(AuditHead).values(sequence=AuditHead.sequence + step))
        except StoreError:
            return False
        return True

    def scrub(self) -> None:
        """Remove what deleted rows left behind in the files.

        On SQLite deleted rows are overwritten and the write-ahead log is emptied. On PostgreSQL
        the table of keys is written anew; its write-ahead log is recycled by the server.

        Raises:
            StoreError: Others are reading; ask again.
        """
        with _explained(), self.engine.connect() as connection:
            unmanaged = connection.execution_options(isolation_level="AUTOCOMMIT")
            scrubbed = _wal_emptied
            if unmanaged.dialect.name == "postgresql":
                unmanaged.execute(text("COMMIT"))  # of the transaction that the pool's ping began
                scrubbed = _keys_rewritten
            deadline = time.monotonic() + _WAIT_S
            while not scrubbed(unmanaged):
                if time.monotonic() > deadline:
                    raise StoreError.of(
                        "database",
                        "is being read, so that its files cannot be scrubbed",
                        "Erase again in a minute.",
                    )
                time.sleep(_PAUSE_S)

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


def _wal_emptied(connection: Connection) -> bool:
    """Whether SQLite's write-ahead logs could be emptied: nobody reads what is in them."""
    return not any(
        connection.execute(text(f"PRAGMA {schema}.wal_checkpoint(TRUNCATE)")).one()[0]
        for schema in ("main", KEY_SCHEMA)
    )


def _keys_rewritten(connection: Connection) -> bool:
    """Whether PostgreSQL's table of keys could be written anew: nobody reads it.

    It waits only briefly for who does, since everybody else waits behind it meanwhile.
    """
    connection.execute(text(f"SET lock_timeout = {_BRIEFLY_MS}"))
    try:
        connection.execute(text(f"VACUUM FULL {KEY_SCHEMA}.data_keys"))
    except DBAPIError as error:
        if _reason(error) != _LOCKED:
            raise
        return False
    finally:
        connection.execute(text("RESET lock_timeout"))
    return True


def open_database(url: str) -> Database:
    """A database by its URL; nothing is read or written yet.

    Args:
        url: `sqlite:///path/to/file` or `postgresql://user:password@host/name`. Another host is
            reached by TLS alone, its certificate checked; `?sslrootcert=file` names the authority,
            and `?sslmode=disable` does without. `?unix_sock=path` is a socket on this machine.

    Raises:
        StoreError: The URL is not one of these.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:  # its text would repeat the password
        parsed = None
    if parsed and parsed.get_backend_name() == "sqlite" and parsed.database not in (None, ""):
        return Database(_sqlite(Path(str(parsed.database)).resolve()))
    if parsed and parsed.get_backend_name() == "postgresql":
        return Database(_postgresql(parsed))
    raise StoreError.of(
        "HYBRIDTWIN_DATABASE",
        "is no database that is known here",
        "Write sqlite:///path/to/file or postgresql://user:password@host/name.",
    )


def present(session: Session) -> datetime:
    """The time by the one clock that all who share the database see."""
    if session.get_bind().dialect.name == "sqlite":  # its processes share a machine
        return datetime.now(UTC)
    return session.execute(select(func.now())).scalar_one()


_READING: Final = {
    "sqlite": "BEGIN",
    "postgresql": "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY",
}
"""How a transaction that only reads begins; not by a setting of the connection, which could not be
taken back from one that is lost."""


def _upgrade(config: Config) -> None:
    try:
        command.upgrade(config, "head")
    except CommandError:
        raise
    except Exception as error:  # a migration is code, and anything may be wrong with it
        raise StoreError.of(
            "database",
            f"cannot be brought to this version ({_reason(error)}); nothing was changed",
            "Go on with the version before, and report it.",
        ) from error


def _postgresql(url: URL) -> Engine:
    here = not url.host or url.host in _THIS_MACHINE
    mode = url.query.get("sslmode", "disable" if here else "verify-full")
    if mode not in ("disable", "verify-full"):
        raise StoreError.of(
            "HYBRIDTWIN_DATABASE",
            f"asks for sslmode={mode}, which would trust any server",
            "Write sslmode=verify-full, or disable.",
        )
    authority = url.query.get("sslrootcert")
    tls = ssl.create_default_context(cafile=str(authority) if authority else None)
    limits_s = {"lock_timeout": _WAIT_S, "statement_timeout": _STATEMENT_LIMIT_S}
    settings = {name: str(1000 * limit_s) for name, limit_s in limits_s.items()}
    engine = create_engine(
        url.set(drivername="postgresql+pg8000").difference_update_query(["sslmode", "sslrootcert"]),
        connect_args={
            "ssl_context": tls if mode == "verify-full" else None,
            "timeout": _ANSWER_LIMIT_S,
            "startup_params": settings | {"timezone": "UTC"},
        },
        pool_pre_ping=True,
        pool_timeout=_WAIT_S,
        hide_parameters=True,
    )

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if statement := connection.get_execution_options().get("begin"):
            connection.exec_driver_sql(statement)

    return engine


def _sqlite(path: Path) -> Engine:
    engine = create_engine(
        f"sqlite:///{path}",
        connect_args={"timeout": _WAIT_S},
        pool_timeout=_WAIT_S,
        hide_parameters=True,
    )
    keys = path.with_name(path.name + ".keys")

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: object) -> None:
        connection.isolation_level = None  # transactions begin below, not in the driver
        connection.execute(f"ATTACH DATABASE ? AS {KEY_SCHEMA}", (str(keys),))
        for schema in ("main", KEY_SCHEMA):
            connection.execute(f"PRAGMA {schema}.journal_mode = WAL")
            connection.execute(f"PRAGMA {schema}.synchronous = FULL")
            connection.execute(f"PRAGMA {schema}.secure_delete = ON")
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        if options.get("isolation_level") != "AUTOCOMMIT":
            # a reader that turned into a writer would fail at once instead of waiting
            connection.exec_driver_sql(options.get("begin", "BEGIN IMMEDIATE"))

    return engine


@contextmanager
def _explained() -> Iterator[None]:
    """A StoreError in place of the driver's errors, whose texts could hold data."""
    try:
        yield
    except (DBAPIError, PoolTimeoutError, *_LOST) as error:
        reason = _reason(error)
        if isinstance(error, IntegrityError | DataError) or reason[:2] in _NOT_ITS_FAULT:
            raise
        what, advice = "cannot be used now", "Ask again in a minute."
        if reason in _FULL:
            what, advice = "has no room left on its disk", "Its operator has to make room."
        raise StoreError.of("database", f"{what} ({reason})", advice) from error


def _reason(error: Exception) -> str:
    cause = getattr(error, "orig", error)
    said = next(iter(getattr(cause, "args", ())), None)
    code = said.get("C") if isinstance(said, dict) else getattr(cause, "sqlite_errorname", None)
    return str(code or type(cause).__name__)
