"""All that is known of one person, for them to take along; and from there into another store."""

import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final, get_args

from pydantic_core import to_jsonable_python
from sqlalchemy.orm import Session

from serving.store import (
    audit,
    consents,
    follow_ups,
    imports,
    issued,
    observations,
    patients,
    records,
    shares,
)
from serving.store.batch import MAX_ROWS, Batch
from serving.store.vault import Vault

FORMAT: Final = "hybridtwin-person-1"


def export(session: Session, vault: Vault, patient_id: uuid.UUID) -> dict[str, Any]:
    """Everything that is kept of a person, as JSON; corrected and withdrawn rows too.

    Glucose is in mg/dL. Contents of issued documents are in base64 (its URL-safe form).

    Raises:
        UnknownError: There is no such patient.
    """
    everything = {
        "format": FORMAT,
        "patient": patients.find(session, vault, patient_id),
        "consents": consents.history(session, patient_id),
        "shares": shares.of_patient(session, patient_id),
        "observations": list(observations.kept(session, vault, patient_id, every_version=True)),
        "complete": [
            {"kind": log.kind, "source": log.source, "from": log.begin, "to": log.end}
            for log in records.complete_logs(session, patient_id)
        ],
        "issued": [
            document
            for kind in get_args(issued.Kind)
            for document in issued.find(session, vault, patient_id, kind)
        ],
        "follow_ups": follow_ups.steps(session, vault, patient_id),
        "imports": imports.reports(session, vault, patient_id),
        "audit": [
            {"time": row.time, "actor": row.actor, "action": row.action, "outcome": row.outcome}
            for row in audit.entries(session, patient_id)
        ],
    }
    found: dict[str, Any] = to_jsonable_python(everything, bytes_mode="base64")
    return found


def batches(exported: Mapping[str, Any]) -> Iterator[Batch]:
    """The batches that give another store the rows that count, and its complete logs.

    Args:
        exported: What `export` gave.
    """
    rows: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for said in exported["observations"]:
        if said["replaced"] is None and said["withdrawn"] is None:
            row = {"id": said["sender_id"], **said["event"]}
            if said["kind"] == "glucose":
                row["value"] = row.pop("mg_dl")
            rows[said["source"], said["kind"]].append(row)
    units = {"glucose": "mg/dL"}
    for (source, kind), sent in rows.items():
        for start in range(0, len(sent), MAX_ROWS):
            few = sent[start : start + MAX_ROWS]
            yield Batch.model_validate({"source": source, "units": units, kind: few})
    for log in exported["complete"]:
        span = {"from": log["from"], "to": log["to"]}
        yield Batch.model_validate(
            {"source": log["source"], "units": units, "complete": {log["kind"]: span}}
        )
