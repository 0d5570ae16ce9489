"""What the importers share: files, duplicates, rates and the notes of what was done."""

import hashlib
from pathlib import Path
from typing import Final, Literal

import numpy as np
import pandas as pd

from hybridtwin.errors import ImportFormatError
from hybridtwin.event_tables import LOGGING_MARGIN, logged_spans, optional_limits, table
from hybridtwin.events import MINUTES_PER_DAY, Profile
from hybridtwin.record import Note, Provenance, Record
from hybridtwin.units import (
    BASAL_RATE_MAX_U_H,
    BOLUS_MAX_U,
    CARBS_MAX_G,
    GLUCOSE_MAX_MG_DL,
    GLUCOSE_MIN_MG_DL,
)

Action = Literal["read", "mended", "dropped", "missing"]
LONGEST_LOG_GAP: Final = pd.Timedelta(hours=24)
"""A day without any bolus, or any meal, is taken as a day without a log: few people fast so long,
and a log that is wrongly believed teaches a model that nothing was eaten."""
AGREEING_MG_DL: Final = 10.0
"""Two readings at one time that lie closer than this are averaged; others contradict each other."""


class Notes:
    """Counts what an import did, one line for each action, thing and reason."""

    def __init__(self) -> None:
        self._counts: dict[tuple[Action, str, str], int] = {}

    def add(self, action: Action, what: str, count: int, why: str = "") -> None:
        """Add `count` rows to a line; a count of zero leaves no line."""
        if count:
            key = (action, what, why)
            self._counts[key] = self._counts.get(key, 0) + int(count)

    def missing(self, what: str, why: str) -> None:
        """State that a whole channel is unknown for this person."""
        self.add("missing", what, 1, why)

    def as_list(self) -> list[Note]:
        """The lines, in the order in which they arose."""
        return [
            Note(action=action, what=what, count=count, why=why)
            for (action, what, why), count in self._counts.items()
        ]


def csv_files(path: Path) -> list[Path]:
    """The path itself, or every CSV file at or below it, in natural order of their names."""
    if path.is_file():
        return [path]
    return sorted(path.rglob("*.csv"), key=lambda file: (len(file.name), file.name))


def header(path: Path) -> str:
    """First line of a text file; empty where it is no text."""
    try:
        with path.open(encoding="utf-8-sig") as file:
            return file.readline(2000).strip()
    except (OSError, UnicodeDecodeError):
        return ""


def read_csv(path: Path, texts: set[str], numbers: set[str], separator: str = ",") -> pd.DataFrame:
    """A CSV file's rows as they stand.

    Raises:
        ImportFormatError: It is empty, not text, broken, lacks one of the columns, or has text
            where a number belongs.
    """
    try:
        rows = pd.read_csv(path, sep=separator, encoding="utf-8-sig", low_memory=False)
    except pd.errors.EmptyDataError as error:
        raise ImportFormatError.of(
            str(path), "the file is empty", "Export or download it again."
        ) from error
    except (UnicodeDecodeError, pd.errors.ParserError) as error:
        raise ImportFormatError.of(
            str(path), f"not a readable CSV file ({error})", "Export or download it again."
        ) from error
    lacking = sorted((texts | numbers) - set(rows.columns))
    if lacking:
        raise ImportFormatError.of(
            str(path),
            f"lacks the columns {', '.join(lacking)}",
            "Give the file as its authors publish it, or name the right format.",
        )
    if rows.empty:
        raise ImportFormatError.of(
            str(path), "has a heading but no rows", "Export or download it again."
        )
    return rows.assign(**{name: _as_numbers(rows[name], path) for name in sorted(numbers)})


def _as_numbers(values: pd.Series, path: Path) -> pd.Series:
    parsed = pd.to_numeric(values, errors="coerce")
    wrong = parsed.isna() & values.notna()
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise ImportFormatError.of(
            f"{path}, row {row + 2}, {values.name}",
            f"{values.iloc[row]!r} is not a number",
            "Correct or empty this field.",
        )
    return parsed.astype(float)


