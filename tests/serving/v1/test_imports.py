"""Import over HTTP: what somebody exported elsewhere becomes rows, as a job."""

import json
import uuid

import pytest

from hybridtwin.event_tables import TABLES
from hybridtwin.importers import read
from serving.client import ServiceError
from serving.schema import MAX_IMPORT_BYTES, MAX_UNPACKED_BYTES
from tests.serving.v1.site import batch, readings
from tests.serving.v1.test_jobs import client_of, eventually, finished

FILE = "application/octet-stream"


@pytest.fixture
def ann(any_site):
    path, person = any_site.patient(name="Ann", clinic="north")
    return uuid.UUID(path.rsplit("/", 1)[1]), person


def test_a_real_export_is_read_in_row_by_row(any_site, ann, data_root, tmp_path):
    whole = (data_root / "hupa_ucm" / "HUPA0001P.csv").read_bytes()
    file = tmp_path / "HUPA0001P.csv"
    file.write_bytes(b"".join(whole.splitlines(keepends=True)[:1500]))
    (record,) = read(file)
    patient, person = ann
    with client_of(any_site, person) as twin:
        assert [one.id for one in twin.patients()] == [patient]
        job = twin.start_import(patient, file)
        assert (job.kind, job.state) == ("import", "waiting")
        done = finished(twin, job.id)
        assert (done.state, done.problem) == ("done", None)
        assert done.done == done.total > 1
        report = twin.read_import(patient, job.id)
        assert report.source == "hupa_ucm"
        rows = sum(len(getattr(record, name)) for name in (*TABLES, "logged"))
        assert (report.accepted, report.known, report.refused) == (rows, 0, 0)
        assert report.notes == record.provenance.notes
        again = twin.start_import(patient, file)
        finished(twin, again.id)
        assert twin.read_import(patient, again.id).known == rows
    begin = record.glucose["time"].iloc[0].isoformat()
    kept = person.get(
        f"/v1/patients/{patient}/observations", kind="glucose", limit=10_000, **{"from": begin}
    )
    assert len(kept["rows"]) == len(record.glucose)


def test_an_import_of_today_moves_the_belief(any_site, ann):
    patient, person = ann
    entries = [
        {"type": "sgv", "sgv": row["value"], "dateString": row["time"]} for row in readings(6)
    ]
    asked = person.ask(
        "POST",
        f"/v1/patients/{patient}/imports",
        content=json.dumps(entries).encode(),
        headers={"Content-Type": FILE},
    )
    assert asked.status_code == 202
    assert eventually(lambda: person.get(f"/v1/patients/{patient}/beliefs")["beliefs"])


def test_what_cannot_be_read_fails_with_the_reason_in_the_report_alone(any_site, ann, tmp_path):
    patient, person = ann
    file = tmp_path / "export.csv"
    file.write_text("Canaryson;67.7731\n")
    with client_of(any_site, person) as twin:
        job = twin.start_import(patient, file)
        done = finished(twin, job.id)
        assert (done.state, done.problem) == ("failed", "invalid-file")
        (problem,) = twin.read_import(patient, job.id).problems
        assert "no known format" in problem.what
        with pytest.raises(ServiceError, match="nothing here"):
            twin.read_import(patient, uuid.uuid4())
    heard = any_site.log.read_text()
    assert "Canaryson" not in heard
    assert "67.7731" not in heard


def test_what_is_too_large_or_no_file_is_refused_at_the_door(sqlite_site):
    path, person = sqlite_site.patient()

    def asked(content, media_type=FILE, to="imports"):
        headers = {"Content-Type": media_type}
        answer = person.ask("POST", f"{path}/{to}", content=content, headers=headers)
        return answer.status_code

    packed = b"PK\x03\x04" + bytes(MAX_UNPACKED_BYTES // 2**10)
    assert asked(bytes(MAX_IMPORT_BYTES + 1)) == 413
    assert asked(iter([bytes(2**20)] * (MAX_IMPORT_BYTES // 2**20 + 1))) == 413
    assert asked(packed) == 422
    assert asked(b"") == 422
    assert asked(b"{}", "application/json") == 415
    assert asked(json.dumps(batch(1)).encode(), FILE, "observations") == 415
