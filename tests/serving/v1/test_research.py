"""Research over HTTP: who agrees is in it, who no longer does is not."""

import io
import zipfile

from hybridtwin.record_files import load_record, record_folders
from serving.store.research import MANIFEST, K, read_manifest
from tests.serving.v1.site import batch


def test_an_engineer_gets_records_of_who_agrees_as_long_as_enough_do(postgres_site, tmp_path):
    engineer = postgres_site.person("eve", "engineer")
    people = [postgres_site.patient(name="Ada") for _ in range(K)]
    for path, person in people:
        person.post(f"{path}/observations", **batch(4))
        person.put(f"{path}/consents/research", version="2026-1")
    answer = engineer.ask("GET", "/v1/research/export")
    assert answer.headers["content-type"] == "application/zip"
    zipfile.ZipFile(io.BytesIO(answer.content)).extractall(tmp_path)
    records = {home.name: load_record(home) for home in record_folders(tmp_path)}
    manifest = read_manifest(tmp_path / MANIFEST)
    assert sorted(records) == [one.pseudonym for one in manifest.participants]
    assert [len(record.glucose) for record in records.values()] == [48] * K
    for path, person in people:
        assert path.rsplit("/", 1)[1] not in str(records)
        actions = [entry["action"] for entry in person.get(f"{path}/audit")["entries"]]
        assert actions.count("research.export") == 1
    path, person = people[0]
    person.delete(f"{path}/consents/research")
    refused = engineer.ask("GET", "/v1/research/export")
    assert (refused.status_code, refused.json()["code"]) == (409, "too-few-alike")
