"""Records on disk: a folder per participant with Parquet tables and record.json."""

import hashlib
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import pandas as pd
from pyarrow.parquet import ParquetFile
from pydantic import BaseModel, ValidationError

from hybridtwin.errors import RecordError
from hybridtwin.event_tables import TABLES, table
from hybridtwin.events import Meal, Profile
from hybridtwin.record import Provenance, Record

_STORED = (*TABLES, "logged")
# What version 0.1 did not know: its records load all the same and keep their fingerprints.
_LATER_TABLES = ("glucagon", "conditions")
_LATER_MEAL_COLUMNS = ("alcohol_g", "liquid")
_LATER_PROFILE_FIELDS = {
    "diabetes_years",
    "egfr_ml_min",
    "pregnancy_week",
    "medications",
    "features",
}


class _Header(BaseModel):
    profile: Profile
    provenance: Provenance


def save_record(record: Record, folder: Path) -> Path:
    """Write a record to `folder`/<participant>/ (Parquet tables and record.json); returns it."""
    home = folder / record.profile.participant
    home.mkdir(parents=True, exist_ok=True)
    for name in _STORED:
        getattr(record, name).to_parquet(home / f"{name}.parquet", index=False)
    header = _Header(profile=record.profile, provenance=record.provenance)
    (home / "record.json").write_text(header.model_dump_json(indent=2) + "\n")
    return home


def load_record(home: Path) -> Record:
    """Read a record folder as `save_record` writes it.

    Raises:
        RecordError: The folder or one of its files is missing or broken.
    """
    try:
        header = _Header.model_validate_json((home / "record.json").read_text())
        tables = {
            name: _read(home, name)
            for name in _STORED
            if name not in _LATER_TABLES or (home / f"{name}.parquet").exists()
        }
    except (OSError, ValueError, ValidationError) as error:
        raise RecordError.of(
            str(home), f"not a readable record folder ({error})", "Import it again."
        ) from error
    return Record(profile=header.profile, provenance=header.provenance, **tables)


def last_reading(home: Path) -> pd.Timestamp | None:
    """When the last reading of a record folder was taken; None if there is none to be read."""
    try:
        with ParquetFile(home / "glucose.parquet") as file:
            times = file.read(["time"], use_threads=False).column("time").to_pandas()
    except (OSError, ValueError):  # what is wrong is told when the record is read
        return None
    return times.max() if len(times) else None


def _read(home: Path, name: str) -> pd.DataFrame:
    # Without what pandas spends on finding a file system, which is more than the reading takes.
    with ParquetFile(home / f"{name}.parquet") as file:
        if not file.metadata.num_rows:
            return table(name)
        rows: pd.DataFrame = file.read(use_threads=False).to_pandas(use_threads=False)
    return rows


def record_folders(folder: Path) -> list[Path]:
    """The record folders at or below `folder`, sorted by path.

    Raises:
        RecordError: There is none.
    """
    found = sorted(path.parent for path in folder.rglob("record.json"))
    if not found:
        raise RecordError.of(
            str(folder),
            "holds no records",
            "Make some with: hybridtwin import FORMAT PATH --out DIR",
        )
    return found


def fingerprint(records: Sequence[Record]) -> str:
    """SHA-256 over everything that the records hold, independent of their order."""
    digests = []
    for record in records:
        digest = hashlib.sha256(_stated(record.profile).encode())
        for entry in fields(record):
            value = getattr(record, entry.name)
            if isinstance(value, pd.DataFrame):
                rows = value.drop(columns=_unsaid(value)) if entry.name == "meals" else value
                digest.update(pd.util.hash_pandas_object(rows, index=False).to_numpy().tobytes())
        digests.append(digest.hexdigest())
    return hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()


def _stated(profile: Profile) -> str:
    unsaid = {name for name in _LATER_PROFILE_FIELDS if getattr(profile, name) in (None, (), {})}
    return profile.model_dump_json(exclude=unsaid)


def _unsaid(meals: pd.DataFrame) -> list[str]:
    """The later columns in which every meal has the default."""
    defaults = {name: Meal.model_fields[name].default for name in _LATER_MEAL_COLUMNS}
    return [
        name
        for name, default in defaults.items()
        if (meals[name].isna() if default is None else meals[name] == default).all()
    ]
