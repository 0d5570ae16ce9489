"""Wall clocks to instants: formats, time zones and the changes of spring and autumn."""

from pathlib import Path

import numpy as np
import pandas as pd

from hybridtwin.errors import ImportFormatError
from hybridtwin.importers._common import Notes


def parse_times(
    texts: pd.Series, path: Path, usual: str = "ISO8601", day_first: bool = False
) -> pd.Series:
    """Wall-clock times of a column, quickly where they have the usual format.

    Raises:
        ImportFormatError: A value is not a time.
    """
    times = pd.to_datetime(texts, format=usual, errors="coerce").astype("datetime64[ns]")
    odd = times.isna()
    if odd.any():
        times[odd] = pd.to_datetime(
            texts[odd], format="mixed", dayfirst=day_first, errors="coerce"
        ).astype("datetime64[ns]")
    if times.isna().any():
        row = int(times.isna().to_numpy().argmax())
        raise ImportFormatError.of(
            f"{path}, row {row + 2}",
            f"{texts.iloc[row]!r} is not a date and time",
            "Correct or remove this row.",
        )
    return times


def to_utc(wall: pd.Series, zone: str, notes: Notes, what: str) -> pd.Series:
    """Instants of wall-clock times, in file order.

    A time that the spring change skips is taken one hour later. A time that the autumn change
    repeats is summer time until the file steps back within the hour, winter time from there on.
    """
    summer = wall.dt.tz_localize(zone, ambiguous=True, nonexistent="NaT")
    winter = wall.dt.tz_localize(zone, ambiguous=False, nonexistent="NaT")
    skipped = summer.isna()
    twice = (summer != winter) & ~skipped
    notes.add("mended", what, int(skipped.sum()), "wall time skipped by the spring clock change")
    notes.add("mended", what, int(twice.sum()), "wall time repeated by the autumn clock change")
    first_pass = np.ones(len(wall), dtype=bool)
    if twice.any():
        back = (wall[twice].diff() < pd.Timedelta(0)).groupby(wall[twice].dt.date).cumsum()
        first_pass[twice.to_numpy()] = back.to_numpy() == 0
    local = wall.dt.tz_localize(zone, ambiguous=first_pass, nonexistent=pd.Timedelta("1h"))
    return local.dt.tz_convert("UTC")


def skipped_hour(wall: pd.Series, zone: str) -> pd.Series:
    """Which wall-clock times the spring change skips, so that no adjusted clock shows them."""
    return wall.dt.tz_localize(zone, ambiguous=True, nonexistent="NaT").isna()


def unadjusted_to_utc(wall: pd.Series, zone: str, notes: Notes, what: str) -> pd.Series:
    """Instants of a clock that nobody changed in spring or autumn: one offset throughout."""
    first = wall.min().tz_localize(zone, ambiguous=True, nonexistent=pd.Timedelta("1h"))
    notes.add(
        "mended",
        what,
        len(wall),
        "the clock ran through a change to or from summer time: one UTC offset throughout",
    )
    return (wall - first.utcoffset()).dt.tz_localize("UTC")
