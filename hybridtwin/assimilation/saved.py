"""What is held true of a person, as bytes to store between readings: tens of kilobytes."""

from dataclasses import fields
from typing import Any, Final

import pandas as pd
import torch

from hybridtwin import tensor_bytes
from hybridtwin.assimilation.assimilated import Assimilated, Checkpoint, another_twin, identity
from hybridtwin.assimilation.stream import Readings, Recent, grid_of
from hybridtwin.errors import ModelError, Problem
from hybridtwin.event_tables import EVENT_TABLES
from hybridtwin.events import Profile
from hybridtwin.record import Record
from hybridtwin.twin import Twin

FORMAT: Final = 2
"""Raised when older bytes can no longer be read."""
_TABLES: Final = (*EVENT_TABLES, "logged")
_TIMES: Final = ("time", "start", "end")


def to_bytes(held: Assimilated) -> bytes:
    """Numbers as they are, and the rest as plain values beside them."""
    events, readings = held.recent.events, held.recent.readings
    head = {
        "format": FORMAT,
        "twin": held.twin,
        "profile": events.profile.model_dump(mode="json"),
        "tables": {name: _columns(getattr(events, name)) for name in _TABLES},
        "times": [checkpoint.time.value for checkpoint in held.checkpoints],
        "days": list(held.days),
    }
    tensors = {
        **{f.name: torch.from_numpy(getattr(readings, f.name)) for f in fields(Readings)},
        "members": torch.stack([checkpoint.members for checkpoint in held.checkpoints]),
        "log_weights": torch.stack([checkpoint.log_weights for checkpoint in held.checkpoints]),
    }
    if held.days:
        tensors["days"] = torch.stack(list(held.days.values()))
    return tensor_bytes.to_bytes(head, tensors)


def from_bytes(content: bytes, twin: Twin) -> Assimilated:
    """What `to_bytes` wrote; to go on from it equals never having stopped.

    Args:
        content: The bytes.
        twin: The one that it belongs to.

    Raises:
        ModelError: It is no such state, of another format, or another twin's.
    """
    try:
        head, tensors = tensor_bytes.from_bytes(content)
        written = head["format"]
    except (KeyError, ValueError) as error:
        raise _refused(f"it cannot be read ({error})") from error
    if written != FORMAT:
        raise _refused(f"it has format {written}, and this version reads {FORMAT}")
    if head["twin"] != identity(twin):
        raise another_twin(head["twin"], twin)
    tables: dict[str, Any] = {name: _table(columns) for name, columns in head["tables"].items()}
    times = [pd.Timestamp(value, tz="UTC") for value in head["times"]]
    states = zip(times, tensors["members"], tensors["log_weights"], strict=True)
    events = Record(profile=Profile.model_validate(head["profile"]), **tables)
    readings = Readings(*(tensors[f.name].numpy() for f in fields(Readings)))
    return Assimilated(
        head["twin"],
        Recent(readings, events),
        grid_of(events, times[0], times[-1]),
        tuple(Checkpoint(*each) for each in states),
        dict(zip(head["days"], tensors.get("days", ()), strict=True)),
    )


def _refused(why: str) -> ModelError:
    return ModelError([Problem("the assimilated state", why, "Begin anew from the record.")])


def _columns(rows: pd.DataFrame) -> dict[str, list[Any]]:
    """Columns that hold anything, as plain values; times as nanoseconds since 1970."""
    if rows.empty:
        return {}
    found = {}
    for name in rows:
        column = rows[name]
        if name in _TIMES:
            found[name] = column.astype("int64").tolist()
        elif column.notna().any():
            found[name] = [None if pd.isna(value) else value for value in column.tolist()]
    return found


def _table(columns: dict[str, list[Any]]) -> pd.DataFrame | None:
    if not columns:
        return None
    times = {
        name: pd.to_datetime(column, utc=True) for name, column in columns.items() if name in _TIMES
    }
    return pd.DataFrame(columns | times)
