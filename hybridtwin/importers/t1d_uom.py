"""T1D-UOM: adults with type 1 diabetes, pump or pens, diary and Garmin watch, Manchester.

Alsuhaymi et al., Sci Data 12:1379 (2025), doi 10.5281/zenodo.15806142, CC BY 4.0. Up to seven
files for each person, told apart by their first column and the number in their name. The path is
the set's folder, any folder of it, or one file.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pandas as pd

from hybridtwin.errors import ImportFormatError
from hybridtwin.event_tables import table
from hybridtwin.events import MINUTES_PER_DAY, InsulinKind, Profile
from hybridtwin.importers import _clock as clock
from hybridtwin.importers import _common as common
from hybridtwin.record import Record
from hybridtwin.units import MG_DL_PER_MMOL_L

_KINDS: Final = {
    "bg_ts": "glucose",
    "basal_ts": "basal",
    "bolus_ts": "bolus",
    "meal_ts": "meals",
    "activity_ts": "activity",
    "sleep_ts": "vitals",
    "calendar_date": "sleep",
}
_ZONES: Final = ("Europe/London", "Europe/Paris", "Asia/Singapore")
"""Where the watches say that their wearers lived: all but two in London's time."""
_ASTRAY: Final = pd.Timedelta(days=45)
_NEIGHBOUR: Final = pd.Timedelta(days=3)
_CONFLICT_MG_DL: Final = 54.0
_CONFLICT_WITHIN: Final = pd.Timedelta(minutes=6)
_CONFLICT_SHARE: Final = 0.05
_SERIES_EVERY_MIN: Final = 10.0
_SERIES_HELD_MIN: Final = 30.0
_QUARTER_S: Final = 900
_FASTEST_STEPS: Final = 15 * 200.0


def recognises(path: Path) -> bool:
    """Whether a CSV at or below the path begins with one of this set's columns."""
    return bool(_files(path))


def read(path: Path) -> Iterator[Record]:
    """One record for each person; without glucose where only other files are there."""
    files = _files(path)
    people = common.metadata(path, "T1D-UOM-metadata.csv")
    for number in sorted(files):
        person = people.get(f"UoMGlucose{number}", {})
        others = [
            kinds["glucose"] for one, kinds in files.items() if one != number and "glucose" in kinds
        ]
        yield _Reader(number, files[number], others).record(person)


def _files(path: Path) -> dict[str, dict[str, Path]]:
    found: dict[str, dict[str, Path]] = {}
    for file in common.csv_files(path):
        kind = _KINDS.get(common.header(file).split(",")[0])
        if kind is None:
            continue
        number = re.search(r"(\d{4})", file.stem)
        if number is None:
            raise ImportFormatError.of(
                str(file), "the name holds no number", "Name it as published: UoMGlucose2301.csv."
            )
        found.setdefault(number[1], {})[kind] = file
    return found


