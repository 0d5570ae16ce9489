"""The last hours of a stream, however it arrived: readings as arrays, and events on the grid.

Readings come every few minutes and events seldom. So the events are put on the grid some hours
ahead whenever one arrives, and a reading alone costs neither a table nor a check.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from hybridtwin.assimilation.advance import Source
from hybridtwin.event_tables import EVENT_TABLES
from hybridtwin.record import Record
from hybridtwin.timeline import LONG_ACTING_COVERS, to_timeline
from hybridtwin.units import STEP_MIN

STEP: Final = pd.Timedelta(minutes=STEP_MIN)
SOURCES: Final[tuple[Source, ...]] = ("cgm", "fingerstick")
_AHEAD: Final = pd.Timedelta(hours=6)
"""How far events are put on the grid beyond the last reading."""
_STEP_NS: Final = STEP.value
_EXACT: Final = 1e4  # amounts are sums, whose last digits depend on where the grid begins

Indices = NDArray[np.int64]


def on_grid(time: pd.Timestamp) -> pd.Timestamp:
    """The grid point nearest to a reading."""
    return pd.Timestamp(int(_nearest(np.array(time.value))) * _STEP_NS, tz="UTC")


def grid_point(time: pd.Timestamp) -> int:
    """Steps since 1970."""
    return int(time.value // _STEP_NS)


def _nearest(time_ns: Indices) -> Indices:
    nearest: Indices = (time_ns + _STEP_NS // 2) // _STEP_NS
    return nearest


@dataclass(frozen=True)
class Readings:
    """Readings that were measured, one at a time.

    Attributes:
        time_ns: (R,) since 1970, rising.
        mg_dl: (R,).
        source: (R,) index in `SOURCES`.
    """

    time_ns: Indices
    mg_dl: NDArray[np.float64]
    source: Indices

    @classmethod
    def of(cls, record: Record) -> "Readings":
        """A record's; what was filled in between readings is none."""
        rows = record.glucose
        measured = ~rows["interpolated"].to_numpy(dtype=bool)
        source = (rows["source"].to_numpy() != SOURCES[0]).astype(np.int64)
        time_ns = rows["time"].to_numpy(dtype="datetime64[ns]").astype(np.int64)
        mg_dl = rows["mg_dl"].to_numpy(dtype=np.float64)
        return cls(time_ns[measured], mg_dl[measured], source[measured])

    def and_(self, new: "Readings") -> "Readings":
        """With new ones; of two at one time the new one counts, as a correction."""
        time_ns = np.concatenate([new.time_ns, self.time_ns])
        rising, first = np.unique(time_ns, return_index=True)
        mg_dl = np.concatenate([new.mg_dl, self.mg_dl])[first]
        return Readings(rising, mg_dl, np.concatenate([new.source, self.source])[first])

    def since(self, time: pd.Timestamp) -> "Readings":
        """Those from a time on."""
        late = slice(int(np.searchsorted(self.time_ns, time.value)), None)
        return Readings(self.time_ns[late], self.mg_dl[late], self.source[late])

    def on_grid(self, start: int, count: int) -> dict[Source, Tensor]:
        """By source, (count,) means of what was read about each grid point; NaN where nothing was.

        Args:
            start: The first grid point, in steps since 1970.
            count: How many.
        """
        at = _nearest(self.time_ns) - start
        inside = (at >= 0) & (at < count)
        found: dict[Source, Tensor] = {}
        for index, source in enumerate(SOURCES):
            those = inside & (self.source == index)
            many = np.bincount(at[those], minlength=count)
            total = np.bincount(at[those], self.mg_dl[those], minlength=count)
            mean = np.divide(total, many, out=np.full(count, np.nan), where=many > 0)
            found[source] = torch.from_numpy(mean).float()
        return found


