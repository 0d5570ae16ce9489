"""Doubt: which readings of a record a fault has probably falsified, as known at its last one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybridtwin.errors import HistoryError
from hybridtwin.record import Record
from hybridtwin.sensor_faults.gain import fault_told, gain_of, off_at
from hybridtwin.sensor_faults.modes import Array
from hybridtwin.sensor_faults.settings import FaultSettings
from hybridtwin.sensor_faults.watch import Stream, watch
from hybridtwin.timeline import BOLUS, CARBS, CHANNEL, Timeline, to_timeline
from hybridtwin.trust import TrustNote, check_history
from hybridtwin.units import STEP_MIN

WATCHED_HOURS: Final = 6
"""Of a record, before its last reading: a fault is told by what went just before."""
ONSET_STEPS: Final = 2
"""A compression is told so many readings late: those are doubtful, too."""
_STEP: Final = pd.Timedelta(minutes=STEP_MIN)


@dataclass(frozen=True)
class Doubt:
    """What is suspected of a record's last reading.

    Attributes:
        compression: Probability that something presses on the sensor.
        jump: Probability that its level is off since it jumped.
        off: Probability that its level is off, by the fingersticks so far; NaN without one in
            the last day.
        gain: By which factor it reads blood glucose, by the same; 1 without any.
        doubtful: (n,) which of the record's n readings are probably falsified by pressure.
    """

    compression: float
    jump: float
    off: float
    gain: float
    doubtful: NDArray[np.bool_]


def stream_of(timelines: Sequence[Timeline]) -> Stream:
    """Timelines as they would have arrived side by side; shorter ones fall silent at their end."""
    length = max(len(each) for each in timelines)

    def rows(values: Sequence[Array], after: float) -> Array:
        return np.stack(
            [np.pad(each, (0, length - len(each)), constant_values=after) for each in values]
        )

    def total(names: Sequence[str]) -> Array:
        columns = [CHANNEL[name] for name in names]
        return rows([each.values[:, columns].sum(1).double().numpy() for each in timelines], 0)

    glucose = [
        np.where(each.original, each.values[:, CHANNEL["glucose_mg_dl"]].double(), np.nan)
        for each in timelines
    ]
    minute = rows([each.minute_of_day.double().numpy() for each in timelines], 0)
    return Stream(rows(glucose, np.nan), total(BOLUS), total(CARBS), minute.astype(np.int64))


def doubtful(compression: Array, settings: FaultSettings) -> NDArray[np.bool_]:
    """(..., T) steps whose readings are probably falsified by pressure, as known at the last one.

    Args:
        compression: (..., T) its probability at each step, as known then.
        settings: From which probability.
    """
    told = compression >= settings.compression.told_at
    return told | told_soon(told)


def told_soon(told: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(..., T) steps soon after which a compression is told (..., T), so that it had begun."""
    soon = np.zeros_like(told)
    for steps in range(1, ONSET_STEPS + 1):
        soon[..., :-steps] |= told[..., steps:]
    return soon


def doubt(record: Record, settings: FaultSettings) -> Doubt:
    """What is suspected of a record's last readings.

    Args:
        record: With one reading or more; its last hours are looked at.
        settings: What is held likely.
    """
    times = record.glucose["time"]
    stuck, known = gain_of(record, settings.gain)
    off = off_at(pd.DatetimeIndex(times[-1:]), stuck, known.off)
    factor = math.exp(known.log[-1]) if len(stuck) else 1.0
    begin = times.iloc[-1].floor(_STEP) - pd.Timedelta(hours=WATCHED_HOURS)
    timeline = to_timeline(record.since(begin), start=begin)
    found, _ = watch(stream_of([timeline]), settings)
    told = doubtful(found.compression[0], settings)
    at = ((times - begin) / _STEP).round().astype(int).to_numpy()
    recent = at >= 0
    mask = np.zeros(len(times), dtype=bool)
    mask[recent] = told[at[recent]]
    pressed, jumped = (float(each[0, -1]) for each in (found.compression, found.jump))
    return Doubt(pressed, jumped, float(off[0]), factor, mask)


def told(record: Record, settings: FaultSettings) -> NDArray[np.bool_]:
    """(n,) at which of a record's n readings a fault was told, as each of them arrived.

    Args:
        record: With one reading or more.
        settings: What is held likely, and from which probabilities on a fault is told.
    """
    timeline = to_timeline(record)
    found, _ = watch(stream_of([timeline]), settings)
    at = ((record.glucose["time"] - timeline.start) / _STEP).round().astype(int).to_numpy()
    stuck, known = gain_of(record, settings.gain)
    off = off_at(pd.DatetimeIndex(record.glucose["time"]), stuck, known.off)
    return fault_told(found.compression[0, at], found.jump[0, at], off, settings)


def trusted(record: Record, found: Doubt, now: pd.Timestamp) -> Record:
    """What is believed of a record: readings in doubt are unknown. The record itself keeps them.

    Where the others cannot carry a forecast, because too few or too old, it is the record itself.
    """
    if not found.doubtful.any():
        return record
    part = replace(record, glucose=record.glucose[~found.doubtful].reset_index(drop=True))
    try:
        check_history(part, now)
    except HistoryError:
        return record
    return part


def said(found: Doubt, settings: FaultSettings, left_out: bool) -> list[TrustNote]:
    """What is suspected, in sentences; nothing below the probabilities from which it is told.

    Args:
        found: What is suspected.
        settings: From which probabilities on it is told.
        left_out: Whether readings in doubt are unknown to the forecast.
    """
    notes = []
    count = int(found.doubtful.sum())
    if found.compression >= settings.compression.told_at:
        then = (
            "they are left out, and the forecast leans on insulin, meals and what went before."
            if left_out
            else "they are used all the same, since others are too few or too old."
        )
        text = (
            f"Something probably presses on the sensor ({100 * found.compression:.0f} %): "
            f"{count} readings are in doubt; {then} Check with a fingerstick."
        )
        notes.append(TrustNote(kind="fault", text=text))
    elif count and left_out:
        text = f"{count} readings of the last hours are left out: something pressed on the sensor."
        notes.append(TrustNote(kind="fault", text=text))
    if math.isnan(found.off) and found.jump >= settings.jump.told_at:
        text = (
            f"The sensor's level has probably jumped ({100 * found.jump:.0f} %): it may be off. "
            "Check with a fingerstick."
        )
        notes.append(TrustNote(kind="fault", text=text))
    if found.off >= settings.gain.told_at:
        way = "high" if found.gain > 1 else "low"
        text = (
            f"By fingersticks, the sensor reads about {100 * abs(found.gain - 1):.0f} % too {way} "
            f"({100 * found.off:.0f} %). Calibrate or change it."
        )
        notes.append(TrustNote(kind="fault", text=text))
    return notes
