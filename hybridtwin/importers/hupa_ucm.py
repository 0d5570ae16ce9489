"""HUPA-UCM: adults with type 1 diabetes, FreeStyle Libre, Fitbit, pump or pens, Madrid.

Hidalgo et al., Data in Brief 55:110559 (2024), doi 10.17632/3hbcscwz44.1, CC BY 4.0. One file
for each person on a 5-minute grid, glucose interpolated. The path is the folder or one file.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybridtwin.errors import ImportFormatError
from hybridtwin.events import Profile
from hybridtwin.importers import _clock as clock
from hybridtwin.importers import _common as common
from hybridtwin.record import Record
from hybridtwin.units import STEP_MIN

ZONE: Final = "Europe/Madrid"
_NUMBERS: Final = {
    "glucose",
    "calories",
    "heart_rate",
    "steps",
    "basal_rate",
    "bolus_volume_delivered",
    "carb_input",
}
_GRAMS_FROM_MEDIAN: Final = 12.0
"""A median entry of 12 servings would be 120 g: such files hold grams."""
_G_PER_SERVING: Final = 10.0
_SUSPENDED_AT_MOST: Final = 48
"""Steps (4 h): pumps that suspend resume within hours; a longer zero was not logged."""
_STILL_HEART: Final = 6
"""Steps (30 min) on one straight line: nobody's heart does that, a filled gap does."""
_INJECTED_RUN: Final = 240
"""Steps (20 h): basal that is constant so long is a long-acting injection spread over its day."""
_KINK: Final = 1e-4
_PERIOD: Final = 3
_COLLINEAR_AT_MOST: Final = 6
_FLOOR_MG_DL: Final = 40.0
_DISCORDANT_MG_DL: Final = 6.0
_JUDGED_FROM: Final = 36
"""Values (3 h) below which two sensors cannot be told from one that is noisy."""


def recognises(path: Path) -> bool:
    """Whether a file at or below the path has this set's columns."""
    return bool(_files(path))


def read(path: Path) -> Iterator[Record]:
    """One record for each person."""
    people = common.metadata(path, "HUPA-UCM-metadata.csv")
    for file in _files(path):
        yield _read_person(file, people)


def _files(path: Path) -> list[Path]:
    return [
        file
        for file in common.csv_files(path)
        if {"time", "glucose", "basal_rate"} <= set(common.header(file).split(";"))
    ]


def _read_person(file: Path, people: dict[str, dict[str, object]]) -> Record:
    number = re.search(r"(\d{4})", file.stem)
    if number is None:
        raise ImportFormatError.of(
            str(file), "the name holds no number", "Name it as published: HUPA0001P.csv."
        )
    notes = common.Notes()
    rows = common.read_csv(file, {"time"}, _NUMBERS, ";")
    notes.add("read", "row", len(rows), "in the file")
    rows["wall"] = clock.parse_times(rows["time"], file)
    rows = rows.drop_duplicates("wall").sort_values("wall").reset_index(drop=True)
    value = rows["glucose"].to_numpy(dtype=float)
    rows["original"] = originals(value)
    activity = _activity(rows, notes)
    rows, time = _instants(rows, notes)
    rows = rows.assign(time=time)
    glucose = _glucose(rows, notes)
    insulin = [_boluses(rows, notes), _basal(rows, notes)]
    meals = _meals(rows, notes)
    injected = _constant_run(rows["basal_rate"]) >= _INJECTED_RUN
    if injected:
        notes.add(
            "mended",
            "basal",
            len(insulin[1]),
            "long-acting injections were spread evenly by the authors: kept as a rate",
        )
    profile = Profile(
        participant=f"hupa-{number[1]}",
        time_zone=ZONE,
        therapy=None if insulin[1].empty else "injections" if injected else "pump",
        **people.get(f"HUPA{number[1]}P", {}),
    )
    return common.build(profile, "hupa_ucm", [file], notes, glucose, insulin, meals, activity)


def _instants(rows: pd.DataFrame, notes: common.Notes) -> tuple[pd.DataFrame, pd.Series]:
    """Instants of the grid: the clock of the glucose reader, which may or may not have changed."""
    skipped = clock.skipped_hour(rows["wall"], ZONE)
    if not skipped.any():
        return rows, clock.to_utc(rows["wall"], ZONE, notes, "row")
    inside = rows["original"] & skipped & skipped.shift(fill_value=False)
    if inside.sum() >= 2:
        return rows, clock.unadjusted_to_utc(rows["wall"], ZONE, notes, "row")
    notes.add("dropped", "row", int(skipped.sum()), "filler in the hour that the clock skipped")
    rows = rows[~skipped].reset_index(drop=True)
    return rows, clock.to_utc(rows["wall"], ZONE, notes, "row")


