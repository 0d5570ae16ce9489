"""An import keeps what the importer read: all of it, once, whatever happens on the way."""

import json
import os
from contextlib import closing
from datetime import UTC, datetime, timedelta
from uuid import uuid4
from zipfile import ZipFile

import pandas as pd
import pytest

from hybridtwin.errors import ImportFormatError
from hybridtwin.event_tables import TABLES
from hybridtwin.events import Profile
from serving.imports import read_in, record_of
from serving.store import audit, imports, jobs, patients
from serving.store.database import open_database
from serving.store.errors import ConflictError, UnknownError
from serving.store.export import export
from serving.store.records import record_of as stored_record
from serving.store.tables import ImportRow
from serving.store.vault import Vault
from serving.v1.store import Store

BEGIN = datetime(2026, 1, 10, 6, tzinfo=UTC)
NOTE = "canary stew"
ODD = b'[{"type": "sgv", "sgv": ' + b"[" * 100_000  # deeper than any parser goes


def nightscout(count=2500, **changed):
    """Entries every five minutes; the last ones may carry other values."""
    entries = [
        {
            "type": "sgv",
            "sgv": 100 + i % 90,
            "date": 1000 * int((BEGIN + timedelta(minutes=5 * i)).timestamp()),
        }
        for i in range(count)
    ]
    entries[-1] |= changed
    return json.dumps(entries).encode()


@pytest.fixture
def store(database_url):
    with closing(open_database(database_url)) as database:
        database.migrate()
        yield Store(database, Vault(os.urandom(32)))


@pytest.fixture
def patient(store):
    with store.database.session() as session:
        return patients.create(session, store.vault, Profile()).id


def _start(store, patient, content):
    with store.database.session() as session:
        job = jobs.start(session, "import", "ada", patient_id=patient)
        imports.begin(session, store.vault, patient, job.id, content)
    return job.id


def _take(store):
    worker = uuid4()
    with store.database.session() as session:
        return jobs.take(session, worker, ["import"]), worker


def _work_off(store, patient):
    job, worker = _take(store)
    for _ in read_in(store, job, patient, worker):
        pass
    with store.database.session() as session:
        jobs.finish(session, job, worker)


def _report(store, patient, job_id):
    with store.database.reading() as session:
        return imports.report(session, store.vault, patient, job_id)


def _read(store, patient, content):
    job_id = _start(store, patient, content)
    _work_off(store, patient)
    return _report(store, patient, job_id)


def _counts(report):
    return (report.accepted, report.known, report.corrected, report.refused)


def _stored(store, patient):
    with store.database.reading() as session:
        return stored_record(session, store.vault, patient, Profile())


def _rows(record):
    return sum(len(getattr(record, name)) for name in (*TABLES, "logged"))


def test_a_real_export_is_kept_as_the_importer_reads_it(store, patient, data_root):
    whole = (data_root / "hupa_ucm" / "HUPA0001P.csv").read_bytes()
    content = b"".join(whole.splitlines(keepends=True)[:1500])
    read = record_of(content)
    report = _read(store, patient, content)
    assert _counts(report) == (_rows(read), 0, 0, 0)
    assert report.source == read.provenance.source
    assert report.notes == read.provenance.notes
    kept = _stored(store, patient)
    for name in (*TABLES, "logged"):
        pd.testing.assert_frame_equal(_sorted(getattr(kept, name)), _sorted(getattr(read, name)))
    again = _read(store, patient, content)
    assert _counts(again) == (0, _rows(read), 0, 0)


def _sorted(table):
    return table.sort_values(list(table.columns), ignore_index=True)


def test_a_longer_export_adds_what_is_new_and_corrects_what_changed(store, patient):
    assert _counts(_read(store, patient, nightscout(20, sgv=100))) == (20, 0, 0, 0)
    assert _counts(_read(store, patient, nightscout(20, sgv=110))) == (0, 19, 1, 0)
    assert _counts(_read(store, patient, nightscout(30))) == (10, 19, 1, 0)


