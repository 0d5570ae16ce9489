"""Work beside requests: beliefs that follow new readings, and what takes long.

Every process of the service has a thread for each, so that a review of thousands keeps no reading
waiting.
"""

import logging
import math
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from threading import Event, Thread
from typing import Final

import pandas as pd
from sqlalchemy.orm import Session

from hybridtwin.assimilation.hindcasts import lately_missed
from hybridtwin.assimilation.misses import misses_to_bytes
from hybridtwin.assimilation.settings import MissesSettings
from hybridtwin.climatology import CLIMATOLOGY_DAYS
from hybridtwin.errors import HistoryError, ModelError, TwinError
from hybridtwin.record import Record
from hybridtwin.registry import personal_to_bytes
from hybridtwin.twin import Twin
from serving import clock, evening, imports
from serving.failures import told
from serving.personal import record_and_twin
from serving.settings import Settings
from serving.store import audit, consents, issued, jobs, patients
from serving.store.errors import ConflictError, StoreError, UnknownError
from serving.v1.belief import model_of, report_of
from serving.v1.store import Store

VERBS: Final = "hybridtwin.verbs"
"""Entry points of what another package can do with twins."""
_WHEN_IDLE_S: Final = 1.0
_SIGNS: Final = 4
"""Signs of life in the time after which a silent process is taken for dead."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Work:
    """A job in the hands of a process.

    Attributes:
        store: Where results are kept.
        population: The twin of those who have none of their own.
        job: What is to be done.
        worker: The process.
        settings: What the deployment chose.
    """

    store: Store
    population: Twin
    job: jobs.Job
    worker: uuid.UUID
    settings: Settings

    def keep(
        self,
        patient: uuid.UUID,
        twin: Twin,
        results: Mapping[issued.Kind, bytes],
        total: int,
        also: Callable[[Session], None] | None = None,
        purpose: consents.Purpose | None = None,
    ) -> None:
        """Keep one patient's results, say so, and write it down: all of it or nothing.

        Args:
            patient: Whose.
            twin: What made them.
            results: Their bytes by kind.
            total: How many patients the job is about.
            also: What is kept with them.
            purpose: To which the patient still has to agree, or nothing is kept.
        """
        with self.store.database.session() as session:
            jobs.advance(session, self.job, self.worker, total, patient)
            with suppress(UnknownError):  # erased meanwhile
                patients.lock(session, patient)  # whoever withdraws waits, or did so before
                if purpose and not consents.may_use(session, patient, purpose):
                    return
                vault, now = self.store.vault, clock.now()
                for kind, content in results.items():
                    if kind == "belief":
                        hour = now.replace(minute=0, second=0, microsecond=0)
                        issued.thin(session, patient, hour)
                    issued.keep(session, vault, patient, kind, now, model_of(twin), content)
                if also:
                    also(session)
                for kind in results:
                    audit.append(session, self.job.actor, f"{kind}.keep", patient)

    def record(self, patient: uuid.UUID, days: int | None = None) -> tuple[Record, Twin]:
        """A patient's last days, or all, and their twin; see `record_and_twin`."""
        return record_and_twin(self.store, patient, self.population, clock.now(), days)


def personalise(work: Work) -> Iterator[None]:
    """A twin fitted to one patient, in whose place the population's was."""
    patient = _patient(work)
    record, _ = work.record(patient)
    twin = verb("personalise")(work.population, record)
    work.keep(patient, twin, {"twin": personal_to_bytes(twin)}, total=1)
    yield


def advance(work: Work) -> Iterator[None]:
    """What the twin holds true of a patient after new readings, if it can be said."""
    patient = _patient(work)
    record, twin = work.record(patient, CLIMATOLOGY_DAYS)
    evening.keep_lately(work, patient, record)
    with suppress(HistoryError):  # too little is known yet, or all of it is old
        results: dict[issued.Kind, bytes] = {}
        if _is_due(work, patient, twin):
            whole, _ = work.record(patient, math.ceil(MissesSettings().days))
            misses = lately_missed(twin, whole)
            twin = replace(twin, misses=misses)
            results["misses"] = misses_to_bytes(misses)
        belief = twin.believe(record, pd.Timestamp(clock.now()))
        results["belief"] = report_of(twin, belief).model_dump_json().encode()
        work.keep(patient, twin, results, total=1)
    yield


