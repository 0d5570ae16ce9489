"""Record: what is known of one person, as typed and validated tables with their origin.

A Record is a value. Its tables are checked once, when it is made, against the fields, units and
limits of `hybridtwin.events`; an importer or a request that passes here can be trusted everywhere.
"""

import functools
import types
import typing
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from enum import StrEnum

import annotated_types
import pandas as pd
import pandera.pandas as pa
from pydantic import BaseModel, ConfigDict, Field

from hybridtwin.errors import Problem, RecordError
from hybridtwin.events import (
    Activity,
    Condition,
    Dose,
    Event,
    Glucagon,
    GlucoseReading,
    Meal,
    Profile,
)
from hybridtwin.units import MMOL_L_SUSPECT_MEDIAN

TABLES: dict[str, type[Event]] = {
    "glucose": GlucoseReading,
    "insulin": Dose,
    "meals": Meal,
    "activity": Activity,
    "glucagon": Glucagon,
    "conditions": Condition,
}
EVENT_TABLES = tuple(name for name in TABLES if name != "glucose")
LOGGED_CHANNELS = ("bolus", "meals")
LOGGING_MARGIN = pd.Timedelta(hours=12)
_UTC = pd.DatetimeTZDtype(unit="ns", tz="UTC")


class Note(BaseModel):
    """One line of an import's report: what was done to how many rows, and why."""

    model_config = ConfigDict(frozen=True)

    action: typing.Literal["read", "mended", "dropped", "missing"]
    what: str
    count: int = Field(ge=0)
    why: str = ""


class Provenance(BaseModel):
    """Where a Record came from and what was done to it on the way."""

    model_config = ConfigDict(frozen=True)

    source: str = "unknown"
    files: dict[str, str] = Field(default_factory=dict, description="File name to SHA-256.")
    notes: list[Note] = Field(default_factory=list)

    def count(self, action: str) -> int:
        """Rows touched by notes of this action."""
        return sum(note.count for note in self.notes if note.action == action)


def _column(annotation: object, metadata: Sequence[object]) -> pa.Column:
    """A table column with the type and limits of an event's field."""
    options = typing.get_args(annotation)
    nullable = types.NoneType in options
    if nullable:
        (annotation,) = (option for option in options if option is not types.NoneType)
    checks = []
    for limit in metadata:
        if isinstance(limit, annotated_types.Ge):
            checks.append(pa.Check.ge(limit.ge))
        elif isinstance(limit, annotated_types.Gt):
            checks.append(pa.Check.gt(limit.gt))
        elif isinstance(limit, annotated_types.Le):
            checks.append(pa.Check.le(limit.le))
    dtype: object = str
    if annotation is float:
        dtype = float
    elif annotation is bool:
        dtype = "boolean" if nullable else bool
    elif typing.get_origin(annotation) is typing.Literal:
        checks.append(pa.Check.isin(typing.get_args(annotation)))
    elif isinstance(annotation, type) and issubclass(annotation, StrEnum):
        checks.append(pa.Check.isin([str(member) for member in annotation]))
    return pa.Column(dtype, checks, nullable=nullable, coerce=True)


def _schema(event: type[Event]) -> pa.DataFrameSchema:
    columns = {
        name: _column(info.annotation, info.metadata)
        for name, info in event.model_fields.items()
        if name != "time"
    }
    time = pa.Column(_UTC, coerce=True)
    return pa.DataFrameSchema({"time": time} | columns, strict=True, coerce=True)


_SCHEMAS = {table: _schema(event) for table, event in TABLES.items()}
_SCHEMAS["logged"] = pa.DataFrameSchema(
    {
        "channel": pa.Column(str, pa.Check.isin(LOGGED_CHANNELS)),
        "start": pa.Column(_UTC, coerce=True),
        "end": pa.Column(_UTC, coerce=True),
    },
    strict=True,
    coerce=True,
)


def optional_limits(name: str) -> dict[str, tuple[float, float]]:
    """Lowest and highest value of a table's numbers that may be unknown, by column."""
    found = {}
    for column, info in TABLES[name].model_fields.items():
        bounds = {type(limit): limit for limit in info.metadata}
        low, high = bounds.get(annotated_types.Ge), bounds.get(annotated_types.Le)
        if types.NoneType in typing.get_args(info.annotation) and low and high:
            found[column] = (float(low.ge), float(high.le))
    return found


def table(name: str, rows: pd.DataFrame | None = None) -> pd.DataFrame:
    """A table with all its columns, absent ones filled with the event's defaults.

    Args:
        name: A key of `TABLES`, or `logged`.
        rows: What is known; None gives an empty table.

    Raises:
        RecordError: A value has the wrong type or lies outside its limits.
    """
    if rows is None or rows.empty:
        return _nothing(name).copy()
    schema = _SCHEMAS[name]
    rows = rows.copy()
    if name in TABLES:
        for column, info in TABLES[name].model_fields.items():
            if column not in rows and not info.is_required():
                rows[column] = info.default
    rows = rows.reset_index(drop=True)
    try:
        valid = schema.validate(rows, lazy=True)
    except pa.errors.SchemaErrors as error:
        raise RecordError(_explain(name, error.failure_cases)) from error
    return valid[list(schema.columns)]


