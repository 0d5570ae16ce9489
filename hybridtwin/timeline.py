"""Timeline: a Record on the 5-minute grid, as tensors with masks. Missing is never zero.

Grid point k is the instant start + 5 k minutes. Glucose and vitals at k are what was measured at
that instant (nearest reading); doses and meals at k are what was taken in [k, k + 1).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from hybridtwin.errors import HistoryError
from hybridtwin.events import STATED_EXERTION, InsulinKind
from hybridtwin.record import Record
from hybridtwin.units import STEP_MIN

CHANNELS: Final = (
    "glucose_mg_dl",
    "bolus_u",
    "basal_u",
    "long_acting_u",
    "carbs_g",
    "fat_g",
    "protein_g",
    "heart_rate_bpm",
    "steps",
    "stated_exertion",
)
"""Amounts (U, g, steps) are per 5-minute step; stated exertion is 0 to 1."""
CHANNEL: Final = {name: index for index, name in enumerate(CHANNELS)}

LONG_ACTING_COVERS: Final = pd.Timedelta(hours=36)
"""How long after a long-acting dose the basal supply counts as known (a daily dose, 12 h late)."""

_STEP = pd.Timedelta(minutes=STEP_MIN)
_LONG_KINDS = [str(kind) for kind in InsulinKind if kind.acts_long]


@dataclass(frozen=True)
class Timeline:
    """A person's channels on the grid.

    Attributes:
        start: Instant of grid point 0, UTC.
        values: (T, C) in the units of `CHANNELS`; 0 where not known.
        known: (T, C) whether the value was recorded; for events, whether they were logged then.
        original: (T,) whether the glucose value is a reading rather than interpolated.
        minute_of_day: (T,) local wall-clock minute, 0 to 1439, daylight saving included.
        weekday: (T,) local weekday, Monday = 0.
    """

    start: pd.Timestamp
    values: Tensor
    known: Tensor
    original: Tensor
    minute_of_day: Tensor
    weekday: Tensor

    def __len__(self) -> int:
        return len(self.values)

    def time(self, index: int) -> pd.Timestamp:
        """Instant of a grid point."""
        return self.start + index * _STEP

    def index(self, time: pd.Timestamp) -> int:
        """The grid point nearest to an instant."""
        steps: int = round((time - self.start) / _STEP)
        return steps


def to_timeline(
    record: Record, end: pd.Timestamp | None = None, start: pd.Timestamp | None = None
) -> Timeline:
    """Put a record on the grid, from its first reading to its last (or from `start` to `end`).

    Raises:
        HistoryError: The record holds no glucose at all.
    """
    if record.glucose.empty and (start is None or end is None):
        raise HistoryError.of(
            "glucose", "the history holds no readings", "Send at least six hours of readings."
        )
    start = (start if start is not None else record.glucose["time"].iloc[0]).floor(_STEP)
    last = (end if end is not None else record.glucose["time"].iloc[-1]).round(_STEP)
    length = max(round((last - start) / _STEP) + 1, 1)
    values = np.zeros((length, len(CHANNELS)), dtype=np.float32)
    known = np.zeros((length, len(CHANNELS)), dtype=bool)

    original = _put_glucose(record, start, values, known)
    _put_insulin(record, start, values, known)
    _put_meals(record, start, values, known)
    _put_activity(record, start, values, known)

    local = pd.date_range(start, periods=length, freq=_STEP).tz_convert(record.profile.time_zone)
    return Timeline(
        start=start,
        values=torch.from_numpy(values),
        known=torch.from_numpy(known),
        original=torch.from_numpy(original),
        minute_of_day=torch.tensor(np.asarray(local.hour * 60 + local.minute), dtype=torch.int16),
        weekday=torch.tensor(np.asarray(local.day_of_week), dtype=torch.int16),
    )


def _put_glucose(
    record: Record, start: pd.Timestamp, values: NDArray[np.float32], known: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Mean of the readings nearest to each grid point, CGM only where there is any."""
    rows = record.glucose
    if (rows["source"] == "cgm").any():
        rows = rows[rows["source"] == "cgm"]
    at = ((rows["time"] - start) / _STEP).round().astype(int)
    kept = (at >= 0) & (at < len(values))
    mean = rows[kept].groupby(at[kept]).agg({"mg_dl": "mean", "interpolated": "min"})
    column = CHANNEL["glucose_mg_dl"]
    values[mean.index, column] = mean["mg_dl"]
    known[mean.index, column] = True
    original = np.zeros(len(values), dtype=bool)
    original[mean.index] = ~mean["interpolated"].to_numpy(dtype=bool)
    return original