def originals(value: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which values of an interpolated series are readings.

    Every kink of a piecewise linear series is a reading. Between two kinks 30 minutes apart a
    whole number in the middle is a reading that happens to lie on the line; longer straight
    stretches are gaps that were filled, except along the sensor's floor.
    """
    kinks = np.abs(np.diff(value, 2, prepend=np.nan, append=np.nan)) > _KINK
    kinks[0] = kinks[-1] = True
    found = kinks.copy()
    at = np.flatnonzero(kinks)
    for low, high in pairwise(at):
        if (high - low) % _PERIOD or high - low <= _PERIOD:
            continue
        inner = np.arange(low + _PERIOD, high, _PERIOD)
        whole = np.abs(value[inner] - np.round(value[inner])) < _KINK
        floor = value[inner] <= _FLOOR_MG_DL
        if high - low <= _COLLINEAR_AT_MOST or floor.all():
            found[inner] = whole
    return found


def _glucose(rows: pd.DataFrame, notes: common.Notes) -> pd.DataFrame:
    value = rows["glucose"].to_numpy(dtype=float)
    discordant = _discordant(value)
    notes.add(
        "dropped",
        "glucose",
        int(discordant.sum()),
        "every third value belongs to a second sensor that contradicts the first",
    )
    glucose = pd.DataFrame(
        {
            "time": rows["time"],
            "mg_dl": value,
            "source": "cgm",
            "interpolated": ~rows["original"],
        }
    )[~discordant]
    filled = int(glucose["interpolated"].sum())
    notes.add("mended", "glucose", filled, "filled in between two readings: marked interpolated")
    return common.tidy_glucose(glucose, notes)


def _discordant(value: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Values of the phase (of three) that lies off the line through its neighbours."""
    if len(value) < _JUDGED_FROM:
        return np.zeros(len(value), dtype=bool)
    off = np.zeros(len(value))
    off[1:-1] = np.abs(value[1:-1] - (value[:-2] + value[2:]) / 2)
    phase = np.arange(len(value)) % _PERIOD
    typical = [float(np.median(off[phase == one])) for one in range(_PERIOD)]
    worst = int(np.argmax(typical))
    others = min(typical)
    if others < 1 or typical[worst] < _DISCORDANT_MG_DL:
        return np.zeros(len(value), dtype=bool)
    result: NDArray[np.bool_] = phase == worst
    return result


def _boluses(rows: pd.DataFrame, notes: common.Notes) -> pd.DataFrame:
    given = rows[rows["bolus_volume_delivered"] > 0]
    boluses = pd.DataFrame({"time": given["time"], "dose_u": given["bolus_volume_delivered"]})
    return common.tidy_boluses(_unless_marks(boluses, "dose_u", "bolus", notes), notes)


def _meals(rows: pd.DataFrame, notes: common.Notes) -> pd.DataFrame:
    eaten = rows[rows["carb_input"] > 0]
    meals = pd.DataFrame({"time": eaten["time"], "carbs_g": eaten["carb_input"]})
    meals = _unless_marks(meals, "carbs_g", "meals", notes)
    if meals["carbs_g"].median() >= _GRAMS_FROM_MEDIAN:
        notes.add("read", "meal unit", len(meals), "entries are grams, judging by their median")
    elif len(meals):
        notes.add("mended", "meal", len(meals), "entries are servings: 10 g each")
        meals = meals.assign(carbs_g=meals["carbs_g"] * _G_PER_SERVING)
    return common.tidy_meals(meals, notes)


def _unless_marks(rows: pd.DataFrame, column: str, what: str, notes: common.Notes) -> pd.DataFrame:
    if rows.empty:
        notes.missing(what, "none in the file: unknown, not zero")
    elif (rows[column] == 1).all():
        notes.add("dropped", what, len(rows), "every entry is 1: a mark that it was, no amount")
        return rows.iloc[:0]
    return rows


def _constant_run(rate: pd.Series) -> float:
    """Median length of the stretches of one rate above zero, by time spent in them."""
    run = (rate != rate.shift()).cumsum()
    length = rate.groupby(run).transform("size")[rate > 0]
    return float(length.median()) if len(length) else 0.0


def _basal(rows: pd.DataFrame, notes: common.Notes) -> pd.DataFrame:
    rate = rows["basal_rate"]
    if not (rate > 0).any():
        notes.missing("basal", "none in the file: unknown, not zero")
        return common.merge_rates(pd.DataFrame())
    run = (rate != rate.shift()).cumsum()
    unlogged = (rate == 0) & (rate.groupby(run).transform("size") > _SUSPENDED_AT_MOST)
    notes.add("missing", "basal", int(unlogged.sum()), "zero for more than 4 h: not logged")
    segments = pd.DataFrame(
        {"time": rows["time"], "rate": (rate * 60 / STEP_MIN).round(6), "minutes": float(STEP_MIN)}
    )
    return common.merge_rates(segments[~unlogged])


def _activity(rows: pd.DataFrame, notes: common.Notes) -> pd.DataFrame:
    """What the band saw; its clock follows the phone's, which changes by itself."""
    rows = rows[~clock.skipped_hour(rows["wall"], ZONE)].reset_index(drop=True)
    heart = rows["heart_rate"]
    straight = (heart.diff().diff().abs() < _KINK).to_numpy(copy=True)
    straight |= np.roll(straight, -1) | np.roll(straight, -2)
    run = pd.Series(straight).ne(pd.Series(straight).shift()).cumsum()
    filled = straight & (run.groupby(run).transform("size") > _STILL_HEART).to_numpy()
    filled |= ~heart.between(25, 250).to_numpy()
    notes.add("missing", "heart rate", int(filled.sum()), "filled in along a straight line")
    # A living body always burns: zero calories mean that the band was off.
    off = rows["calories"] <= 0
    notes.add("missing", "activity", int(off.sum()), "no calories: the band was not worn")
    activity = pd.DataFrame(
        {
            "time": clock.to_utc(rows["wall"], ZONE, notes, "activity"),
            "duration_min": float(STEP_MIN),
            "heart_rate_bpm": heart.mask(filled),
            "steps": rows["steps"],
            "energy_kcal": rows["calories"],
        }
    )
    return activity[~off]
