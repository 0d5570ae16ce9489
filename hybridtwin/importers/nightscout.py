"""Nightscout: what a site's API returns, saved as JSON.

The path is a folder with `*entries*.json` and, where there are any, `*treatments*.json` and
`*profile*.json`, or the entries file itself. Times are UTC, glucose is mg/dL, insulin U, rates
U/h; the profile's clock times are local to the profile's time zone.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from zoneinfo import available_timezones

import pandas as pd

from hybridtwin.errors import ImportFormatError
from hybridtwin.events import Profile
from hybridtwin.importers import _common as common
from hybridtwin.importers._nightscout_basal import basal_doses, local_zone
from hybridtwin.record import Record
from hybridtwin.units import MG_DL_PER_MMOL_L

_SNIFFED_CHARS: Final = 4000
_SAME_READING: Final = pd.Timedelta(minutes=2.5)
_CGM, _METER = "sgv", "mbg"

Document = dict[str, Any]


def recognises(path: Path) -> bool:
    """Whether the path is, or holds, a JSON file of Nightscout entries."""
    return bool(_entries_files(path))


def read(path: Path) -> Iterator[Record]:
    """The one record of a site."""
    files = _entries_files(path)
    entries = [one for file in files for one in _documents(file)]
    sided = {kind: _siblings(path, files[0], kind) for kind in ("treatments", "profile")}
    treatments = [one for file in sided["treatments"] for one in _documents(file)]
    profiles = [one for file in sided["profile"] for one in _documents(file)]

    notes = common.Notes()
    notes.add("read", "entry", len(entries), "in the files")
    notes.add("read", "treatment", len(treatments), "in the files")
    events = _events(treatments, notes)
    for kind, found in sided.items():
        if not found:
            notes.missing(kind, "no such file: insulin and meals are unknown")
    zone = local_zone(profiles)
    if zone not in available_timezones():
        notes.add("mended", "time zone", 1, f"{zone!r} is no known zone: taken as UTC")
        zone = "UTC"
    record_profile = Profile(participant=_participant(path), time_zone=zone)
    basal = basal_doses(events, profiles, notes)
    yield common.build(
        record_profile,
        "nightscout",
        [*files, *sided["treatments"], *sided["profile"]],
        notes,
        _glucose(entries, events, notes),
        [basal, _boluses(events, notes)],
        _meals(events, notes),
        _exercise(events),
    )


def _entries_files(path: Path) -> list[Path]:
    candidates = [path] if path.is_file() else sorted(path.glob("*entries*.json"))
    return [file for file in candidates if _has_entries(file)]


def _has_entries(file: Path) -> bool:
    try:
        with file.open(encoding="utf-8-sig") as text:
            begin = text.read(_SNIFFED_CHARS).lstrip()
    except (OSError, UnicodeDecodeError):
        return False
    return begin.startswith("[") and any(f'"{key}"' in begin for key in (_CGM, _METER))


def _siblings(path: Path, entries: Path, kind: str) -> list[Path]:
    """Files of another kind: beside a folder's entries all, beside one file those named alike."""
    if path.is_dir():
        return sorted(path.glob(f"*{kind}*.json"))
    pattern = entries.name.replace("entries", f"{kind}*").replace("**", "*")
    return sorted(entries.parent.glob(pattern)) if "entries" in entries.name else []