@dataclass(frozen=True)
class Grid:
    """What acted on a person, T steps.

    Attributes:
        start: Of the first.
        values: (T, C) channels, amounts per step, as in `Timeline`.
        known: (T, C).
        minute_of_day: (T,) local.
    """

    start: pd.Timestamp
    values: Tensor
    known: Tensor
    minute_of_day: Tensor

    def covers(self, start: pd.Timestamp, end: pd.Timestamp) -> bool:
        """Whether it begins at `start` and reaches `end`."""
        return self.start == start and bool(self.start + (len(self.values) - 1) * STEP >= end)


def grid_of(events: Record, start: pd.Timestamp, end: pd.Timestamp) -> Grid:
    """Events from a grid point on, to some hours after another."""
    timeline = to_timeline(events, end + _AHEAD, start)
    values = ((timeline.values.double() * _EXACT).round() / _EXACT).float()
    return Grid(start, values, timeline.known, timeline.minute_of_day.float())


@dataclass(frozen=True)
class Recent:
    """What arrived and still bears on the last hours.

    Attributes:
        readings: Measured ones.
        events: A record of all else.
    """

    readings: Readings
    events: Record

    @classmethod
    def of(cls, record: Record) -> "Recent":
        """All of a record."""
        tables = {name: getattr(record, name) for name in (*EVENT_TABLES, "logged")}
        return cls(Readings.of(record), Record(profile=record.profile, **tables))

    def and_(self, arrived: Record) -> "Recent":
        """With a new part of the same stream, which may overlap.

        An event that is the same in everything is the same event.
        """
        readings = self.readings.and_(Readings.of(arrived))
        tables = (*EVENT_TABLES, "logged")
        silent = all(getattr(arrived, name).empty for name in tables)
        if silent and arrived.profile == self.events.profile:
            return Recent(readings, self.events)
        return Recent(readings, _merged(self.events, arrived))

    def since(self, time: pd.Timestamp) -> "Recent":
        """What still bears on the grid from `time` on."""
        cutoff = time - LONG_ACTING_COVERS
        tables = {}
        for name in EVENT_TABLES:
            rows = getattr(self.events, name)
            ends = rows["time"]
            if "duration_min" in rows:
                ends = ends + pd.to_timedelta(rows["duration_min"], unit="min")
            tables[name] = rows[ends >= cutoff]
        logged = self.events.logged[self.events.logged["end"] >= cutoff]
        events = Record(profile=self.events.profile, **tables, logged=logged)
        return Recent(self.readings.since(time - STEP), events)

    def last(self) -> list[pd.Timestamp]:
        """Grid time of the last reading, if there is one."""
        return [on_grid(pd.Timestamp(int(ns), tz="UTC")) for ns in self.readings.time_ns[-1:]]


def agree_until(old: tuple[Grid, Readings], new: tuple[Grid, Readings], end: pd.Timestamp) -> int:
    """The last step at which the same is held true by both, of those from their start to `end`.

    Events of a step bear on its end, readings on their own point.
    """
    (before, read), (after, read_now) = old, new
    last = round((end - before.start) / STEP)
    changed = torch.zeros(last + 1, dtype=torch.bool)
    if before is not after:
        differ = before.values[:last] != after.values[:last]
        differ |= before.known[:last] != after.known[:last]
        changed[1:] = differ.any(1)
    start = grid_point(before.start)
    then, now = (readings.on_grid(start, last + 1) for readings in (read, read_now))
    for source in SOURCES:
        changed |= ~torch.isclose(then[source], now[source], rtol=0, atol=0, equal_nan=True)
    changed[0] = False  # what was held true there can no longer be told
    return int(changed.int().argmax()) - 1 if bool(changed.any()) else last


def _merged(old: Record, new: Record) -> Record:
    tables = {}
    for name in EVENT_TABLES:
        rows = _together(getattr(old, name), getattr(new, name)).drop_duplicates(keep="last")
        tables[name] = rows.sort_values("time", kind="stable")
    logged = _joined(_together(old.logged, new.logged))
    return Record(profile=new.profile, **tables, logged=logged)


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