def _put_insulin(
    record: Record, start: pd.Timestamp, values: NDArray[np.float32], known: NDArray[np.bool_]
) -> None:
    rows = record.insulin
    long = rows["kind"].isin(_LONG_KINDS)
    basal = rows["purpose"] == "basal"
    for column, chosen in (
        ("bolus_u", ~basal & ~long),
        ("basal_u", basal & ~long),
        ("long_acting_u", long),
    ):
        spread(rows[chosen], "dose_u", start, values[:, CHANNEL[column]])
    covered = np.zeros(len(values), dtype=bool)
    pump, injected = rows[basal & ~long], rows[long]
    pump_ends = pump["time"] + pd.to_timedelta(pump["duration_min"], unit="min")
    _cover(pump["time"], pump_ends, start, covered)
    _cover(injected["time"], injected["time"] + LONG_ACTING_COVERS, start, covered)
    known[:, CHANNEL["basal_u"]] = covered
    known[:, CHANNEL["long_acting_u"]] = covered
    _cover_logged(record, "bolus", start, known[:, CHANNEL["bolus_u"]])


def _put_meals(
    record: Record, start: pd.Timestamp, values: NDArray[np.float32], known: NDArray[np.bool_]
) -> None:
    rows = record.meals.assign(duration_min=0.0)
    _cover_logged(record, "meals", start, known[:, CHANNEL["carbs_g"]])
    spread(rows, "carbs_g", start, values[:, CHANNEL["carbs_g"]])
    for column in ("fat_g", "protein_g"):
        stated = rows[column].notna()
        spread(rows[stated], column, start, values[:, CHANNEL[column]])
        known[:, CHANNEL[column]] = known[:, CHANNEL["carbs_g"]]
        silent = ((rows["time"][~stated] - start) // _STEP).to_numpy()
        silent = silent[(silent >= 0) & (silent < len(values))]
        known[silent, CHANNEL[column]] = False


def _put_activity(
    record: Record, start: pd.Timestamp, values: NDArray[np.float32], known: NDArray[np.bool_]
) -> None:
    stated = record.activity["intensity"].map(STATED_EXERTION).astype(float)
    activity = record.activity.assign(stated_exertion=stated)
    for column, total in (("heart_rate_bpm", False), ("steps", True), ("stated_exertion", False)):
        rows = activity[activity[column].notna()]
        ends = rows["time"] + pd.to_timedelta(rows["duration_min"], unit="min")
        target = values[:, CHANNEL[column]]
        covered = np.zeros(len(values), dtype=bool)
        _cover(rows["time"], ends, start, covered)
        known[:, CHANNEL[column]] = covered
        if total:
            spread(rows, column, start, target)
        else:
            weighted = rows.assign(weight=rows["duration_min"] * rows[column])
            minutes = np.zeros(len(values), dtype=np.float32)
            spread(weighted, "weight", start, target)
            spread(weighted, "duration_min", start, minutes)
            target[:] = np.divide(target, minutes, out=np.zeros_like(target), where=minutes > 0)
            known[:, CHANNEL[column]] = minutes > 0


def spread(
    rows: pd.DataFrame, amount: str, start: pd.Timestamp, target: NDArray[np.float32]
) -> None:
    """Add amounts to the steps in which they are given, evenly over their duration.

    A cumulative total, interpolated at the grid and differenced, conserves the amount exactly.
    """
    if rows.empty:
        return
    begin = ((rows["time"] - start) / _STEP).to_numpy(dtype=float)
    length = rows["duration_min"].to_numpy(dtype=float) / STEP_MIN
    dose = rows[amount].to_numpy(dtype=float)
    edges = len(target)
    at_once = length == 0
    step = np.floor(begin[at_once]).astype(int)
    inside = (step >= 0) & (step < edges)
    np.add.at(target, step[inside], dose[at_once][inside].astype(np.float32))
    for first, span, total in zip(begin[~at_once], length[~at_once], dose[~at_once], strict=True):
        low, high = max(int(first), 0), min(int(np.ceil(first + span)), edges)
        if high <= low:
            continue
        grid = np.arange(low, high + 1)
        share = np.clip((grid - first) / span, 0, 1)
        target[low:high] += (np.diff(share) * total).astype(np.float32)


def _cover(
    starts: pd.Series, ends: pd.Series, origin: pd.Timestamp, target: NDArray[np.bool_]
) -> None:
    """Mark the steps that lie in any of the spans."""
    first = np.floor(((starts - origin) / _STEP).to_numpy(dtype=float) + 1e-6).astype(int)
    last = np.ceil(((ends - origin) / _STEP).to_numpy(dtype=float) - 1e-6).astype(int)
    depth = np.zeros(len(target) + 1, dtype=int)
    np.add.at(depth, np.clip(first, 0, len(target)), 1)
    np.add.at(depth, np.clip(last, 0, len(target)), -1)
    target |= np.cumsum(depth)[:-1] > 0


def _cover_logged(
    record: Record, channel: str, start: pd.Timestamp, target: NDArray[np.bool_]
) -> None:
    spans = record.logged[record.logged["channel"] == channel]
    _cover(spans["start"], spans["end"] + _STEP, start, target)
