import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from hybridtwin.events import Profile
from serving.store import patients
from serving.store.batch import Batch
from serving.store.database import Database, open_database
from serving.store.observations import Kept, Outcome, accept, kept
from serving.store.patients import Patient
from serving.store.vault import Vault

Send = Callable[..., list[Outcome]]
NAME = "Ada Canary"
PROFILE = Profile(
    participant="canary-pseudonym",
    time_zone="Europe/Berlin",
    age_years=43.25,
    sex="female",
    weight_kg=71.125,
    sensor="canary sensor",
)


@pytest.fixture(scope="session")
def now() -> datetime:
    return datetime(2026, 2, 1, 12, tzinfo=UTC)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """Both kinds, empty and with its tables."""
    found = open_database(database_url)
    found.migrate()
    yield found
    found.close()


@pytest.fixture
def vault() -> Vault:
    return Vault(os.urandom(32))


@pytest.fixture
def patient(database: Database, vault: Vault) -> Patient:
    with database.session() as session:
        return patients.create(session, vault, PROFILE, "ward-7", NAME)


@pytest.fixture
def send(database: Database, vault: Vault, patient: Patient, now: datetime) -> Send:
    """Sends a batch of the patient's, as the service does: in a transaction of its own."""

    def _send(at: datetime = now, **said: Any) -> list[Outcome]:
        batch = Batch.model_validate({"source": "app", "units": {"glucose": "mg/dL"}} | said)
        with database.session() as session:
            return accept(session, vault, patient.id, batch, at)

    return _send


@pytest.fixture
def stored(database: Database, vault: Vault, patient: Patient) -> Callable[..., list[Kept]]:
    """Reads what is kept of the patient."""

    def _stored(**which: Any) -> list[Kept]:
        with database.reading() as session:
            return list(kept(session, vault, patient.id, **which))

    return _stored
