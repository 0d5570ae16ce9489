"""A newer version whose migration fails half-way: it does not start, and changes nothing."""

import base64
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

import serving
from serving.store import patients
from serving.store.tables import Base
from tests.serving.server import HYBRIDTWIN, free_port
from tests.serving.store.test_database import OPTIONS

REFUSAL = "database: cannot be brought to this version"
BROKEN = '''
"""Half of a change, and then a mistake."""

import sqlalchemy as sa
from alembic import op

revision = "broken"
down_revision = "{head}"


def upgrade() -> None:
    op.add_column("patients", sa.Column("ward", sa.String(64)))
    op.execute("UPDATE patients SET ward = clinic, clinic = NULL")
    op.create_table("wards", sa.Column("name", sa.String(64), primary_key=True))
    op.execute("INSERT INTO wards SELECT ward FROM patient")
'''


@pytest.fixture
def newer(database, database_url, vault, tmp_path: Path) -> dict[str, str]:
    """Variables of a newer version of the service, on the database."""
    (here,) = serving.__path__
    site = tmp_path / "newer"
    shutil.copytree(here, site / "serving", ignore=shutil.ignore_patterns("__pycache__"))
    with database.reading() as session:
        head = session.scalar(text("SELECT version_num FROM alembic_version"))
    versions = site / "serving" / "store" / "migrations" / "versions"
    (versions / "broken.py").write_text(BROKEN.format(head=head))
    path = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path),
        "HYBRIDTWIN_DATABASE": database_url,
        "HYBRIDTWIN_MASTER_KEY": base64.b64encode(vault.master).decode(),
    }


def _run(newer, *command) -> str:
    done = subprocess.run(command, env=newer, capture_output=True, text=True, check=False)
    assert done.returncode, done.stdout
    return done.stdout + done.stderr


def _unchanged(database, vault, patient):
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=OPTIONS)
        assert compare_metadata(context, Base.metadata) == []
    with database.reading() as session:
        assert patients.find(session, vault, patient.id) == patient


def test_a_migration_that_fails_half_way_changes_nothing(database, vault, patient, newer):
    migrate = "import os; from serving.store.database import open_database as open;"
    migrate += "open(os.environ['HYBRIDTWIN_DATABASE']).migrate()"
    assert REFUSAL in _run(newer, sys.executable, "-P", "-c", migrate)
    _unchanged(database, vault, patient)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_service_does_not_start_after_it(database, vault, patient, newer):
    said = _run(newer, HYBRIDTWIN, "serve", "--port", str(free_port()))
    assert said.startswith(f"error: {REFUSAL}"), said
    assert "nothing was changed" in said
    assert "Traceback" not in said
    _unchanged(database, vault, patient)
