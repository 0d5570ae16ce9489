"""What pydantic found wrong, in the words of a `Problem`: where, what, what to do."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from hybridtwin.errors import Problem

_LIMITS: Final = {
    "greater_than": ("is too low", "It must be above"),
    "greater_than_equal": ("is too low", "The lowest allowed is"),
    "less_than": ("is too high", "It must be below"),
    "less_than_equal": ("is too high", "The highest allowed is"),
}
_CHOICES: Final = ("enum", "literal_error")
_SHOWN_LENGTH: Final = 60


def place(loc: Sequence[str | int]) -> str:
    """glucose[3].value, from ('glucose', 3, 'value')."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc]
    return "".join(parts).lstrip(".")


def explain(entry: Mapping[str, Any], where: str, quote: bool = True) -> Problem:
    """One entry of a pydantic ValidationError's `errors()` in words.

    Args:
        entry: What is wrong.
        where: Its place.
        quote: Whether the words repeat what was given; not where that is somebody's health.
    """
    kind, limits = entry["type"], entry.get("ctx", {})
    given = repr(entry.get("input"))
    shown = given if len(given) <= _SHOWN_LENGTH else given[: _SHOWN_LENGTH - 3] + "..."
    shown = f"{shown} " if quote else ""
    limit = next(iter(limits.values()), "")
    if kind == "json_invalid":
        return Problem(where, f"is not JSON: {limits['error']}", "Send or write it whole.")
    if kind == "missing":
        return Problem(where, "is missing", "Add it.")
    if kind == "extra_forbidden":
        return Problem(where, "is not a known field", "Check its spelling, or leave it out.")
    if kind in _LIMITS:
        what, rule = _LIMITS[kind]
        return Problem(where, f"{shown}{what}", f"{rule} {limit:g}.")
    if kind in _CHOICES:
        return Problem(where, f"{shown}is not known", f"Use one of {limits['expected']}.")
    if kind == "timezone_aware":
        advice = "Add the zone, as in 2026-01-31T21:30:00+01:00 or 2026-01-31T20:30:00Z."
        return Problem(where, f"{shown}has no time zone", advice)
    if kind.startswith("datetime"):
        return Problem(where, f"{shown}is not a time", "Write 2026-01-31T21:30:00+01:00.")
    if kind in ("too_long", "too_short"):
        lowest, highest = limits.get("min_length"), limits.get("max_length")
        rule = f"Send at least {lowest}." if highest is None else f"Send at most {highest}."
        return Problem(where, f"has {limits['actual_length']} entries", rule)
    if kind == "value_error":
        return Problem(where, str(limits["error"]), "Correct this value, or leave the entry out.")
    advice = f"Correct it: {shown}was given." if quote else "Correct it."
    return Problem(where, entry["msg"][:1].lower() + entry["msg"][1:], advice)
