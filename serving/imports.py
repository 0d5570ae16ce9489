"""Import of a file: from what somebody exported elsewhere to rows of a stored patient.

The file is read by the importers of `hybridtwin`; its rows are then accepted in pieces as if an app
sent them, each in one transaction with the count of what is done. So an import that was cut off
goes on behind the last piece, and a file that was imported before changes nothing.
"""

import logging
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pandas as pd

from hybridtwin import importers
from hybridtwin.errors import ImportFormatError, Problem, TwinError
from hybridtwin.event_tables import TABLES
from hybridtwin.record import Record
from serving import clock
from serving.archives import unpack
from serving.store import audit, imports, jobs, observations
from serving.store.batch import Batch
from serving.store.records import CHANNEL
from serving.v1.store import Store

_AT_ONCE: Final = 1000
_UNITS: Final = {"glucose": "mg/dL"}
_log = logging.getLogger(__name__)


def read_in(store: Store, job: jobs.Job, patient: uuid.UUID, worker: uuid.UUID) -> Iterator[None]:
    """Read the file of a job in, piece by piece, from where it was left.

    Raises:
        UnknownError: The patient was erased meanwhile.
        ConflictError: Another process has the job by now.
        ImportFormatError: The file cannot be read; its report says why.
    """
    vault = store.vault
    with store.database.reading() as session:
        content = imports.content(session, vault, patient, job.id)
        report = imports.report(session, vault, patient, job.id)
    if content is None:  # cut off between the last piece and the job's end
        return
    try:
        record = record_of(content)
    except TwinError as error:
        with store.database.session() as session:
            jobs.advance(session, job, worker, total=0)
            said = report.with_problems(error.problems)
            imports.note(session, vault, patient, job.id, said, read=True)
        raise
    provenance = record.provenance
    report = report.model_copy(update={"source": provenance.source, "notes": provenance.notes})
    pieces = list(pieces_of(record, clock.now()))
    for number, piece in enumerate(pieces[job.done :], job.done + 1):
        with store.database.session() as session:
            jobs.advance(session, job, worker, len(pieces), patient)
            for batch in piece:
                found = observations.accept(session, vault, patient, batch)
                report = report.with_outcomes([_dated(batch, *each) for each in enumerate(found)])
            last = number == len(pieces)
            imports.note(session, vault, patient, job.id, report, read=last)
            if last:
                jobs.start_once(session, "advance", job.actor, patient)
                audit.append(session, job.actor, "import.keep", patient)
        yield


def record_of(content: bytes) -> Record:
    """The one record that a file holds.

    Raises:
        ImportFormatError: It is of no known format, cannot be read, or is several people's.
    """
    with TemporaryDirectory(prefix="hybridtwin-import-") as folder:
        try:
            records = importers.read(unpack(content, Path(folder)))
            record, further = next(records, None), next(records, None)
        except TwinError as error:
            problems = [
                replace(each, where=each.where.replace(f"{folder}/", "")) for each in error.problems
            ]
            raise ImportFormatError(problems) from error
        except Exception as error:  # people's files are broken in more ways than anyone knows
            _log.warning("a file could not be imported: %s", type(error).__name__)
            raise _unreadable("cannot be read", "Export it again; or report it.") from error
    if record is None:
        raise _unreadable("holds nobody's data", "Export it again.")
    if further is not None:
        raise _unreadable("holds the data of several people", "Send one person's files.")
    return record


def pieces_of(record: Record, now: datetime) -> Iterator[Sequence[Batch]]:
    """A record as an app would send it: its rows, then over which spans its logs are complete.

    Of rows that share a time, all but the first get an id of their own; it is the same in every
    export that has the same rows.
    """
    source = record.provenance.source
    for kind in TABLES:
        rows = list(_rows(kind, getattr(record, kind)))
        for start in range(0, len(rows), _AT_ONCE):
            few = rows[start : start + _AT_ONCE]
            yield [Batch.model_validate({"source": source, "units": _UNITS, kind: few})]
    logs = []
    for log in record.logged.itertuples():
        (kind,) = (kind for kind, channel in CHANNEL.items() if channel == log.channel)
        span = {"from": log.start, "to": min(log.end, pd.Timestamp(now))}
        if span["from"] < span["to"]:
            said = {"source": source, "units": _UNITS, "complete": {kind: span}}
            logs.append(Batch.model_validate(said))
    yield logs


def _rows(kind: str, table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    turns = table.groupby("time").cumcount()
    for row, turn in zip(table.to_dict("records"), turns, strict=True):
        said = {str(name): value for name, value in row.items() if not pd.isna(value)}
        if kind == "glucose":
            said["value"] = said.pop("mg_dl")
        if turn:
            said["id"] = f"{said['time'].isoformat()} {turn}"
        yield said


def _dated(batch: Batch, index: int, outcome: observations.Outcome) -> observations.Outcome:
    """An outcome whose problem says when the row was, not where it stood in its piece."""
    kind, problem = outcome.where.split("[")[0], outcome.problem
    if problem is None or kind not in TABLES:
        return outcome
    time = getattr(batch, kind)[index]["time"]
    where = problem.where.replace(outcome.where, f"{kind} at {time.isoformat()}")
    return replace(outcome, problem=replace(problem, where=where))


def _unreadable(what: str, advice: str) -> ImportFormatError:
    return ImportFormatError([Problem("the file", what, advice)])
