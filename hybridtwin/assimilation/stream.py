"""The last hours of a stream, however it arrived: one record, and one grid."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from hybridtwin.assimilation.advance import Source
from hybridtwin.event_tables import EVENT_TABLES
from hybridtwin.record import Record
from hybridtwin.timeline import LONG_ACTING_COVERS, to_timeline
from hybridtwin.units import STEP_MIN

STEP: Final = pd.Timedelta(minutes=STEP_MIN)
SOURCES: Final[tuple[Source, ...]] = ("cgm", "fingerstick")
_EPOCH: Final = pd.Timestamp(0, tz="UTC")
_EXACT: Final = 1e4  # amounts are sums, whose last digits depend on where the grid begins


def on_grid(time: pd.Timestamp) -> pd.Timestamp:
    """The grid point nearest to a reading."""
    return time.round(STEP)


def grid_point(time: pd.Timestamp) -> int:
    """Steps since 1970."""
    return int((time - _EPOCH) // STEP)


@dataclass(frozen=True)
class Stretch:
    """Some hours on the grid, T points.

    Attributes:
        start: Of the first.
        values: (T, C) channels, amounts per step, as in `Timeline`.
        known: (T, C).
        minute_of_day: (T,) local.
        readings: By source, (T,) means of what was read about a grid point, mg/dL; NaN where
            nothing was. What was filled in between readings is none.
    """

    start: pd.Timestamp
    values: Tensor
    known: Tensor
    minute_of_day: Tensor
    readings: dict[Source, Tensor]

    def __len__(self) -> int:
        return len(self.values)


def stretch(record: Record, start: pd.Timestamp, end: pd.Timestamp) -> Stretch:
    """A record from one grid point to another."""
    timeline = to_timeline(record, end, start)
    values = (timeline.values.double() * _EXACT).round() / _EXACT
    measured = record.glucose[~record.glucose["interpolated"]]
    at = ((measured["time"].dt.round(STEP) - start) // STEP).to_numpy()
    inside = (at >= 0) & (at < len(timeline))
    readings: dict[Source, Tensor] = {}
    for source in SOURCES:
        those = inside & (measured["source"] == source).to_numpy()
        found = np.full(len(timeline), np.nan)
        mean = measured["mg_dl"][those].groupby(at[those]).mean()
        found[mean.index] = mean
        readings[source] = torch.from_numpy(found).float()
    minute = timeline.minute_of_day.float()
    return Stretch(start, values.float(), timeline.known, minute, readings)


def agree_until(old: Stretch, new: Stretch) -> int:
    """The last grid point of the old stretch at which the same is held true by the new one.

    Both begin at the same time. Events of a step bear on its end, readings on their own point.
    """
    last = len(old) - 1
    events = (old.values[:last] != new.values[:last]) | (old.known[:last] != new.known[:last])
    changed = torch.nn.functional.pad(events.any(1), (1, 0))
    for source, before in old.readings.items():
        after = new.readings[source][: len(old)]
        changed |= ~torch.isclose(before, after, rtol=0, atol=0, equal_nan=True)
    changed[0] = False  # what was held true there can no longer be told
    return int(changed.int().argmax()) - 1 if bool(changed.any()) else last


def merged(old: Record, new: Record) -> Record:
    """Two parts of one stream, which may overlap.

    Of two readings at one time the new one counts, as a correction; an event that is the same in
    everything is the same event.
    """
    tables = {}
    for name in ("glucose", *EVENT_TABLES):
        rows = _together(getattr(old, name), getattr(new, name))
        same = ["time"] if name == "glucose" else None
        rows = rows.drop_duplicates(same, keep="last")
        tables[name] = rows.sort_values("time", kind="stable")
    logged = _joined(_together(old.logged, new.logged))
    return Record(profile=new.profile, **tables, logged=logged)


def since(record: Record, time: pd.Timestamp) -> Record:
    """What still bears on the grid from `time` on."""
    cutoff = time - LONG_ACTING_COVERS
    tables = {}
    for name in ("glucose", *EVENT_TABLES):
        rows = getattr(record, name)
        ends = rows["time"]
        if "duration_min" in rows:
            ends = ends + pd.to_timedelta(rows["duration_min"], unit="min")
        tables[name] = rows[ends >= cutoff]
    logged = record.logged[record.logged["end"] >= cutoff]
    return Record(profile=record.profile, **tables, logged=logged)


def _together(old: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    parts = [rows for rows in (old, new) if len(rows)]
    return pd.concat(parts, ignore_index=True) if parts else old


def _joined(spans: pd.DataFrame) -> pd.DataFrame:
    """Spans that touch are one."""
    parts = []
    for _, rows in spans.groupby("channel"):
        rows = rows.sort_values("start")
        reached = rows["end"].cummax()
        run = (rows["start"] > reached.shift()).cumsum()
        whole = rows.groupby(run).agg({"channel": "first", "start": "min", "end": "max"})
        parts.append(whole)
    return pd.concat(parts, ignore_index=True) if parts else spans