def _documents(file: Path) -> list[Document]:
    """A file's list of documents.

    Raises:
        ImportFormatError: It is no complete JSON list of objects.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ImportFormatError.of(
            str(file), f"is not complete JSON ({error})", "Download it again, to its end."
        ) from error
    if not isinstance(content, list) or not all(isinstance(one, dict) for one in content):
        raise ImportFormatError.of(
            str(file), "is not a list of documents", "Save what the site's API returns."
        )
    return content


def _participant(path: Path) -> str:
    folder = path.resolve() if path.is_dir() else path.resolve().parent
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.name).strip("-._")
    return name[:64] or "me"


def _times(documents: list[Document], keys: tuple[str, ...]) -> pd.Series:
    """Instants, from the first of `keys` that each document has: milliseconds or ISO 8601."""
    stated = pd.Series(
        [next((one[key] for key in keys if one.get(key)), None) for one in documents], dtype=object
    )
    number = pd.to_numeric(stated, errors="coerce")
    times = pd.to_datetime(number, unit="ms", utc=True, errors="coerce").astype(
        "datetime64[ns, UTC]"
    )
    text = number.isna() & stated.notna()
    parsed = pd.to_datetime(stated[text], format="ISO8601", utc=True, errors="coerce")
    times[text] = parsed.astype("datetime64[ns, UTC]")
    return times


def _events(treatments: list[Document], notes: common.Notes) -> pd.DataFrame:
    """Treatments sorted by time, each once."""
    columns = [
        *("eventType", "insulin", "carbs", "fat", "protein", "duration", "absolute", "rate"),
        *("percent", "relative", "glucose", "glucoseType", "units", "isFPU", "automatic"),
        *("profile", "profileJson", "percentage"),
    ]
    rows = pd.DataFrame(treatments).reindex(columns=columns)
    for name in ("insulin", "carbs", "fat", "protein", "duration", "absolute", "rate", "percent"):
        rows[name] = pd.to_numeric(rows[name], errors="coerce")
    rows["relative"] = pd.to_numeric(rows["relative"], errors="coerce")
    rows["time"] = _times(treatments, ("created_at", "timestamp", "mills"))
    undated = rows["time"].isna()
    notes.add("dropped", "treatment", int(undated.sum()), "no readable time")
    rows = rows[~undated]
    # Uploaders write the same event again with a new _id.
    amounts = ["insulin", "carbs", "absolute", "rate", "percent", "duration"]
    repeated = rows.duplicated(["time", "eventType", *amounts])
    notes.add("dropped", "treatment", int(repeated.sum()), "the same event uploaded again")
    return rows[~repeated].sort_values("time", kind="stable").reset_index(drop=True)


def _glucose(entries: list[Document], events: pd.DataFrame, notes: common.Notes) -> pd.DataFrame:
    rows = pd.DataFrame(entries).reindex(columns=["type", _CGM, _METER, "device"])
    rows["time"] = _times(entries, ("date", "dateString", "sysTime"))
    meter = rows["type"] == _METER
    rows["mg_dl"] = pd.to_numeric(rows[_CGM].mask(meter, rows[_METER]), errors="coerce")
    rows["source"] = meter.map({True: "fingerstick", False: "cgm"})
    unusable = rows["time"].isna() | rows["mg_dl"].isna()
    notes.add("dropped", "glucose", int(unusable.sum()), "no readable time or no value")
    rows = _one_uploader(rows[~unusable].sort_values("time", kind="stable"), notes)
    rows = rows[["time", "mg_dl", "source"]]

    checks = events[(events["eventType"] == "BG Check") & events["glucose"].notna()]
    value = pd.to_numeric(checks["glucose"], errors="coerce")
    molar = checks["units"].astype(str).str.startswith("mmol")
    finger = pd.DataFrame(
        {
            "time": checks["time"],
            "mg_dl": value.mask(molar, value * MG_DL_PER_MMOL_L),
            "source": "fingerstick",
        }
    )[(checks["glucoseType"] != "Sensor").to_numpy()]
    return common.tidy_glucose(pd.concat([rows, finger]) if len(finger) else rows, notes)


def _one_uploader(rows: pd.DataFrame, notes: common.Notes) -> pd.DataFrame:
    """Readings without the copies that further uploaders sent of them, seconds apart."""
    cgm = rows["source"] == "cgm"
    device = rows["device"].astype("string").fillna("")
    if device[cgm].nunique() < 2:
        return rows
    main = device[cgm].mode()[0]
    ours = cgm & (device == main)
    others = rows[cgm & ~ours]
    nearest = pd.merge_asof(
        others[["time"]],
        rows.loc[ours, ["time"]].assign(copy=True),
        on="time",
        direction="nearest",
        tolerance=_SAME_READING,
    )
    copies = others.index[nearest["copy"].notna().to_numpy()]
    notes.add("dropped", "glucose", len(copies), "sent by a second uploader too")
    return rows.drop(index=copies)


def _boluses(events: pd.DataFrame, notes: common.Notes) -> pd.DataFrame:
    rows = events[events["insulin"].notna() & (events["eventType"] != "Temp Basal")]
    at_once = pd.DataFrame(
        {
            "time": rows["time"],
            "dose_u": rows["insulin"],
            "duration_min": 0.0,
            "automatic": (rows["eventType"] == "SMB") | (rows["automatic"].eq(True)),
        }
    )
    combo = events[(events["eventType"] == "Combo Bolus") & (events["relative"] > 0)]
    later = pd.DataFrame(
        {
            "time": combo["time"],
            "dose_u": combo["relative"] * combo["duration"] / 60,
            "duration_min": combo["duration"],
            "automatic": False,
        }
    )
    if rows.empty and combo.empty:
        notes.missing("bolus", "none in the treatments: unknown, not zero")
    return common.tidy_boluses(pd.concat([at_once, later]) if len(later) else at_once, notes)


def _meals(events: pd.DataFrame, notes: common.Notes) -> pd.DataFrame:
    rows = events[events["carbs"] > 0]
    computed = rows["isFPU"].eq(True)
    notes.add("dropped", "meal", int(computed.sum()), "carbs computed from fat and protein")
    rows = rows[~computed]
    if rows.empty:
        notes.missing("meals", "none in the treatments: unknown, not zero")
    return common.tidy_meals(
        pd.DataFrame(
            {
                "time": rows["time"],
                "carbs_g": rows["carbs"],
                "fat_g": rows["fat"],
                "protein_g": rows["protein"],
            }
        ),
        notes,
    )


def _exercise(events: pd.DataFrame) -> pd.DataFrame:
    rows = events[(events["eventType"] == "Exercise") & (events["duration"] > 0)]
    return pd.DataFrame({"time": rows["time"], "duration_min": rows["duration"], "kind": "mixed"})
