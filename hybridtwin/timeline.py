"""Timeline: a Record on the 5-minute grid, as tensors with masks. Missing is never zero.

Grid point k is the instant start + 5 k minutes. Glucose and vitals at k are what was measured at
that instant (nearest reading); doses and meals at k are what was taken in [k, k + 1).
"""

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from hybridtwin.errors import HistoryError
from hybridtwin.events import STATED_EXERTION, InsulinKind
from hybridtwin.physiology.gut import pathways
from hybridtwin.physiology.insulin import ENTRIES
from hybridtwin.record import Record
from hybridtwin.stepwise import Steps, cover, mean_level, spread, steps_from
from hybridtwin.units import STEP_MIN

BOLUS: Final = ("bolus_u", "monomer_u", "regular_u")
"""Doses of the insulins that act fast, by where they enter."""
LONG_ACTING: Final = ("nph_u", "detemir_u", "glargine_u100_u", "glargine_u300_u", "degludec_u")
CARBS: Final = ("carbs_g", "fast_carbs_g", "slow_carbs_g")
"""Carbohydrate by the way it takes: the usual, the fast or the slow one."""
MODULATORS: Final = ("illness", "stress", "short_sleep", "luteal")
CHANNELS: Final = (
    "glucose_mg_dl",
    *BOLUS,
    "basal_u",
    *LONG_ACTING,
    *CARBS,
    "fat_g",
    "protein_g",
    "alcohol_g",
    "glucagon_ug",
    "heart_rate_bpm",
    "steps",
    "stated_exertion",
    "stated_sprint",
    *MODULATORS,
    "site_loss",
)
"""Amounts (U, g, ug, steps) are per 5-minute step; exertion, sprint, modulators and loss 0 to 1."""
CHANNEL: Final = {name: index for index, name in enumerate(CHANNELS)}

LONG_ACTING_COVERS: Final = pd.Timedelta(hours=36)
"""How long after a long-acting dose the basal supply counts as known (a daily dose, 12 h late)."""

