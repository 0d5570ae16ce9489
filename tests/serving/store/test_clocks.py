"""A host's clock that is a day off, as libfaketime shows it to a whole process."""

import base64
import os
import shutil
import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from serving.store import audit, jobs
from serving.store.observations import kept

DAY = timedelta(days=1)
HOST = """
import os, sys, uuid
from serving.store import audit, jobs
from serving.store.batch import Batch
from serving.store.database import open_database
from serving.store.observations import accept
from serving.store.vault import vault_from

patient, time = uuid.UUID(sys.argv[1]), sys.argv[2]
database = open_database(os.environ["HYBRIDTWIN_DATABASE"])
with database.session() as session:
    job = jobs.take(session, uuid.uuid4(), ["review"])
with database.session() as session:
    glucose = [{"time": time, "value": 100}]
    said = {"source": "app", "units": {"glucose": "mg/dL"}, "glucose": glucose}
    (found,) = accept(session, vault_from(os.environ), patient, Batch.model_validate(said))
    audit.append(session, "host", "observations.write", patient)
print(job and job.id, found.outcome)
"""


@pytest.fixture
def host(database_url, vault, patient):
    """A process on the database whose clock is off by so many days; what it took, and kept."""
    faketime = shutil.which("faketime")
    if faketime is None:
        pytest.skip("faketime is not here: make clocks, or apt-get install faketime")

    def run(days: int, time: datetime) -> tuple[str, str]:
        variables = os.environ | {
            "HYBRIDTWIN_DATABASE": database_url,
            "HYBRIDTWIN_MASTER_KEY": base64.b64encode(vault.master).decode(),
        }
        here = [sys.executable, "-c", HOST, str(patient.id), time.isoformat()]
        command = [faketime, "-f", f"{days:+d}d", *here]
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        job, outcome = done.stdout.split()
        return job, outcome

    return run


@pytest.mark.parametrize("days", [-1, 1])
def test_a_host_whose_clock_is_off(database, vault, patient, host, days):
    now = datetime.now(UTC)
    with database.session() as session:
        audit.append(session, "here", "patient.read", patient.id)
        job = jobs.start(session, "review", "key:1", clinic="ward-7")
        jobs.take(session, uuid.uuid4(), ["review"])
    earlier = now - 3 * DAY
    taken, outcome = host(days, earlier)
    # On PostgreSQL its clock is the database's, and nobody was silent for long.
    assert taken == ("None" if database.engine.dialect.name == "postgresql" else str(job.id))
    assert outcome == "accepted"
    with database.session() as session:
        audit.append(session, "here", "patient.read", patient.id)
    with database.reading() as session:
        assert audit.verify(session).sequence == 3
        times = [entry.time for entry in audit.entries(session, patient.id)]
        assert [entry.sequence for entry in audit.entries(session, patient.id)] == [1, 2, 3]
        assert timedelta(hours=23) < abs(times[1] - times[0]) < timedelta(hours=25)
        (row,) = kept(session, vault, patient.id)
        assert row.event.time == earlier
    # Whatever time that host left behind, the job is not held up.
    with database.session() as session:
        later = datetime.now(UTC) + 2 * jobs.SILENT
        assert jobs.take(session, uuid.uuid4(), ["review"], later).id == job.id
