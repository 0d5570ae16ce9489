"""A record's tables: events as rows, with the fields, types and limits of `hybridtwin.events`."""

import functools
import operator
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import annotated_types
import numpy as np
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


@dataclass(frozen=True)
class _Column:
    """What a column may hold.

    Attributes:
        dtype: Its type.
        nullable: Whether a value may be unknown.
        bounds: Comparisons that its numbers pass: ge, gt or le, and with what.
        words: All that there are; any if empty.
    """

    dtype: object
    nullable: bool = False
    bounds: tuple[tuple[str, float], ...] = ()
    words: tuple[str, ...] = ()

    def schema(self) -> pa.Column:
        """To convert values, and to tell which of them are wrong."""
        checks = [getattr(pa.Check, name)(limit) for name, limit in self.bounds]
        if self.words:
            checks.append(pa.Check.isin(self.words))
        return pa.Column(self.dtype, checks, nullable=self.nullable, coerce=True)

    def holds(self, values: pd.Series) -> bool:
        """Whether all values of the right type are right: a schema takes 20 times as long."""
        if self.words:
            known = {word for word in values.unique() if word == word}
            return known.issubset(self.words) and (self.nullable or not values.hasnans)
        if self.bounds:
            numbers = values.to_numpy()
            unknown = np.isnan(numbers) & self.nullable
            return all(
                (getattr(operator, name)(numbers, limit) | unknown).all()
                for name, limit in self.bounds
            )
        return self.nullable or not values.hasnans


def _column(annotation: object, metadata: Sequence[object]) -> _Column:
    """A table's column for an event's field."""
    options = typing.get_args(annotation)
    nullable = types.NoneType in options
    if nullable:
        (annotation,) = (option for option in options if option is not types.NoneType)
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    bounds = [(name, getattr(limit, name)) for limit in metadata if (name := _bound(limit))]
    words: Sequence[str] = ()
    dtype: object = str
    if annotation is float:
        dtype = float
    elif annotation is bool:
        dtype = "boolean" if nullable else bool
    elif typing.get_origin(annotation) is typing.Literal:
        words = typing.get_args(annotation)
    elif isinstance(annotation, type) and issubclass(annotation, StrEnum):
        words = [str(member) for member in annotation]
    return _Column(dtype, nullable, tuple(bounds), tuple(words))


def _bound(limit: object) -> str | None:
    """The comparison that a limit stands for."""
    kinds = (annotated_types.Ge, annotated_types.Gt, annotated_types.Le)
    return next((kind.__name__.lower() for kind in kinds if isinstance(limit, kind)), None)


_TIME = _Column(_UTC)
_COLUMNS: dict[str, dict[str, _Column]] = {
    table: {
        name: _TIME if name == "time" else _column(info.annotation, info.metadata)
        for name, info in event.model_fields.items()
    }
    for table, event in TABLES.items()
}
_COLUMNS["logged"] = {"channel": _Column(str, words=LOGGED_CHANNELS), "start": _TIME, "end": _TIME}
_SCHEMAS = {
    name: pa.DataFrameSchema(
        {key: column.schema() for key, column in columns.items()}, strict=True, coerce=True
    )
    for name, columns in _COLUMNS.items()
}


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
    if _is_sound(name, rows):
        return rows.copy(deep=False)
    schema = _SCHEMAS[name]
    rows = rows.reset_index(drop=True)
    if name in TABLES:
        for column, info in TABLES[name].model_fields.items():
            if column not in rows and not info.is_required():
                rows[column] = info.default
    try:
        valid = schema.validate(rows, lazy=True)
    except pa.errors.SchemaErrors as error:
        raise RecordError(_explain(name, error.failure_cases)) from error
    return valid[list(schema.columns)]


def _is_sound(name: str, rows: pd.DataFrame) -> bool:
    """Whether a table is as it has to be, so that nothing is left to convert or to tell."""
    return (
        isinstance(rows.index, pd.RangeIndex)
        and rows.index[0] == 0
        and list(rows.columns) == list(_COLUMNS[name])
        and list(rows.dtypes) == list(_nothing(name).dtypes)
        and all(column.holds(rows[key]) for key, column in _COLUMNS[name].items())
    )


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
