"""A record's tables: events as rows, with the fields, types and limits of `hybridtwin.events`."""

import functools
import types
import typing
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum

import annotated_types
import pandas as pd
import pandera.pandas as pa

from hybridtwin.errors import Problem, RecordError
from hybridtwin.events import (
    Activity,
    Condition,
    Dose,
    Event,
    Glucagon,
    GlucoseReading,
    Meal,
)

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


def _column(annotation: object, metadata: Sequence[object]) -> pa.Column:
    """A table column with the type and limits of an event's field."""
    options = typing.get_args(annotation)
    nullable = types.NoneType in options
    if nullable:
        (annotation,) = (option for option in options if option is not types.NoneType)
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
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
        rows: What is known; None gives the one empty table, which nobody may change.

    Raises:
        RecordError: A value has the wrong type or lies outside its limits.
    """
    if rows is None or rows.empty:
        return _nothing(name)
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


def of_events(name: str, events: Sequence[Event]) -> pd.DataFrame:
    """Events as a table; they were checked one by one when they were made.

    Args:
        name: A key of `TABLES`.
        events: Of the table's kind.
    """
    return _typed(
        name, {column: [getattr(event, column) for event in events] for column in _nothing(name)}
    )


def of_spans(spans: Sequence[tuple[str, datetime, datetime]]) -> pd.DataFrame:
    """The table of logs that are complete over spans (channel, start, end).

    Raises:
        RecordError: There is no such channel.
    """
    unknown = sorted({channel for channel, _, _ in spans}.difference(LOGGED_CHANNELS))
    if unknown:
        known = " or ".join(LOGGED_CHANNELS)
        raise RecordError.of("logged.channel", f"{unknown[0]!r} is no log", f"Say {known}.")
    names = list(_nothing("logged"))
    return _typed("logged", {name: [span[i] for span in spans] for i, name in enumerate(names)})


def _typed(name: str, columns: Mapping[str, Sequence[object]]) -> pd.DataFrame:
    """A table of values that need no second look."""
    dtypes = _nothing(name).dtypes
    return pd.DataFrame({key: pd.Series(columns[key], dtype=dtypes[key]) for key in dtypes.index})


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