def tidy_glucose(rows: pd.DataFrame, notes: Notes) -> pd.DataFrame:
    """Readings sorted, possible, and one for each time."""
    rows = _sorted(rows[rows["mg_dl"].notna()], "glucose", notes)
    possible = rows["mg_dl"].between(GLUCOSE_MIN_MG_DL, GLUCOSE_MAX_MG_DL)
    notes.add(
        "dropped",
        "glucose",
        int((~possible).sum()),
        f"outside {GLUCOSE_MIN_MG_DL:g} to {GLUCOSE_MAX_MG_DL:g} mg/dL",
    )
    rows = rows[possible]
    repeated = rows.duplicated(["time", "mg_dl"])
    notes.add("dropped", "glucose", int(repeated.sum()), "duplicate reading")
    rows = rows[~repeated]
    at_once = rows.groupby("time")["mg_dl"].agg(["min", "max", "count"])
    agree = at_once["max"] - at_once["min"] <= AGREEING_MG_DL
    several = at_once["count"] > 1
    notes.add(
        "mended",
        "glucose",
        int(at_once["count"][several & agree].sum()),
        "several like readings at one time, averaged",
    )
    notes.add(
        "dropped",
        "glucose",
        int(at_once["count"][several & ~agree].sum()),
        "readings at one time that contradict each other",
    )
    rows = rows[rows["time"].isin(at_once.index[agree])]
    first = rows.drop_duplicates("time").reset_index(drop=True)
    return first.assign(mg_dl=rows.groupby("time")["mg_dl"].mean().to_numpy())


def tidy_boluses(rows: pd.DataFrame, notes: Notes) -> pd.DataFrame:
    """Boluses sorted, possible, above zero and each once."""
    rows = _sorted(rows[rows["dose_u"].notna()], "bolus", notes)
    possible = rows["dose_u"].between(0, BOLUS_MAX_U)
    notes.add("dropped", "bolus", int((~possible).sum()), f"outside 0 to {BOLUS_MAX_U:g} U")
    none = rows["dose_u"] == 0
    notes.add("dropped", "bolus", int(none.sum()), "zero units: nothing was given")
    rows = rows[possible & ~none]
    repeated = rows.duplicated()
    notes.add("dropped", "bolus", int(repeated.sum()), "the same bolus at the same time")
    return rows[~repeated].assign(purpose="bolus")


def tidy_meals(rows: pd.DataFrame, notes: Notes) -> pd.DataFrame:
    """Meals sorted, possible and each once."""
    rows = _sorted(rows[rows["carbs_g"].notna()], "meal", notes)
    possible = rows["carbs_g"].between(0, CARBS_MAX_G)
    notes.add("dropped", "meal", int((~possible).sum()), f"outside 0 to {CARBS_MAX_G:g} g")
    rows = rows[possible]
    repeated = rows.duplicated()
    notes.add("dropped", "meal", int(repeated.sum()), "the same meal at the same time")
    return rows[~repeated]


def _sorted(rows: pd.DataFrame, what: str, notes: Notes) -> pd.DataFrame:
    back = int((rows["time"].diff() < pd.Timedelta(0)).sum())
    notes.add("mended", what, back, "stood after a later row: sorted")
    return rows.sort_values("time", kind="stable")


def rates_to_doses(
    times: pd.Series, rate_u_h: pd.Series, longest_min: float, notes: Notes
) -> pd.DataFrame:
    """Basal doses from pump rates, each held until the next row, `longest_min` at the most.

    Args:
        times: When each rate began, UTC, sorted.
        rate_u_h: The rates.
        longest_min: Beyond this the rate is unknown, not continued.
        notes: Where impossible and doubled rates are counted.
    """
    rows = pd.DataFrame({"time": times.to_numpy(), "rate": rate_u_h.to_numpy()})
    possible = rows["rate"].between(0, BASAL_RATE_MAX_U_H)
    notes.add(
        "dropped", "basal", int((~possible).sum()), f"rate outside 0 to {BASAL_RATE_MAX_U_H:g} U/h"
    )
    doubled = rows.duplicated("time", keep="last")
    notes.add("dropped", "basal", int(doubled.sum()), "several rates at one time: the last holds")
    # An impossible rate still ends the one before it.
    rows = rows[~doubled]
    until_next = rows["time"].diff().shift(-1).dt.total_seconds() / 60
    usual = until_next.median() if len(rows) > 1 else longest_min
    rows["minutes"] = until_next.fillna(usual).clip(upper=longest_min)
    return merge_rates(rows[rows["rate"].between(0, BASAL_RATE_MAX_U_H)])


