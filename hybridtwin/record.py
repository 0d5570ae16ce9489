"""Record: what is known of one person, as typed and validated tables with their origin.

A Record is a value. Its tables are checked once, when it is made, against the fields, units and
limits of `hybridtwin.events`; an importer or a request that passes here can be trusted everywhere.
"""

import math
import typing
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from hybridtwin.errors import Problem, RecordError
from hybridtwin.event_tables import EVENT_TABLES, TABLES, of_events, of_spans, table
from hybridtwin.events import (
    Activity,
    Condition,
    Dose,
    Glucagon,
    GlucoseReading,
    Meal,
    Profile,
)
from hybridtwin.units import MMOL_L_SUSPECT_MEDIAN


class Note(BaseModel):
    """One line of an import's report: what was done to how many rows, and why."""

    model_config = ConfigDict(frozen=True)

    action: typing.Literal["read", "mended", "dropped", "missing"] = Field(
        description="What was done."
    )
    what: str = Field(description="To which kind of row.")
    count: int = Field(ge=0, description="To how many.")
    why: str = Field("", description="Why.")


class Provenance(BaseModel):
    """Where a Record came from and what was done to it on the way."""

    model_config = ConfigDict(frozen=True)

    source: str = "unknown"
    files: dict[str, str] = Field(default_factory=dict, description="File name to SHA-256.")
    notes: list[Note] = Field(default_factory=list)

    def count(self, action: str) -> int:
        """Rows touched by notes of this action."""
        return sum(note.count for note in self.notes if note.action == action)


@dataclass(frozen=True)
class Record:
    """What is known of one person.

    Attributes:
        profile: Who they are, and their time zone.
        glucose: `GlucoseReading` rows, times strictly increasing.
        insulin: `Dose` rows, times not decreasing.
        meals: `Meal` rows, times not decreasing.
        activity: `Activity` rows, times not decreasing.
        glucagon: `Glucagon` rows, times not decreasing.
        conditions: `Condition` rows, times not decreasing.
        logged: For `bolus` and `meals`, the spans (start, end) in which they were logged:
            no row inside a span means none was taken, outside a span it is unknown.
        provenance: Where it came from.

    Raises:
        RecordError: Times out of order or doubled, values impossible, or mmol/L posing as mg/dL.
    """

    profile: Profile
    glucose: pd.DataFrame = field(default_factory=lambda: table("glucose"))
    insulin: pd.DataFrame = field(default_factory=lambda: table("insulin"))
    meals: pd.DataFrame = field(default_factory=lambda: table("meals"))
    activity: pd.DataFrame = field(default_factory=lambda: table("activity"))
    glucagon: pd.DataFrame = field(default_factory=lambda: table("glucagon"))
    conditions: pd.DataFrame = field(default_factory=lambda: table("conditions"))
    logged: pd.DataFrame = field(default_factory=lambda: table("logged"))
    provenance: Provenance = field(default_factory=Provenance)

    def __post_init__(self) -> None:
        for name in (*TABLES, "logged"):
            object.__setattr__(self, name, table(name, getattr(self, name)))
        self._check()

    def _check(self) -> None:
        """Refuse tables whose rows, each possible by itself, cannot stand together."""
        problems = [
            problem for name in TABLES for problem in _time_problems(name, getattr(self, name))
        ]
        median = math.inf if self.glucose.empty else self.glucose["mg_dl"].median()
        if median <= MMOL_L_SUSPECT_MEDIAN:
            problems.append(
                Problem(
                    "glucose.mg_dl",
                    f"the median is {median:.1f} mg/dL, which nobody survives: "
                    "this looks like mmol/L",
                    "State the unit as mmol/L, or convert to mg/dL first.",
                )
            )
        if problems:
            raise RecordError(problems)

    def is_logged(self, channel: str) -> bool:
        """Whether `bolus` or `meals` were logged at any time."""
        return bool((self.logged["channel"] == channel).any())

    def before(self, time: pd.Timestamp) -> "Record":
        """The record as known at `time`: readings up to and including it, events before it."""
        logged = self.logged
        if not logged.empty and logged["end"].max() > time:
            logged = logged[logged["start"] < time]
            logged = logged.assign(end=logged["end"].clip(upper=time)).reset_index(drop=True)
        events = {name: _upto(getattr(self, name), time, "left") for name in EVENT_TABLES}
        return self.with_tables(
            glucose=_upto(self.glucose, time, "right"),
            **events,
            logged=logged,
        )

    def since(self, time: pd.Timestamp) -> "Record":
        """The record without what began before `time`."""
        logged = self.logged[self.logged["end"] > time]
        return self.with_tables(
            **{name: late(getattr(self, name), time) for name in TABLES},
            logged=logged.assign(start=logged["start"].clip(lower=time)).reset_index(drop=True),
        )

    def with_tables(self, **tables: pd.DataFrame) -> "Record":
        """The record with other tables, whose rows were checked and need no second look."""
        other = copy(self)
        for name, rows in tables.items():
            object.__setattr__(other, name, rows)
        return other


