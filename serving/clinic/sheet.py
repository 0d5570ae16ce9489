"""The panel as CSV for other programs: UTF-8, plain numbers, instants with their zone."""

import csv
from collections.abc import Collection, Mapping
from datetime import datetime
from io import StringIO
from typing import Final
from zoneinfo import ZoneInfo

from hybridtwin.units import from_mg_dl
from serving import page
from serving.clinic.panel import Row
from serving.reader import Reader
from serving.text.catalogue import N_

_COLUMNS: Final = (
    N_("Patient"),
    N_("Clinic"),
    N_("Group"),
    N_("Why listed"),
    N_("Unit"),
    N_("Last reading"),
    N_("Read at"),
    N_("Probability of a low tonight"),
    N_("Probability of a very low tonight"),
    N_("Lowest expected"),
    N_("Expected at"),
    N_("Trust"),
    N_("Lowest of last night"),
    N_("Tags"),
    N_("Assigned to"),
    N_("Seen by"),
    N_("Snoozed until"),
)
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet would take for the begin of a formula, and compute."""
_DIGITS: Final = 2


def sheet(groups: Mapping[str, Collection[Row]], reader: Reader) -> bytes:
    """One line for every patient, in the panel's order; empty where nothing is known."""
    say, written = page.words("clinic_words.html", reader), StringIO()
    lines = csv.writer(written)
    lines.writerow(reader.text(name) for name in _COLUMNS)
    for group, rows in groups.items():
        title = say("group_title", group)
        for row in rows:
            why = "; ".join(say("why_text", one) for one in row.whys)
            lines.writerow(map(_cell, (row.name, row.clinic, title, why, *_facts(row, reader))))
    return written.getvalue().encode("utf-8-sig")  # spreadsheets know it by its mark


def _facts(row: Row, reader: Reader) -> tuple[str | float | None, ...]:
    last, night, morning, standing = row.last, row.night, row.morning, row.standing

    def glucose(mg_dl: float | None) -> float | None:
        return None if mg_dl is None else round(from_mg_dl(mg_dl, reader.unit), _DIGITS)

    def time(at: datetime | None) -> str | None:
        return at.astimezone(ZoneInfo(row.zone)).isoformat(timespec="minutes") if at else None

    return (
        reader.unit,
        glucose(last.mg_dl if last else None),
        time(last.time if last else None),
        night.below_70 if night else None,
        night.below_54 if night else None,
        glucose(night.lowest_mg_dl if night else None),
        time(night.lowest_time if night else None),
        reader.text(night.trust) if night and night.trust else None,
        glucose(morning.lowest_mg_dl if morning else None),
        ", ".join(standing.tags),
        standing.assign.text if standing.assign else None,
        standing.acknowledge.by if row.seen and standing.acknowledge else None,
        time(standing.snooze.until) if row.snoozed and standing.snooze else None,
    )


def _cell(value: str | float | None) -> str | float | None:
    """Text that might be taken for a formula begins with a quotation mark."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