def _is_due(work: Work, patient: uuid.UUID, twin: Twin) -> bool:
    """Whether it was not learnt today what this twin's forecasts of a patient missed."""
    with work.store.database.reading() as session:
        kept = issued.find(session, work.store.vault, patient, "misses", limit=1)
    today = clock.now().date()
    return not kept or kept[0].model != model_of(twin) or kept[0].time.date() < today


def read_in(work: Work) -> Iterator[None]:
    """The rows of a file that somebody exported elsewhere."""
    return imports.read_in(work.store, work.job, _patient(work), work.worker)


def _patient(work: Work) -> uuid.UUID:
    if work.job.patient_id is None:
        raise ModelError.of("job", "names no patient", "Start it for one.")
    return work.job.patient_id


KINDS: Final[Mapping[str, Callable[[Work], Iterator[None]]]] = {
    "advance": advance,
    "review": evening.review,
    "outcome": evening.outcome,
    "personalise": personalise,
    "import": read_in,
}
AT_ONCE: Final = ("advance",)
LONG: Final = ("personalise", "review", "outcome", "import")


def verb(name: str) -> Callable[[Twin, Record], Twin]:
    """What another package can do with a twin and a record.

    Raises:
        ModelError: No package offers it.
    """
    for entry in entry_points(group=VERBS, name=name):
        found: Callable[[Twin, Record], Twin] = entry.load()
        return found
    raise ModelError.of(name, "is offered by no package here", "Install hybridtwin whole.")


def run(work: Work, stopping: Event) -> None:
    """Do a job, until `stopping`.

    A job of which another process has taken charge is left to that one.
    """
    problem = None
    try:
        with _alive(work):
            for _ in KINDS[work.job.kind](work):
                if stopping.is_set():
                    return
    except ConflictError:
        return
    except StoreError:
        raise
    except TwinError as error:
        problem = error.code
    except Exception as error:  # one job's fault must not end the others
        if stopping.is_set():  # in a process that ends anything fails; another takes it up again
            return
        _log.error("job %s failed: %s", work.job.id, told(error))
        problem = "internal"
    with suppress(ConflictError), work.store.database.session() as session:
        jobs.finish(session, work.job, work.worker, problem)


@contextmanager
def _alive(work: Work) -> Iterator[None]:
    """Says again and again that somebody is at it, however long one patient takes."""
    over = Event()

    def say() -> None:
        while not over.wait(jobs.SILENT.total_seconds() / _SIGNS):
            with suppress(StoreError, ConflictError), work.store.database.session() as session:
                jobs.stay(session, work.job, work.worker)

    saying = Thread(target=say, daemon=True)
    saying.start()
    try:
        yield
    finally:
        over.set()
        saying.join()


def work_off(
    store: Store,
    population: Callable[[], Twin],
    kinds: Sequence[str],
    worker: uuid.UUID,
    stopping: Event,
    settings: Settings,
) -> None:
    """Take job after job of these kinds until `stopping`, and give back what is in hand then."""
    while not stopping.is_set():
        try:
            with store.database.session() as session:
                job = jobs.take(session, worker, kinds)
            if job:
                run(Work(store, population(), job, worker, settings), stopping)
        except StoreError as error:
            _log.warning("jobs wait: %s", error)
            job = None
        if job is None:
            stopping.wait(_WHEN_IDLE_S)
    _give_back(store, worker)


def _give_back(store: Store, *workers: uuid.UUID) -> None:
    with suppress(StoreError), store.database.session() as session:
        for worker in workers:
            jobs.give_back(session, worker)


@dataclass(frozen=True)
class Working:
    """Threads of this process that work jobs off.

    Attributes:
        store: Where the jobs are.
        workers: By what the threads are known there.
        stopping: Set once the process is to end.
    """

    store: Store
    workers: Sequence[uuid.UUID]
    stopping: Event

    def stop(self) -> None:
        """Take no more jobs, and let others go on at once with those that would take too long."""
        self.stopping.set()
        _give_back(self.store, *self.workers)


def start_working(store: Store, population: Callable[[], Twin], settings: Settings) -> Working:
    """Work jobs off in threads of this process."""
    begun = Working(store, [uuid.uuid4(), uuid.uuid4()], Event())
    for kinds, worker in zip((AT_ONCE, LONG), begun.workers, strict=True):
        work = (store, population, kinds, worker, begun.stopping, settings)
        Thread(target=work_off, args=work, daemon=True).start()
    return begun