def late(rows: pd.DataFrame, time: pd.Timestamp) -> pd.DataFrame:
    """A table's rows from `time` on."""
    if rows.empty or rows["time"].iloc[-1] < time:
        return rows.iloc[:0]
    return rows.iloc[rows["time"].searchsorted(time) :].reset_index(drop=True)


def _upto(
    rows: pd.DataFrame, time: pd.Timestamp, side: typing.Literal["left", "right"]
) -> pd.DataFrame:
    """A table's rows before `time`, or up to and including it."""
    if rows.empty:
        return rows
    return rows.iloc[: rows["time"].searchsorted(time, side)]


def _time_problems(name: str, rows: pd.DataFrame) -> list[Problem]:
    problems: list[Problem] = []
    if rows.empty:
        return problems
    gaps = np.diff(rows["time"].to_numpy("datetime64[ns]")).astype(int)
    if (gaps < 0).any():
        at = int((gaps < 0).argmax()) + 1
        problems.append(
            Problem(
                f"{name}[{at}].time",
                f"{rows['time'][at].isoformat()} is before the row above it",
                "Sort the rows by time.",
            )
        )
    doubled = np.append(False, gaps == 0)
    if name != "glucose" and doubled.any():
        doubled = rows.duplicated().to_numpy()
    if doubled.any():
        at = int(doubled.argmax())
        problems.append(
            Problem(
                f"{name}[{at}]",
                f"{int(doubled.sum())} duplicate rows, first at {rows['time'][at].isoformat()}",
                "Send each once.",
            )
        )
    return problems


def from_events(
    profile: Profile,
    glucose: Sequence[GlucoseReading],
    insulin: Sequence[Dose] = (),
    meals: Sequence[Meal] = (),
    activity: Sequence[Activity] = (),
    glucagon: Sequence[Glucagon] = (),
    conditions: Sequence[Condition] = (),
    logged: Sequence[str] = (),
    provenance: Provenance | None = None,
) -> Record:
    """A Record from single events.

    Args:
        profile: Who the person is.
        glucose: Readings, in order of time.
        insulin: Doses, in order of time.
        meals: Meals, in order of time.
        activity: Activity, in order of time.
        glucagon: Glucagon, in order of time.
        conditions: Conditions, in order of time.
        logged: The channels (`bolus`, `meals`) whose logs are complete over the readings' span.
        provenance: Where they come from.
    """
    events = (glucose, insulin, meals, activity, glucagon, conditions)
    tables = {
        name: of_events(name, those) for name, those in zip(TABLES, events, strict=True) if those
    }
    if logged and glucose:
        span = (glucose[0].time, glucose[-1].time)
        tables["logged"] = of_spans([(channel, *span) for channel in logged])
    provenance = provenance or Provenance(source="events")
    record = Record(profile=profile, provenance=provenance).with_tables(**tables)
    record._check()
    return record