def merge_rates(rows: pd.DataFrame) -> pd.DataFrame:
    """Basal doses from segments (time, rate, minutes), equal neighbours joined within a day."""
    if rows.empty:
        return pd.DataFrame(columns=["time", "dose_u", "duration_min", "purpose"])
    ends = rows["time"] + pd.to_timedelta(rows["minutes"], unit="min")
    gap = (rows["time"] - ends.shift()).abs() > pd.Timedelta(seconds=1)
    day = rows["time"].dt.floor("D")
    begins = gap | (rows["rate"] != rows["rate"].shift()) | (day != day.shift())
    joined = rows.groupby(begins.cumsum()).agg(
        time=("time", "first"), rate=("rate", "first"), duration_min=("minutes", "sum")
    )
    joined["duration_min"] = joined["duration_min"].clip(upper=MINUTES_PER_DAY)
    joined["dose_u"] = joined["rate"] * joined["duration_min"] / 60
    return joined.drop(columns="rate").assign(purpose="basal").reset_index(drop=True)


def logged(channel: str, times: pd.Series) -> pd.DataFrame:
    """Spans in which a channel was evidently logged; a lone event is no log."""
    spans = logged_spans(channel, times, LONGEST_LOG_GAP)
    lasting = spans["end"] - spans["start"] > 2 * LOGGING_MARGIN
    return spans[lasting]


def build(
    profile: Profile,
    source: str,
    files: list[Path],
    notes: Notes,
    glucose: pd.DataFrame,
    insulin: list[pd.DataFrame],
    meals: pd.DataFrame,
    activity: pd.DataFrame | None = None,
) -> Record:
    """A Record from tidy tables, its logged spans found and its rows counted."""
    meals = _without_impossible("meals", meals, notes)
    if activity is not None:
        activity = _without_impossible("activity", activity, notes)
    doses = _concat("insulin", insulin)
    boluses = doses[doses["purpose"] == "bolus"]
    counted = {
        "glucose": glucose,
        "bolus": boluses,
        "basal": doses[doses["purpose"] == "basal"],
        "meal": meals,
        "activity": activity if activity is not None else table("activity"),
    }
    for what, rows in counted.items():
        notes.add("read", what, len(rows), "kept in the record")
    spans = [
        logged("bolus", boluses["time"].drop_duplicates()),
        logged("meals", meals["time"].drop_duplicates()),
    ]
    return Record(
        profile=profile,
        glucose=glucose,
        insulin=doses,
        meals=meals if len(meals) else table("meals"),
        activity=activity if activity is not None else table("activity"),
        logged=_concat("logged", spans),
        provenance=Provenance(
            source=source,
            files={file.name: sha256(file) for file in files},
            notes=notes.as_list(),
        ),
    )


def _without_impossible(name: str, rows: pd.DataFrame, notes: Notes) -> pd.DataFrame:
    """The rows with impossible values of optional columns made unknown; the rest stays."""
    rows = rows.copy()
    for column, (low, high) in optional_limits(name).items():
        if column in rows:
            impossible = rows[column].notna() & ~rows[column].between(low, high)
            rows[column] = rows[column].mask(impossible)
            why = f"value outside {low:g} to {high:g}"
            notes.add("dropped", f"{name} {column}", int(impossible.sum()), why)
    return rows


def _concat(name: str, tables: list[pd.DataFrame]) -> pd.DataFrame:
    filled = [table(name, rows) for rows in tables if len(rows)]
    if not filled:
        return table(name)
    rows = pd.concat(filled, ignore_index=True)
    return rows.sort_values("start" if name == "logged" else "time", kind="stable")


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def metadata(path: Path, name: str) -> dict[str, dict[str, object]]:
    """Rows of an optional metadata file, by person, looked for at the path and two levels up."""
    for folder in (path, *path.parents[:3]):
        file = folder / name
        if file.is_file():
            rows = read_csv(file, {"person_id", "gender"}, {"age", "hba1c_%"})
            return {
                str(row["person_id"]): {
                    "age_years": row["age"],
                    "sex": row["gender"],
                    "hba1c_percent": row["hba1c_%"],
                    "sensor": row.get("CGM_type"),
                }
                for row in rows.replace({np.nan: None}).to_dict("records")
            }
    return {}
