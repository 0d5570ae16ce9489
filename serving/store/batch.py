"""A batch of observations as it is sent: every row is looked at by itself, good or bad."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hybridtwin.errors import Problem
from hybridtwin.event_tables import TABLES
from hybridtwin.events import Event, GlucoseReading
from hybridtwin.trust import CLOCK_TOLERANCE_MIN
from hybridtwin.units import GlucoseUnit, to_mg_dl
from hybridtwin.validation import explain, place
from serving.history import beyond_sensors, mistaken_unit
from serving.schema import MAX_DOSES, Reading, Units, ZonedTime

MAX_ROWS: Final = MAX_DOSES
Rows = Annotated[list[dict[str, Any]], Field(max_length=MAX_ROWS)]

EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
_ID: Final = "id"
_ID_LENGTH: Final = 200
_TELLING: Final = 12
"""An hour of readings; fewer may all be very low, and still in mg/dL."""
_FINITE: Final = 1e9  # JSON's numbers may be longer than a float
_TOLD_APART_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "insulin": ("kind", "purpose"),
    "activity": ("kind",),
    "conditions": ("kind",),
}
"""What tells apart rows without an id that share a time."""


class Span(BaseModel):
    """From when to when."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    begin: ZonedTime = Field(alias="from", description="Begin: ISO 8601 with a zone.")
    end: ZonedTime = Field(alias="to", description="End: ISO 8601 with a zone.")


class Batch(BaseModel):
    """Observations of one person from one source.

    A row is what `hybridtwin` calls an event, glucose being `{time, value}` in the stated unit,
    and may carry the sender's own `id`. Without one it is known by its time (insulin also by kind
    and purpose, activity and conditions by kind). Sent again with other content, it is corrected.

    A log of insulin or meals is *unknown* where nobody said that it is complete.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field(
        pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$",
        description="Which app or device sends this; a name for programs, not a person's.",
    )
    units: Units = Field(description="The unit of glucose; it is always stated, never guessed.")
    glucose: Rows = Field([], description="Readings.")
    insulin: Rows = Field([], description="Doses.")
    meals: Rows = Field([], description="Meals.")
    activity: Rows = Field([], description="Movement and exercise.")
    glucagon: Rows = Field([], description="Glucagon.")
    conditions: Rows = Field([], description="Illness, stress and the like.")
    complete: dict[Literal["insulin", "meals"], Span] = Field(
        {}, description="The spans in which the log holds all that was given or eaten."
    )


@dataclass(frozen=True)
class Row:
    """A row that can be kept.

    Attributes:
        kind: Its table.
        key: What it is known by within person, kind and source.
        id: The sender's own identifier, if any.
        event: What happened.
    """

    kind: str
    key: str
    id: str | None
    event: Event


def read(batch: Batch, now: datetime) -> Iterator[tuple[str, Row | Problem]]:
    """Every row's place, such as meals[3], and the row or what is wrong with it."""
    for kind in TABLES:
        rows: Sequence[Mapping[str, Any]] = getattr(batch, kind)
        mistaken = _mistaken(rows, batch.units.glucose) if kind == "glucose" else None
        seen: dict[str, tuple[str, Event]] = {}
        for i, said in enumerate(rows):
            where = f"{kind}[{i}]"
            row = mistaken or _row(where, kind, said, batch.units.glucose, now)
            if isinstance(row, Row):
                place_before, before = seen.setdefault(row.key, (where, row.event))
                if before != row.event:
                    row = _contradiction(where, place_before)
            yield where, row


def unbelievable(span: Span, where: str, now: datetime) -> Problem | None:
    """What is wrong with a span of a complete log, if anything."""
    if span.begin >= span.end:
        return Problem(where, "ends before it begins", "Write from before to.")
    return _outside_of_time(where, span.begin, now) or _outside_of_time(where, span.end, now)


def _row(
    where: str, kind: str, said: Mapping[str, Any], unit: GlucoseUnit, now: datetime
) -> Row | Problem:
    said = dict(said)
    own = said.pop(_ID, None)
    if own is not None and not (
        isinstance(own, str) and 0 < len(own) <= _ID_LENGTH and own.isprintable()
    ):
        advice = f"Write it as 1 to {_ID_LENGTH} printable characters, or leave it out."
        return Problem(f"{where}.{_ID}", "is no identifier", advice)
    try:
        event = (
            _glucose(where, said, unit) if kind == "glucose" else TABLES[kind].model_validate(said)
        )
    except ValidationError as error:
        first = error.errors()[0]
        row_place = ".".join(part for part in (where, place(first["loc"])) if part)
        return explain(first, row_place, quote=False)
    if isinstance(event, Problem):
        return event
    if problem := _outside_of_time(f"{where}.time", event.time, now):
        return problem
    return Row(kind, _key(kind, own, event), own, event)


def _glucose(where: str, said: dict[str, Any], unit: GlucoseUnit) -> GlucoseReading | Problem:
    """A reading from {time, value} and, if it says so, {source, interpolated}."""
    further = {name: said.pop(name) for name in ("source", "interpolated") if name in said}
    reading = Reading.model_validate(said)
    if problem := beyond_sensors(f"{where}.value", reading.value, unit):
        return problem
    mg_dl = to_mg_dl(reading.value, unit)
    return GlucoseReading.model_validate({"time": reading.time, "mg_dl": mg_dl} | further)


def _mistaken(rows: Sequence[Mapping[str, Any]], unit: GlucoseUnit) -> Problem | None:
    values = [
        float(value)
        for row in rows
        if isinstance(value := row.get("value"), int | float) and abs(value) < _FINITE
    ]
    possible = [value for value in values if beyond_sensors("", value, unit) is None]
    if len(values) < _TELLING and possible:
        return None
    return next(iter(mistaken_unit(values, unit)), None)


def _key(kind: str, own: str | None, event: Event) -> str:
    if own is not None:
        return f"id {own}"
    apart = [str(getattr(event, name)) for name in _TOLD_APART_BY.get(kind, ())]
    return " ".join(["time", event.time.astimezone(UTC).isoformat(), *apart])


def _outside_of_time(where: str, time: datetime, now: datetime) -> Problem | None:
    if time > now + timedelta(minutes=CLOCK_TOLERANCE_MIN):
        return Problem(where, "lies after now", "Check the zone and the clock.")
    if time < EARLIEST:
        return Problem(where, "is not of this century", "Check the clock.")
    return None


def _contradiction(where: str, other: str) -> Problem:
    return Problem(
        where,
        f"has the same id or time as {other}, but other content",
        "Send one of them, or give each an id of its own.",
    )