def test_an_import_that_was_cut_off_goes_on_where_it_was(store, patient):
    job_id = _start(store, patient, nightscout(2500))
    job, worker = _take(store)
    cut_off = read_in(store, job, patient, worker)
    next(cut_off)
    half = _report(store, patient, job_id)
    assert _counts(half) == (1000, 0, 0, 0)
    with store.database.session() as session:
        jobs.give_back(session, worker)
    _work_off(store, patient)
    assert _counts(_report(store, patient, job_id)) == (2500, 0, 0, 0)
    assert len(_stored(store, patient).glucose) == 2500
    with pytest.raises(ConflictError):  # whoever was cut off may not go on
        next(cut_off)
    with store.database.reading() as session:
        done = jobs.find(session, job_id)
        assert (done.state, done.done, done.total) == ("done", 4, 4)  # 3 of rows, 1 of logs
        assert imports.content(session, store.vault, patient, job_id) is None
        actions = [entry.action for entry in audit.entries(session, patient)]
    assert actions == ["import.keep"]


def test_rows_that_share_a_time_are_all_kept(store, patient, tmp_path):
    at = (BEGIN + timedelta(hours=1)).isoformat()
    meals = [
        {"eventType": "Carb Correction", "created_at": at, "carbs": carbs} for carbs in (20, 30)
    ]
    packed = tmp_path / "both.zip"
    with ZipFile(packed, "w") as archive:
        archive.writestr("entries.json", nightscout(40))
        archive.writestr("treatments.json", json.dumps(meals))
    read = _read(store, patient, packed.read_bytes())
    assert read.refused == 0
    assert sorted(_stored(store, patient).meals["carbs_g"]) == [20, 30]
    assert _read(store, patient, packed.read_bytes()).accepted == 0


def test_a_row_that_cannot_be_is_refused_and_says_when_it_was(store, patient):
    later = datetime.now(UTC) + timedelta(days=400)
    report = _read(store, patient, nightscout(20, date=1000 * int(later.timestamp())))
    assert _counts(report) == (19, 0, 0, 1)
    (problem,) = report.problems
    assert problem.where.startswith(f"glucose at {later:%Y-%m-%dT%H:%M}")
    assert problem.what == "lies after now"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"nothing that anybody knows", "no known format"),
        (b'[{"type": "sgv", "sgv": 100', "not complete JSON"),
        (ODD, "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_says_why_and_is_dropped(store, patient, content, words):
    job_id = _start(store, patient, content)
    with pytest.raises(ImportFormatError):
        _work_off(store, patient)
    report = _report(store, patient, job_id)
    assert words in report.problems[0].what
    assert "hybridtwin-import" not in report.problems[0].where
    assert _counts(report) == (0, 0, 0, 0)
    _start(store, patient, content)  # the next may be sent


def test_two_peoples_files_are_refused(data_root, tmp_path):
    packed = tmp_path / "two.zip"
    with ZipFile(packed, "w") as archive:
        for name in ("HUPA0001P.csv", "HUPA0002P.csv"):
            archive.write(data_root / "hupa_ucm" / name, name)
    with pytest.raises(ImportFormatError, match="several people"):
        record_of(packed.read_bytes())


def test_one_file_of_a_patient_is_read_at_a_time(store, patient):
    _start(store, patient, nightscout(20))
    with pytest.raises(ConflictError):
        _start(store, patient, nightscout(20))


def test_file_and_report_are_sealed_taken_along_and_forgotten(store, patient):
    job_id = _start(store, patient, nightscout(20, device=NOTE))
    with store.database.reading() as session:
        row = session.get(ImportRow, job_id)
        assert NOTE.encode() not in row.sealed_file
    _work_off(store, patient)
    with store.database.reading() as session:
        (said,) = export(session, store.vault, patient)["imports"]
    assert said["accepted"] == 20
    other = _start(store, patient, nightscout(20, device=NOTE))
    patients.erase(store.database, patient, "ada")
    for gone in (job_id, other):
        with pytest.raises(UnknownError):
            _report(store, patient, gone)