@functools.cache  # validation takes milliseconds, and most plans are mostly empty
def _nothing(name: str) -> pd.DataFrame:
    schema = _SCHEMAS[name]
    return schema.validate(pd.DataFrame(columns=list(schema.columns)))[list(schema.columns)]


def _explain(name: str, failures: pd.DataFrame) -> list[Problem]:
    shown = 5
    problems = []
    for row in failures.head(shown).itertuples():
        place = "" if pd.isna(row.index) else f"[{int(row.index)}]"
        column = row.column if isinstance(row.column, str) else row.failure_case
        what = f"{row.failure_case!r} does not satisfy {row.check}"
        problems.append(
            Problem(f"{name}{place}.{column}", what, "Correct or leave out this value.")
        )
    if len(failures) > shown:
        more = len(failures) - shown
        problems.append(Problem(name, f"{more} more such values", "Correct them too."))
    return problems


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
        for name in _SCHEMAS:
            object.__setattr__(self, name, table(name, getattr(self, name)))
        problems = [
            problem for name in TABLES for problem in _time_problems(name, getattr(self, name))
        ]
        median = self.glucose["mg_dl"].median()
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
        logged = self.logged[self.logged["start"] < time]
        events = {name: getattr(self, name) for name in EVENT_TABLES}
        return self._part(
            glucose=self.glucose[self.glucose["time"] <= time],
            **{name: rows[rows["time"] < time] for name, rows in events.items()},
            logged=logged.assign(end=logged["end"].clip(upper=time)),
        )

    def since(self, time: pd.Timestamp) -> "Record":
        """The record without what began before `time`."""
        logged = self.logged[self.logged["end"] > time]
        tables = {name: getattr(self, name) for name in TABLES}
        return self._part(
            **{name: rows[rows["time"] >= time] for name, rows in tables.items()},
            logged=logged.assign(start=logged["start"].clip(lower=time)),
        )

    def _part(self, **tables: pd.DataFrame) -> "Record":
        """The record with some of its rows, which were checked and need no second look."""
        part = copy(self)
        for name, rows in tables.items():
            object.__setattr__(part, name, rows.reset_index(drop=True))
        return part


def _time_problems(name: str, rows: pd.DataFrame) -> list[Problem]:
    problems: list[Problem] = []
    if rows.empty:
        return problems
    gaps = rows["time"].diff()
    backwards = gaps < pd.Timedelta(0)
    if backwards.any():
        at = int(backwards.idxmax())
        problems.append(
            Problem(
                f"{name}[{at}].time",
                f"{rows['time'][at].isoformat()} is before the row above it",
                "Sort the rows by time.",
            )
        )
    doubled = (gaps == pd.Timedelta(0)) if name == "glucose" else rows.duplicated()
    if doubled.any():
        at = int(doubled.idxmax())
        problems.append(
            Problem(
                f"{name}[{at}]",
                f"{int(doubled.sum())} duplicate rows, first at {rows['time'][at].isoformat()}",
                "Send each once.",
            )
        )
    return problems


def logged_spans(
    channel: str,
    times: pd.Series,
    longest_gap: pd.Timedelta,
    margin: pd.Timedelta = LOGGING_MARGIN,
) -> pd.DataFrame:
    """Spans in which a channel was evidently logged: its events, with no gap above `longest_gap`.

    Args:
        channel: `bolus` or `meals`.
        times: The channel's event times, UTC, sorted.
        longest_gap: A silence longer than this is taken as "not logged", not as "none taken".
        margin: What a span reaches beyond its first and last event.

    Returns:
        Rows (channel, start, end), none for a channel without events.
    """
    if times.empty:
        return table("logged")
    times = times.reset_index(drop=True)
    run = (times.diff() > longest_gap).cumsum()
    spans = times.groupby(run).agg(["min", "max"])
    return pd.DataFrame(
        {"channel": channel, "start": spans["min"] - margin, "end": spans["max"] + margin}
    )


def from_events(
    profile: Profile,
    glucose: Sequence[GlucoseReading],
    insulin: Sequence[Dose] = (),
    meals: Sequence[Meal] = (),
    activity: Sequence[Activity] = (),
    glucagon: Sequence[Glucagon] = (),
    conditions: Sequence[Condition] = (),
    logged: Sequence[str] = (),
    source: str = "events",
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
        source: What to call the origin.
    """
    rows = (glucose, insulin, meals, activity, glucagon, conditions)
    tables = {
        name: pd.DataFrame([event.model_dump() for event in events])
        for name, events in zip(TABLES, rows, strict=True)
        if events
    }
    for one in tables.values():
        one["time"] = pd.to_datetime(one["time"], utc=True)
    spans = [
        pd.DataFrame({"channel": [channel], "start": [glucose[0].time], "end": [glucose[-1].time]})
        for channel in logged
        if glucose
    ]
    return Record(
        profile=profile,
        **tables,
        logged=pd.concat(spans) if spans else table("logged"),
        provenance=Provenance(source=source),
    )