class _Reader:
    """Reads one person's files: they share a clock, a span and the notes."""

    def __init__(self, number: str, files: dict[str, Path], others: list[Path]) -> None:
        self.number = number
        self.files = files
        self.others = others
        self.notes = common.Notes()
        self.watch = self._csv(
            "activity", set(), {"start_time_s", "start_time_offset_s", "duration_s", "step_count"}
        )
        self.zone = _zone_of(self.watch)
        self.unadjusted = False
        self.span: tuple[pd.Timestamp, pd.Timestamp] | None = None

    def record(self, person: dict[str, object]) -> Record:
        glucose = self._glucose()
        basal = self._basal()
        insulin = [basal, self._bolus(basal)]
        therapy = None
        if len(basal):
            therapy = "injections" if (basal["duration_min"] == 0).all() else "pump"
        profile = Profile(
            participant=f"t1d_uom-{self.number}",
            time_zone=self.zone,
            therapy=therapy,
            **person,
        )
        return common.build(
            profile,
            "t1d_uom",
            list(self.files.values()),
            self.notes,
            glucose,
            insulin,
            self._meals(),
            self._activity(),
        )

    def _csv(self, kind: str, texts: set[str], numbers: set[str]) -> pd.DataFrame:
        """A file's rows, or none where the person has no such file."""
        if kind not in self.files:
            self.notes.missing(kind, "no file: unknown, not zero")
            return pd.DataFrame(columns=sorted(texts | numbers))
        rows = common.read_csv(self.files[kind], texts, numbers)
        self.notes.add("read", f"{kind} row", len(rows), "in the file")
        return rows.drop(columns=[name for name in rows if name.startswith("Unnamed")])

    def _wall(self, kind: str, texts: pd.Series) -> pd.Series:
        """Wall-clock times: the day comes first, whatever the set's README says."""
        return clock.parse_times(texts, self.files[kind], "%d/%m/%Y %H:%M", day_first=True)

    def _utc(self, wall: pd.Series, what: str) -> pd.Series:
        if self.unadjusted:
            return clock.unadjusted_to_utc(wall, self.zone, self.notes, what)
        return clock.to_utc(wall, self.zone, self.notes, what)

    def _glucose(self) -> pd.DataFrame:
        rows = self._csv("glucose", {"bg_ts"}, {"value"})
        if rows.empty:
            return table("glucose")
        wall = self._wall("glucose", rows["bg_ts"])
        self.unadjusted = int(clock.skipped_hour(wall, self.zone).sum()) > 2
        rows = rows.assign(wall=wall, mg_dl=rows["value"] * MG_DL_PER_MMOL_L)
        self.notes.add("mended", "glucose", len(rows), "mmol/L converted to mg/dL")
        if _conflicting(rows):
            rows = self._without_others(rows)
        if rows.empty:
            return table("glucose")
        self.span = (rows["wall"].min(), rows["wall"].max())
        times = self._utc(rows["wall"], "glucose")
        readings = pd.DataFrame({"time": times, "mg_dl": rows["mg_dl"], "source": "cgm"})
        return common.tidy_glucose(readings, self.notes)

    def _without_others(self, rows: pd.DataFrame) -> pd.DataFrame:
        """One stream of two that contradict each other: not the one in another person's file."""
        for file in self.others:
            other = common.read_csv(file, {"bg_ts"}, {"value"})[
                ["bg_ts", "value"]
            ].drop_duplicates()
            shared = rows[["bg_ts", "value"]].merge(other, how="left", indicator=True)["_merge"]
            foreign = (shared == "both").to_numpy()
            if foreign.sum() < 0.5 * len(other):
                continue
            self.notes.add(
                "dropped",
                "glucose",
                int(foreign.sum()),
                f"is another person's: also in {file.name}",
            )
            rows = rows[~foreign]
        if _conflicting(rows):
            self.notes.add(
                "dropped", "glucose", len(rows), "two interleaved streams contradict each other"
            )
            return rows.iloc[:0]
        return rows

    def _diary(self, kind: str, texts: set[str], numbers: set[str], amount: str) -> pd.DataFrame:
        """Rows of a hand-kept file with mended dates and a stated amount."""
        rows = self._csv(kind, texts, numbers)
        if rows.empty:
            return rows.assign(time=pd.Series(dtype="datetime64[ns, UTC]"))
        first = rows.columns[0]
        wall = self._wall(kind, rows[first])
        no_clock = ~rows[first].astype(str).str.contains(":")
        self.notes.add("dropped", kind, int(no_clock.sum()), "a date without a time of day")
        silent = rows[amount].isna() & ~no_clock
        self.notes.add("dropped", kind, int(silent.sum()), "no amount stated")
        wall, astray = self._mend_years(kind, wall)
        kept = ~(no_clock | silent | astray)
        rows, wall = rows[kept], wall[kept]
        return rows.assign(time=self._utc(wall, kind))

    def _mend_years(self, kind: str, wall: pd.Series) -> tuple[pd.Series, pd.Series]:
        """Times with wrong years set right by the rows around them, and which are still astray."""
        astray = pd.Series(False, index=wall.index)
        if self.span is None:
            return wall, astray
        low, high = self.span[0] - _ASTRAY, self.span[1] + _ASTRAY
        astray = ~wall.between(low, high)
        near = wall.mask(astray)
        before, after = near.ffill(), near.bfill()
        for row in wall.index[astray]:
            for neighbour in (before[row], after[row]):
                if pd.isna(neighbour):
                    continue
                guess = wall[row] + pd.DateOffset(years=neighbour.year - wall[row].year)
                if abs(guess - neighbour) <= _NEIGHBOUR:
                    wall = wall.where(wall.index != row, guess)
                    astray[row] = False
                    break
            if not astray[row]:
                self.notes.add("mended", kind, 1, "wrong year, set right by the rows around it")
        self.notes.add(
            "dropped", kind, int(astray.sum()), "more than 45 days from any glucose: a wrong date"
        )
        return wall, astray

    def _basal(self) -> pd.DataFrame:
        rows = self._diary("basal", {"basal_ts", "insulin_kind"}, {"basal_dose"}, "basal_dose")
        rows = rows.sort_values("time", kind="stable")
        rates = rows[rows["insulin_kind"] == "R"]
        doses = rows[rows["insulin_kind"] == "L"]
        repeated = doses.duplicated(["time", "basal_dose"])
        self.notes.add("dropped", "basal", int(repeated.sum()), "the same dose at the same time")
        doses = doses[~repeated]
        long_acting = pd.DataFrame(
            {
                "time": doses["time"],
                "dose_u": doses["basal_dose"].astype(float),
                "duration_min": 0.0,
                "purpose": "basal",
                "kind": str(InsulinKind.LONG_ACTING),
            }
        )
        if rates.empty:
            return long_acting
        every = rates["time"].diff().dt.total_seconds().median() / 60
        longest = _SERIES_HELD_MIN if every <= _SERIES_EVERY_MIN else float(MINUTES_PER_DAY)
        pump = common.rates_to_doses(
            rates["time"], rates["basal_dose"].astype(float), longest, self.notes
        )
        pump["kind"] = str(InsulinKind.RAPID)
        return pd.concat([pump, long_acting]) if len(long_acting) else pump

    def _bolus(self, basal: pd.DataFrame) -> pd.DataFrame:
        rows = self._diary("bolus", {"bolus_ts"}, {"bolus_dose"}, "bolus_dose")
        given = pd.DataFrame({"time": rows["time"], "dose_u": rows["bolus_dose"].astype(float)})
        long_acting = basal[basal["duration_min"] == 0] if len(basal) else basal
        if len(long_acting):
            # Nobody's meal dose is the very amount of their long-acting one and far off the rest.
            unlike = given["dose_u"] > 2 * given["dose_u"].quantile(0.9)
            misfiled = unlike & given["dose_u"].isin(set(long_acting["dose_u"]))
            self.notes.add(
                "dropped", "bolus", int(misfiled.sum()), "is a long-acting dose in the bolus file"
            )
            given = given[~misfiled]
        return common.tidy_boluses(given, self.notes)

    def _meals(self) -> pd.DataFrame:
        amounts = {
            "carbs_g": "carbs_g",
            "prot_g": "protein_g",
            "fat_g": "fat_g",
            "fibre_g": "fibre_g",
        }
        rows = self._diary("meals", {"meal_ts"}, set(amounts), "carbs_g")
        meals = rows[["time", *amounts]].rename(columns=amounts)
        return common.tidy_meals(meals.astype(dict.fromkeys(amounts.values(), float)), self.notes)

    def _activity(self) -> pd.DataFrame:
        self._leave_out_vitals()
        parts = [part for part in (self._quarters(), self._nights()) if len(part)]
        if not parts:
            return table("activity")
        rows = pd.concat([table("activity", part) for part in parts])
        return rows.sort_values("time", kind="stable")

    def _quarters(self) -> pd.DataFrame:
        """Steps in quarters of an hour, summed over kinds of movement."""
        rows = self.watch
        if rows.empty:
            return rows
        repeated = rows.duplicated()
        self.notes.add("dropped", "activity", int(repeated.sum()), "exact duplicate of another row")
        rows = rows[~repeated]
        time = pd.to_datetime(rows["start_time_s"], unit="s", utc=True)
        away = (rows["start_time_offset_s"] - _offset_s(time, self.zone)).abs() > 3600
        self.notes.add("dropped", "activity", int(away.sum()), "from a watch in another time zone")
        long = (rows["duration_s"] > _QUARTER_S) & ~away
        self.notes.add("dropped", "activity", int(long.sum()), "longer than a quarter of an hour")
        kept = ~(away | long)
        by_time = rows[kept].groupby(time[kept])
        self.notes.add(
            "mended",
            "activity",
            int(kept.sum()) - by_time.ngroups,
            "several kinds of movement at one time: steps summed",
        )
        quarters = by_time["step_count"].sum().astype(float)
        impossible = quarters > _FASTEST_STEPS
        self.notes.add("dropped", "activity", int(impossible.sum()), "above 200 steps a minute")
        return pd.DataFrame(
            {"time": quarters.index, "duration_min": 15.0, "steps": quarters.to_numpy()}
        )[~impossible.to_numpy()]

    def _leave_out_vitals(self) -> None:
        """The 5-minute file (heart rate, stress) stands on times that are not its own.

        Its rows fill an unbroken grid, the heart beats fastest at night, sleep falls on the
        afternoon, and the correlation with the same watch's calories is within 0.1 of zero for
        every participant.
        """
        rows = self._csv("vitals", {"sleep_ts"}, {"heart_rate"})
        self.notes.add(
            "dropped", "vitals", len(rows), "times do not fit the same watch's activity and sleep"
        )

    def _nights(self) -> pd.DataFrame:
        """When the watch saw sleep; these times are UTC, unlike all others in the set."""
        rows = self._csv("sleep", {"start_date_ts"}, {"duration_in_sec"})
        if rows.empty:
            return rows
        start = self._wall("sleep", rows["start_date_ts"]).dt.tz_localize("UTC")
        nights = pd.DataFrame(
            {"time": start, "duration_min": rows["duration_in_sec"] / 60, "asleep": True}
        ).sort_values(["time", "duration_min"])
        repeated = nights.duplicated("time", keep="last")
        self.notes.add("dropped", "sleep", int(repeated.sum()), "a shorter version of the night")
        nights = nights[~repeated]
        return nights[nights["duration_min"].between(1, MINUTES_PER_DAY)]


def _conflicting(rows: pd.DataFrame) -> bool:
    """Whether neighbouring readings jump about as one sensor cannot."""
    ordered = rows.drop_duplicates(["wall", "mg_dl"]).sort_values("wall", kind="stable")
    close = ordered["wall"].diff() <= _CONFLICT_WITHIN
    jumps = (ordered["mg_dl"].diff().abs() > _CONFLICT_MG_DL) & close
    return bool(jumps.sum() > _CONFLICT_SHARE * len(ordered))


def _zone_of(watch: pd.DataFrame) -> str:
    """The zone that the watch's own offsets speak for."""
    if watch.empty:
        return _ZONES[0]
    time = pd.to_datetime(watch["start_time_s"], unit="s", utc=True)
    share = {
        zone: float((watch["start_time_offset_s"] == _offset_s(time, zone)).mean())
        for zone in _ZONES
    }
    return max(share, key=lambda zone: share[zone])


def _offset_s(time: pd.Series, zone: str) -> pd.Series:
    """A zone's offset from UTC at instants, in seconds."""
    local = time.dt.tz_convert(zone).dt.tz_localize(None)
    return (local - time.dt.tz_localize(None)).dt.total_seconds()