_STEP = pd.Timedelta(minutes=STEP_MIN)
_EPOCH_WEEKDAY = 3  # 1 January 1970 was a Thursday
_LONG_KINDS = [str(kind) for kind in InsulinKind if kind.acts_long]
_AEROBIC_SHARE = {"aerobic": 1.0, "mixed": 0.5, "anaerobic": 0.0}
_CONDITIONS = {
    "illness": "illness",
    "stress": "stress",
    "short sleep": "short_sleep",
    "luteal phase": "luteal",
    "site failure": "site_loss",
}


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

    def between(self, begin: int, end: int) -> "Timeline":
        """The grid points from `begin` to before `end`."""
        columns = (f.name for f in fields(self) if f.name != "start")
        return Timeline(self.time(begin), *(getattr(self, name)[begin:end] for name in columns))

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
    _put_glucagon(record, start, values, known)
    _put_activity(record, start, values, known)
    _put_conditions(record, start, values, known)

    grid = pd.date_range(start, periods=length, freq=_STEP).tz_convert(record.profile.time_zone)
    local = grid.tz_localize(None).to_numpy()
    days = local.astype("datetime64[D]")
    return Timeline(
        start=start,
        values=torch.from_numpy(values),
        known=torch.from_numpy(known),
        original=torch.from_numpy(original),
        minute_of_day=torch.tensor((local - days) // np.timedelta64(1, "m"), dtype=torch.int16),
        weekday=torch.tensor((days.astype(int) + _EPOCH_WEEKDAY) % 7, dtype=torch.int16),
    )


def _put_glucose(
    record: Record, start: pd.Timestamp, values: NDArray[np.float32], known: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Mean of the readings nearest to each grid point, CGM only where there is any."""
    rows = record.glucose
    original = np.zeros(len(values), dtype=bool)
    if rows.empty:
        return original
    counts = (rows["source"] == "cgm").to_numpy()
    if not counts.any():
        counts = ~counts
    time = rows["time"].to_numpy("datetime64[ns]") - start.to_numpy()
    at = np.rint(time / _STEP.to_timedelta64()).astype(int)
    kept = counts & (at >= 0) & (at < len(values))
    at, mg_dl = at[kept], rows["mg_dl"].to_numpy()[kept]
    count = np.bincount(at, minlength=len(values))
    total = np.bincount(at, weights=mg_dl, minlength=len(values))
    column, there = CHANNEL["glucose_mg_dl"], count > 0
    values[there, column] = total[there] / count[there]
    known[:, column] = there
    original[at[~rows["interpolated"].to_numpy(dtype=bool)[kept]]] = True
    return original


def _put_insulin(
    record: Record, start: pd.Timestamp, values: NDArray[np.float32], known: NDArray[np.bool_]
) -> None:
    known[:, _columns(*BOLUS)] = _logged(record, "bolus", start, len(values))[:, None]
    rows = record.insulin
    if rows.empty:
        return
    begin, length, dose_u = (
        steps_from(start, rows["time"]),
        _lengths(rows),
        _numbers(rows, "dose_u"),
    )
    kinds = rows["kind"].to_numpy(dtype=object)
    long = np.isin(kinds, _LONG_KINDS)
    pump = (rows["purpose"].to_numpy(dtype=object) == "basal") & ~long
    spread(begin[pump], length[pump], dose_u[pump], values[:, CHANNEL["basal_u"]])
    for kind in pd.unique(kinds[~pump]):
        here = ~pump & (kinds == kind)
        for name, share in ENTRIES[InsulinKind(kind)].items():
            spread(begin[here], length[here], share * dose_u[here], values[:, CHANNEL[name]])
    covered = np.zeros(len(values), dtype=bool)
    cover(begin[pump], begin[pump] + length[pump], covered)
    cover(begin[long], begin[long] + LONG_ACTING_COVERS / _STEP, covered)
    known[:, _columns("basal_u", *LONG_ACTING)] = covered[:, None]


def _put_meals(
    record: Record, start: pd.Timestamp, values: NDArray[np.float32], known: NDArray[np.bool_]
) -> None:
    logged = _logged(record, "meals", start, len(values))
    known[:, _columns(*CARBS, "fat_g", "protein_g", "alcohol_g")] = logged[:, None]
    rows = record.meals
    if rows.empty:
        return
    begin, at_once = steps_from(start, rows["time"]), np.zeros(len(rows))
    eaten = {
        name: _numbers(rows, name)
        for name in ("carbs_g", "fat_g", "protein_g", "fibre_g", "glycaemic_index", "alcohol_g")
    }
    parts = pathways(
        eaten["carbs_g"],
        eaten["fat_g"],
        eaten["protein_g"],
        eaten["fibre_g"],
        eaten["glycaemic_index"],
        rows["liquid"].to_numpy(dtype=bool),
    )
    for name, part in zip(CARBS, parts, strict=True):
        spread(begin, at_once, part, values[:, CHANNEL[name]])
    for name in ("fat_g", "protein_g", "alcohol_g"):
        said = ~np.isnan(eaten[name])
        spread(begin[said], at_once[said], eaten[name][said], values[:, CHANNEL[name]])
    # Who says nothing of alcohol had none; who says nothing of fat or protein does not know.
    for name in ("fat_g", "protein_g"):
        silent = np.floor(begin[np.isnan(eaten[name])]).astype(int)
        silent = silent[(silent >= 0) & (silent < len(values))]
        known[silent, CHANNEL[name]] = False


def _put_glucagon(
    record: Record, start: pd.Timestamp, values: NDArray[np.float32], known: NDArray[np.bool_]
) -> None:
    known[:, CHANNEL["glucagon_ug"]] = True  # rare, and nobody forgets it
    rows = record.glucagon
    if rows.empty:
        return
    dose_ug = _numbers(rows, "dose_ug")
    begin, target = steps_from(start, rows["time"]), values[:, CHANNEL["glucagon_ug"]]
    spread(begin, np.zeros(len(rows)), dose_ug, target)


def _put_activity(
    record: Record, start: pd.Timestamp, values: NDArray[np.float32], known: NDArray[np.bool_]
) -> None:
    rows = record.activity
    if rows.empty:
        return
    begin, length = steps_from(start, rows["time"]), _lengths(rows)
    duration_min = _numbers(rows, "duration_min")
    exertion, sprint = _stated(rows)
    for name, level in (
        ("heart_rate_bpm", _numbers(rows, "heart_rate_bpm")),
        ("stated_exertion", exertion),
        ("stated_sprint", sprint),
    ):
        said = ~np.isnan(level)
        target, minutes = values[:, CHANNEL[name]], np.zeros(len(values), dtype=np.float32)
        spread(begin[said], length[said], (duration_min * level)[said], target)
        spread(begin[said], length[said], duration_min[said], minutes)
        target[:] = np.divide(target, minutes, out=np.zeros_like(target), where=minutes > 0)
        known[:, CHANNEL[name]] = minutes > 0
    counted = _numbers(rows, "steps")
    said, covered = ~np.isnan(counted), np.zeros(len(values), dtype=bool)
    spread(begin[said], length[said], counted[said], values[:, CHANNEL["steps"]])
    cover(begin[said], begin[said] + length[said], covered)
    known[:, CHANNEL["steps"]] = covered


def _stated(activity: pd.DataFrame) -> tuple[Steps, Steps]:
    """(N,) aerobic exertion and sprint of stated exercise; NaN where nobody stated any."""
    exercised = activity["kind"].notna() | activity["intensity"].notna()
    exertion = activity["intensity"].fillna("moderate").map(STATED_EXERTION).astype(float)
    aerobic = activity["kind"].fillna("aerobic").map(_AEROBIC_SHARE).astype(float)
    stated = exertion.where(exercised)
    return (aerobic * stated).to_numpy(), ((1 - aerobic) * stated).to_numpy()


def _put_conditions(
    record: Record, start: pd.Timestamp, values: NDArray[np.float32], known: NDArray[np.bool_]
) -> None:
    known[:, _columns(*_CONDITIONS.values())] = True
    if record.conditions.empty:
        return
    for kind, rows in record.conditions.groupby("kind"):
        begin, severity = steps_from(start, rows["time"]), _numbers(rows, "severity")
        level = mean_level(begin, _lengths(rows), severity, len(values))
        values[:, CHANNEL[_CONDITIONS[kind]]] = level


def _logged(record: Record, log: str, start: pd.Timestamp, length: int) -> NDArray[np.bool_]:
    """(T,) whether a log was kept."""
    covered = np.zeros(length, dtype=bool)
    spans = record.logged
    if not spans.empty:
        here = spans["channel"].to_numpy(dtype=object) == log
        first, last = steps_from(start, spans["start"]), steps_from(start, spans["end"])
        cover(first[here], last[here] + 1, covered)
    return covered


def _numbers(rows: pd.DataFrame, name: str) -> Steps:
    numbers: Steps = rows[name].to_numpy(dtype=float)
    return numbers


def _lengths(rows: pd.DataFrame) -> Steps:
    return _numbers(rows, "duration_min") / STEP_MIN


def _columns(*names: str) -> list[int]:
    return [CHANNEL[name] for name in names]
