"""A PostgreSQL of the tests' own: a private cluster that listens on a socket alone."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from pg8000.native import Connection


@dataclass(frozen=True)
class Cluster:
    """A running server.

    Attributes:
        home: Its directory: the data in `data`, the log, and the socket.
        tools: Where PostgreSQL's programs are.
        owner: As whom they run; None for oneself.
    """

    home: Path
    tools: Path
    owner: str | None

    def start(self) -> None:
        settings = f"-c listen_addresses= -c unix_socket_directories={self.home} -c fsync=off"
        self.run("pg_ctl", "start", "-w", "-o", settings)

    def stop(self) -> None:
        """At once, as in a crash."""
        self.run("pg_ctl", "stop", "-w", "-m", "immediate")

    def run(self, tool: str, *options: str) -> None:
        command = [str(self.tools / tool), "-D", str(self.home / "data"), *options]
        log = self.home / "log"
        with log.open("ab") as out:  # no pipe: the server would keep it open
            done = subprocess.run(
                command,
                cwd=self.home,
                user=self.owner,
                group=self.owner,
                stdout=out,
                stderr=out,
                check=False,
            )
        if done.returncode:
            pytest.fail(f"{tool} failed:\n{log.read_text()}")

    def url(self, name: str) -> str:
        return f"postgresql://postgres@/{name}?unix_sock={self.home}/.s.PGSQL.5432"

    def empty_database(self, name: str = "test") -> str:
        """The URL of a database with nothing in it; emptying is much faster than making one."""
        with self._connected("postgres") as connection:
            known = connection.run("SELECT 1 FROM pg_database WHERE datname = :name", name=name)
            if not known:
                connection.run(f'CREATE DATABASE "{name}"')
        with self._connected(name) as connection:
            connection.run("SET lock_timeout = '10s'")
            connection.run("DROP SCHEMA IF EXISTS public, vault CASCADE")
            connection.run("CREATE SCHEMA public")
        return self.url(name)

    def _connected(self, name: str) -> closing[Connection]:
        """A connection without transactions: every statement stands at once."""
        return closing(
            Connection("postgres", database=name, unix_sock=f"{self.home}/.s.PGSQL.5432")
        )


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Fails, and does not skip, where there is no PostgreSQL: half of the promises are its."""
    tools = _tools()
    home = Path(tempfile.mkdtemp(prefix="hybridtwin-postgres-"))  # short: it holds a socket
    owner = None
    if os.geteuid() == 0:  # which PostgreSQL refuses to run as
        shutil.chown(home, "postgres", "postgres")
        owner = "postgres"
    found = Cluster(home, tools, owner)
    found.run("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
    try:
        found.start()
        yield found
    finally:
        if (home / "data" / "postmaster.pid").exists():
            found.stop()
        shutil.rmtree(home)


def _tools() -> Path:
    found = shutil.which("pg_ctl")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for place in places:
        if (place / "initdb").exists() and (place / "pg_ctl").exists():
            return place
    return pytest.fail("PostgreSQL is not here: make postgres, or apt-get install postgresql")
