"""The first evening of a virtual clinic: its people, entered into a new store by its operator.

What they recorded so far is there at once, the coming night reviewed, and so are the nights of the
week before, as if the clinic had had them then. From then on all comes over HTTP
(`serving.demo.app`).
"""

import base64
import os
import uuid
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Final

import pandas as pd
from pydantic import BaseModel, ConfigDict
from sqlalchemy.orm import Session

from hybridtwin.errors import HistoryError
from hybridtwin.native import native_walk
from hybridtwin.record import Record
from hybridtwin.registry import load_twin, personal_to_bytes
from hybridtwin.twin import Twin
from serving import clock
from serving.clinic import summary
from serving.imports import pieces_of
from serving.jobs import Work, run
from serving.settings import from_environment
from serving.store import (
    api_keys,
    consents,
    issued,
    jobs,
    observations,
    patients,
    shares,
    summaries,
)
from serving.store.database import open_database
from serving.store.vault import Vault
from serving.v1.access import subject_of
from serving.v1.belief import model_of, report_of
from serving.v1.store import Store

CLINIC: Final = "demo"
SOURCE: Final = "virtual-people"
_KNOWN: Final = "service.json"
_STORE: Final = "store.db"
_TWINS: Final = "twins"
_ACTOR: Final = "the demonstration"
_CONSENT: Final = "demo"
_SHARED: Final = timedelta(days=3650)
_NIGHTS_BEFORE: Final = 7
_MORNING_AFTER: Final = timedelta(hours=10)
"""From the evening of a review on: the night is over, and its readings have come."""
_BELIEFS_DAYS: Final = 14
_BELIEF_EVERY: Final = timedelta(hours=5)
"""Which falls on every hour of the day in turn."""


class Opened(BaseModel):
    """What opens the demonstration's store, and whom it holds."""

    model_config = ConfigDict(frozen=True)

    master_key: str
    app_key: str
    patients: tuple[uuid.UUID, ...]


def database_url(home: Path) -> str:
    """The demonstration's own database."""
    return f"sqlite:///{home.resolve() / _STORE}"


def opened(home: Path) -> Opened | None:
    """What was opened in this folder before; None if nothing was, or not to the end."""
    file = home / _KNOWN
    return Opened.model_validate_json(file.read_bytes()) if file.is_file() else None


def open_clinic(home: Path, records: Sequence[Record]) -> Opened:
    """Enter people into a new store, and review their night: all of it, or nothing.

    It is done at the time of `serving.clock`.

    Args:
        home: The clinic's folder, with twins/<participant>/ of those who have one.
        records: What they recorded so far.
    """
    now, population = clock.now(), _fast(load_twin(from_environment().model))
    for left in home.glob(f"{_STORE}*"):
        left.unlink()
    master_key = base64.b64encode(os.urandom(32)).decode()
    vault = Vault(base64.b64decode(master_key))
    with closing(open_database(database_url(home))) as database:
        database.migrate()
        with database.session() as session:
            app, app_key = api_keys.create(session, "the virtual people's app", ["app"])
            entered = tuple(
                _enter(session, vault, home, one, now, app, population) for one in records
            )
        store = Store(database, vault)
        for days in reversed(range(1, _NIGHTS_BEFORE + 1)):
            evening = now - timedelta(days=days)
            with clock.standing_at(evening):
                _do(store, "review", population)
            with clock.standing_at(evening + _MORNING_AFTER):
                _do(store, "outcome", population)
        _do(store, "review", population)
    found = Opened(master_key=master_key, app_key=app_key, patients=entered)
    file = home / _KNOWN
    file.touch(mode=0o600)
    file.write_text(found.model_dump_json())
    return found


def _fast(twin: Twin) -> Twin:
    """By machine code: many forecasts follow."""
    return replace(twin, walk=native_walk())


def _do(store: Store, kind: jobs.Kind, population: Twin) -> None:
    """What the clinic's evening or morning brings, as a clinician would ask for it."""
    settings, worker = from_environment(), uuid.uuid4()
    with store.database.session() as session:
        jobs.start(session, kind, _ACTOR, clinic=CLINIC)
        job = jobs.take(session, worker, [kind])
    if job:
        run(Work(store, population, job, worker, settings), Event())


def _enter(
    session: Session,
    vault: Vault,
    home: Path,
    record: Record,
    now: datetime,
    app: api_keys.ApiKey,
    population: Twin,
) -> uuid.UUID:
    """One person, who consents to care, and shares with the app that sends what they do."""
    found = patients.create(session, vault, record.profile, CLINIC).id
    for purpose in ("care", "sharing"):
        consents.give(session, found, purpose, _CONSENT)
    today = datetime.now(UTC)
    shares.give(session, found, subject_of(app), ["write"], today, today + _SHARED)
    sent = replace(record, provenance=record.provenance.model_copy(update={"source": SOURCE}))
    for piece in pieces_of(sent, now):
        for batch in piece:
            observations.accept(session, vault, found, batch, now)
    own, twin = home / _TWINS / record.profile.participant, population
    if own.is_dir():
        twin = _fast(load_twin(own))
        said = personal_to_bytes(twin)
        issued.keep(session, vault, found, "twin", now, model_of(twin), said)
    _believe_again(session, vault, found, record, twin, now)
    last = summary.lately(record)
    if last:
        said = last.model_dump_json().encode()
        summaries.put(session, vault, found, "lately", last.time, said)
    return found


def _believe_again(
    session: Session, vault: Vault, patient: uuid.UUID, record: Record, twin: Twin, now: datetime
) -> None:
    """What the twin held true of somebody in the days before, a few times a day."""
    for back in range(1, int(timedelta(days=_BELIEFS_DAYS) / _BELIEF_EVERY)):
        time = now - back * _BELIEF_EVERY
        with suppress(HistoryError):  # too little was known then
            said = report_of(twin, twin.believe(record, pd.Timestamp(time)))
            content = said.model_dump_json().encode()
            issued.keep(session, vault, patient, "belief", time, model_of(twin), content)
