"""What a person takes along is everything, and opens another store with the same Record."""

import json
from base64 import urlsafe_b64decode
from dataclasses import fields

import pandas as pd

from serving.store import audit, consents, issued, patients, shares
from serving.store.export import batches, export
from serving.store.observations import accept, withdraw
from serving.store.records import record_of


def test_an_export_says_everything_and_can_be_sent_again(database, vault, patient, send, now):
    time = now.isoformat()
    send(
        units={"glucose": "mmol/L"},
        glucose=[{"time": time, "value": 5.5}],
        meals=[{"id": "m1", "time": time, "carbs_g": 45}],
        complete={"meals": {"from": "2026-01-31T00:00Z", "to": time}},
    )
    send(meals=[{"id": "m1", "time": time, "carbs_g": 60}])
    dose = {"time": time, "dose_u": 4}
    basal = dose | {"purpose": "basal", "duration_min": 60}
    (gone, _) = send(source="pump", insulin=[dose, basal])
    with database.session() as session:
        withdraw(session, patient.id, gone.id, now)
        issued.keep(session, vault, patient.id, "belief", now, "twin 1", b"\x00\xff belief")
        consents.give(session, patient.id, "care", "1")
        shares.give(session, patient.id, "carer", ["read"], now, now.replace(year=2027))
        audit.append(session, "caller", "patient.read", patient.id)
    with database.reading() as session:
        exported = json.loads(json.dumps(export(session, vault, patient.id)))
        expected = record_of(session, vault, patient.id, patient.profile)

    assert exported["patient"]["name"] == patient.name
    assert exported["patient"]["profile"] == patient.profile.model_dump(mode="json")
    rows = exported["observations"]
    assert sorted((row["kind"], row["replaced"] is None) for row in rows) == [
        ("glucose", True),
        ("insulin", True),
        ("insulin", True),
        ("meals", False),
        ("meals", True),
    ]
    assert {row["sender_id"] for row in rows if row["kind"] == "meals"} == {"m1"}
    assert [row["event"]["dose_u"] for row in rows if row["withdrawn"]] == [4]
    (document,) = exported["issued"]
    assert urlsafe_b64decode(document["content"]) == b"\x00\xff belief"
    assert [one["purpose"] for one in exported["consents"]] == ["care"]
    assert [one["scopes"] for one in exported["shares"]] == [["read"]]
    assert [one["action"] for one in exported["audit"]] == ["patient.read"]

    with database.session() as session:
        moved = patients.create(session, vault, patient.profile)
        for batch in batches(exported):
            outcomes = accept(session, vault, moved.id, batch, now)
            assert {one.outcome for one in outcomes} == {"accepted"}
        found = record_of(session, vault, moved.id, patient.profile)
    for entry in fields(expected):
        rows = getattr(expected, entry.name)
        if isinstance(rows, pd.DataFrame):
            pd.testing.assert_frame_equal(getattr(found, entry.name), rows)


def test_an_export_is_of_one_person(database, vault, patient, send, now):
    send(meals=[{"time": now.isoformat(), "carbs_g": 45}])
    with database.session() as session:
        other = patients.create(session, vault, patient.profile, name="Grace")
        audit.append(session, "caller", "patient.read", patient.id)
        found = export(session, vault, other.id)
    assert patient.name not in json.dumps(found)
    assert str(patient.id) not in json.dumps(found)
    assert [found[part] for part in ("observations", "audit")] == [[], []]
