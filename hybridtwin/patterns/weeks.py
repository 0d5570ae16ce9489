"""Weeks: the last weeks of a record, arranged to look for patterns in."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybridtwin.glycemia.episodes import LOW_MG_DL, Episode, episodes
from hybridtwin.glycemia.trace import Floats, Index, Trace, to_trace
from hybridtwin.record import Record
from hybridtwin.timeline import BOLUS, CARBS, CHANNEL, LONG_ACTING, Timeline, to_timeline
from hybridtwin.units import STEP_MIN, steps

Flags = NDArray[np.bool_]
_STEP = pd.Timedelta(minutes=STEP_MIN)
TREATED_AFTER: Final = steps(20)
"""Until so long after its last low reading carbohydrate treats a low."""


@dataclass(frozen=True)
class Weeks:
    """What is known of a person's last weeks, each (T,) on the 5-minute grid.

    Attributes:
        record: Of whom.
        trace: Glucose, local clock and days.
        bolus_u: Boluses that the person gave; 0 where the log is silent or not kept.
        bolus_known: Whether boluses were logged.
        carbs_g: Carbohydrate.
        carbs_known: Whether meals were logged.
        insulin_u: All insulin, basal and automatic doses included.
        insulin_known: Whether all of it is known.
    """

    record: Record
    trace: Trace
    bolus_u: Floats
    bolus_known: Flags
    carbs_g: Floats
    carbs_known: Flags
    insulin_u: Floats
    insulin_known: Flags

    def __len__(self) -> int:
        return len(self.trace)

    @cached_property
    def known(self) -> Flags:
        """(T,) whether glucose is known."""
        return ~np.isnan(self.trace.mg_dl)

    @cached_property
    def lows(self) -> list[Episode]:
        """Lows of 15 minutes or longer."""
        with np.errstate(invalid="ignore"):
            return episodes(self.trace.mg_dl < LOW_MG_DL, self.known)

    @cached_property
    def meals_g(self) -> Floats:
        """(T,) carbohydrate that is not the treatment of a low."""
        treats = np.zeros(len(self), dtype=bool)
        for low in self.lows:
            treats[low.begin : low.end + TREATED_AFTER] = True
        return np.where(treats, 0.0, self.carbs_g)

    @cached_property
    def midnights(self) -> Index:
        """(D,) grid points at which local days begin, the first perhaps before the grid."""
        # A day's first point tells where its midnight was, whatever the clocks did later that day.
        first = np.searchsorted(self.trace.day, np.arange(int(self.trace.day[-1]) + 1))
        return np.asarray(first - self.trace.minute[first] // STEP_MIN)

    def is_known(self, flags: Flags, begin: int, end: int) -> bool:
        """Whether flags hold on all of [begin, end), none of which may lie outside."""
        return begin >= 0 and end <= len(self) and bool(flags[begin:end].all())

    def share_known(self, begin: int, end: int) -> float:
        """Share of [begin, end) for which glucose is known."""
        inside = self.known[max(begin, 0) : max(end, 0)]
        return float(inside.sum()) / max(end - begin, 1)


def to_weeks(record: Record, end: pd.Timestamp, days: int) -> Weeks:
    """The last days of a record before an instant.

    Raises:
        HistoryError: The record holds no glucose in them.
    """
    start = max(end - pd.Timedelta(days=days), record.glucose["time"].iloc[0])
    timeline = to_timeline(record, end=end - _STEP, start=start)
    carbs, carbs_known = _amounts(timeline, CARBS)
    insulin, insulin_known = _amounts(timeline, (*BOLUS, "basal_u", *LONG_ACTING))
    _, bolus_known = _amounts(timeline, BOLUS)
    return Weeks(
        record=record,
        trace=to_trace(timeline, record.profile.time_zone),
        bolus_u=_given(record, timeline),
        bolus_known=bolus_known,
        carbs_g=carbs,
        carbs_known=carbs_known,
        insulin_u=insulin,
        insulin_known=insulin_known,
    )


def _amounts(timeline: Timeline, names: tuple[str, ...]) -> tuple[Floats, Flags]:
    those = [CHANNEL[name] for name in names]
    values = timeline.values[:, those].double().sum(dim=1).numpy()
    return values, timeline.known[:, those].all(dim=1).numpy()


def _given(record: Record, timeline: Timeline) -> Floats:
    """(T,) boluses but those that a closed loop decided."""
    rows = record.insulin
    own = rows[(rows["purpose"] == "bolus") & ~rows["automatic"]]
    at = ((own["time"] - timeline.start) // _STEP).to_numpy()
    inside = (at >= 0) & (at < len(timeline))
    dose = own["dose_u"].to_numpy(dtype=float)
    return np.bincount(at[inside], dose[inside], minlength=len(timeline)).astype(float)
