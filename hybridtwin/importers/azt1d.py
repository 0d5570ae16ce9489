"""AZT1D: adults with type 1 diabetes on Tandem Control-IQ and Dexcom G6, Arizona.

Khamesian et al., IEEE BSN 2025, doi 10.17632/gk9m674wcx.1, CC BY 4.0. One CSV for each person,
rows about every five minutes. The path is the set's folder, one person's folder or one file.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from hybridtwin.errors import ImportFormatError
from hybridtwin.events import Profile
from hybridtwin.importers import _clock as clock
from hybridtwin.importers import _common as common
from hybridtwin.record import Record

ZONE: Final = "America/Phoenix"
_TEXTS: Final = {"EventDateTime", "BolusType"}
_NUMBERS: Final = {"Basal", "TotalBolusInsulinDelivered", "CorrectionDelivered", "CarbSize"}
_GLUCOSE_NAMES: Final = {"CGM", "Readings (CGM / BGM)"}
_MILLI_ABOVE_U_H: Final = 10.0
"""The pump gives 15 U/h at most; the set's true rates stay below 7, its mU/h begin at 13."""
_EXTENDED_MIN: Final = 120.0
"""Control-IQ limits extended boluses to two hours, its preset; the files do not state durations."""
_BASAL_HELD_MIN: Final = 30.0


def recognises(path: Path) -> bool:
    """Whether a CSV at or below the path has this set's columns."""
    return bool(_files(path))


def read(path: Path) -> Iterator[Record]:
    """One record for each person."""
    people = common.metadata(path, "AZT1D-metadata.csv")
    for file in _files(path):
        yield _read_person(file, people)


def _files(path: Path) -> list[Path]:
    return [
        file
        for file in common.csv_files(path)
        if set(common.header(file).split(",")) >= {"EventDateTime", "TotalBolusInsulinDelivered"}
    ]


def _read_person(file: Path, people: dict[str, dict[str, object]]) -> Record:
    number = re.search(r"(\d+)", file.stem)
    if number is None:
        raise ImportFormatError.of(
            str(file), "the name holds no subject number", "Name it as published: Subject 1.csv."
        )
    notes = common.Notes()
    named = set(common.header(file).split(",")) & _GLUCOSE_NAMES
    if not named:
        raise ImportFormatError.of(
            str(file), "lacks a glucose column", f"Expected {' or '.join(sorted(_GLUCOSE_NAMES))}."
        )
    rows = common.read_csv(file, _TEXTS, _NUMBERS | named)
    rows = rows.rename(columns=dict.fromkeys(named, "CGM"))
    notes.add("read", "row", len(rows), "in the file")
    rows = rows.assign(wall=clock.parse_times(rows["EventDateTime"], file))
    repeated = rows.duplicated()
    notes.add("dropped", "row", int(repeated.sum()), "exact duplicate of another row")
    rows = rows[~repeated].sort_values("wall", kind="stable").reset_index(drop=True)
    rows["time"] = clock.to_utc(rows["wall"], ZONE, notes, "row")
    if "DeviceMode" in rows:
        modes = int(rows["DeviceMode"].astype(str).str.contains("sleep|exercise").sum())
        notes.add("dropped", "device mode", modes, "a pump setting, no proof of sleep or exercise")

    glucose = common.tidy_glucose(rows[["time"]].assign(mg_dl=rows["CGM"], source="cgm"), notes)
    profile = Profile(
        participant=f"azt1d-{number[1]}",
        time_zone=ZONE,
        therapy="closed loop",
        **people.get(f"Subject {number[1]}", {}),
    )
    insulin = [_boluses(rows, notes), _basal(rows, notes)]
    meals = _meals(rows, notes)
    return common.build(profile, "azt1d", [file], notes, glucose, insulin, meals)


def _boluses(rows: pd.DataFrame, notes: common.Notes) -> pd.DataFrame:
    kind = rows["BolusType"].astype("string").fillna("0")
    rows = rows[(kind != "0") & (rows["TotalBolusInsulinDelivered"] > 0)]
    kind = kind[rows.index]
    given = pd.DataFrame(
        {
            "time": rows["time"],
            "dose_u": rows["TotalBolusInsulinDelivered"],
            "duration_min": 0.0,
            "automatic": kind.str.startswith("Automatic"),
        }
    )
    percent = pd.to_numeric(kind.str.extract(r"^Extended.* ([\d.]+)%")[0])
    later = _extended(rows, given, percent)
    notes.add(
        "mended",
        "bolus",
        len(later),
        "extended part is not in the total delivered: added over two hours, the pump's limit",
    )
    return common.tidy_boluses(pd.concat([given, later]), notes)


def _extended(rows: pd.DataFrame, given: pd.DataFrame, percent: pd.Series) -> pd.DataFrame:
    """The rest of extended boluses: the delivered food part is `percent` of the whole."""
    share = percent[percent.between(1, 99)] / 100
    rows, given = rows.loc[share.index], given.loc[share.index]
    at_once = given["dose_u"] - rows["CorrectionDelivered"].fillna(0)
    rest = at_once * (1 - share) / share
    return given.assign(dose_u=rest, duration_min=_EXTENDED_MIN)[rest > 0]


def _meals(rows: pd.DataFrame, notes: common.Notes) -> pd.DataFrame:
    eaten = rows[rows["CarbSize"] > 0]
    meals = pd.DataFrame({"time": eaten["time"], "carbs_g": eaten["CarbSize"]})
    if meals.empty:
        notes.missing("meals", "no carbohydrates in the file: unknown, not zero")
    return common.tidy_meals(meals, notes)


def _basal(rows: pd.DataFrame, notes: common.Notes) -> pd.DataFrame:
    rate = rows["Basal"]
    first = rate.first_valid_index()
    if first is None:
        notes.missing("basal", "no basal in the file: unknown, not zero")
        return common.merge_rates(pd.DataFrame())
    notes.add("missing", "basal", int(first), "rows before the first recorded basal: unknown")
    # On some days every rate is in mU/h, so that even a 9 there is 0.009 U/h.
    milli = rate > _MILLI_ABOVE_U_H
    day = rows["wall"].dt.date
    milli |= milli.groupby(day).transform("sum") > 0.5 * rate.notna().groupby(day).transform("sum")
    milli &= rate > 0
    notes.add("mended", "basal", int(milli.sum()), "mU/h posing as U/h: divided by 1000")
    rate = pd.Series(np.where(milli, rate / 1000, rate), index=rate.index)
    known = rate.notna()
    return common.rates_to_doses(rows["time"][known], rate[known], _BASAL_HELD_MIN, notes)
