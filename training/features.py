"""What the peers read of a window: its history as a flat table of features.

Glucose is read up to and including the anchor. Doses and meals of a grid point are taken after its
instant, and activity is measured after it, so of those only what lies before the anchor is read.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.timeline import BOLUS, CARBS, CHANNEL, LONG_ACTING, Timeline
from hybridtwin.units import STEP_MIN, steps
from training.windows import Windows

Floats = NDArray[np.floating[Any]]
Index = NDArray[np.int64]

HISTORY_MIN: Final = 360
BINS_MIN: Final = {"bolus_u": 15, "carbs_g": 15, "basal_u": 30, "long_acting_u": 360}
ACTS_MIN: Final = {
    "bolus_u": (20, 45, 90, 180),
    "basal_u": (45, 180),
    "carbs_g": (20, 45, 90, 180),
    "long_acting_u": (720,),
    "fat_g": (180,),
    "protein_g": (180,),
    "steps": (15, 60, 360),
}
"""Time constants over which an amount fades from what is still acting, in minutes."""
# Peers read as one what a timeline keeps apart by how fast it acts.
_TOTALS: Final = {"bolus_u": BOLUS, "long_acting_u": LONG_ACTING, "carbs_g": CARBS}
# Usual value and spread, per step, of what recurrent models read.
_SIZES: Final = {
    "bolus_u": (0.0, 2.0),
    "basal_u": (0.0, 0.1),
    "long_acting_u": (0.0, 10.0),
    "carbs_g": (0.0, 20.0),
    "heart_rate_bpm": (75.0, 15.0),
    "steps": (0.0, 200.0),
}
_LAGS = np.arange(steps(HISTORY_MIN) + 1)
_SPARSE_LAGS = np.array([0, 1, 2, 3, 4, 5, 6, 9, 12, 18, 24, 36, 48, 60, 72])
_SPANS_MIN = (60, 180, HISTORY_MIN, MINUTES_PER_DAY)


@dataclass(frozen=True)
class _History:
    """A timeline's channels, and totals of them, as arrays to be read at any grid point."""

    glucose: Floats
    reading: Floats
    values: dict[str, Floats]
    known: dict[str, Floats]
    minute_of_day: Floats


def _history(timeline: Timeline) -> _History:
    reading = timeline.original.numpy()
    at = np.flatnonzero(reading)
    values = timeline.values.double().numpy()
    known = timeline.known.double().numpy()
    columns = {name: [column] for name, column in CHANNEL.items()}
    columns |= {total: [CHANNEL[name] for name in names] for total, names in _TOTALS.items()}
    return _History(
        # An anchor is a reading, so what is interpolated before it knows nothing behind it.
        glucose=np.interp(np.arange(len(reading)), at, values[at, CHANNEL["glucose_mg_dl"]]),
        reading=reading.astype(float),
        values={name: values[:, those].sum(axis=1) for name, those in columns.items()},
        known={name: known[:, those].min(axis=1) for name, those in columns.items()},
        minute_of_day=timeline.minute_of_day.double().numpy(),
    )


def linear_features(windows: Windows) -> Floats:
    """(W, F) glucose at every lag, binned doses and meals, masks and the clock; no gaps.

    An amount that is not known is 0 here; how much of its history is known stands beside it.
    """
    return _table(windows, _linear)


def tree_features(windows: Windows) -> Floats:
    """(W, F) sparser lags, trends, doses and meals still acting, times since them; NaN for gaps."""
    return _table(windows, _trees)


def sequence(timeline: Timeline) -> Floats:
    """(T, F) what a recurrent model reads at each grid point, about 1 in size; no gaps.

    Glucose is of the point itself, doses, meals and heart rate are of the step that ends there.
    What is not known is 0, with a mask beside it.
    """
    history = _history(timeline)
    points = np.arange(len(timeline))
    day = _mean_before(history.glucose, points + 1, MINUTES_PER_DAY)
    columns = [(history.glucose - 140) / 60, history.reading, (day - 140) / 60]
    columns += _clock(history, points)
    for name, (usual, size) in _SIZES.items():
        known = history.known[name]
        ended = known * (history.values[name] - usual) / size
        columns += [np.concatenate([[0.0], each[:-1]]) for each in (ended, known)]
    return np.column_stack(columns).astype(np.float32)


def _table(windows: Windows, build: Callable[[_History, Index], list[Floats]]) -> Floats:
    parts, order = [], []
    for person, timeline in enumerate(windows.timelines):
        rows = windows.of(person)
        if not len(rows):
            continue
        columns = build(_history(timeline), windows.anchor[rows].numpy())
        parts.append(np.column_stack(columns).astype(np.float32))
        order.append(rows.numpy())
    table = np.empty_like(np.concatenate(parts))
    table[np.concatenate(order)] = np.concatenate(parts)
    return table


def _linear(history: _History, anchor: Index) -> list[Floats]:
    columns = [history.glucose[anchor[:, None] - _LAGS], *_clock(history, anchor)]
    columns += [_mean_before(history.reading, anchor + 1, span) for span in (30, HISTORY_MIN)]
    for name, width in BINS_MIN.items():
        columns += _bins(history.values[name], anchor, width)
        columns.append(_mean_before(history.known[name], anchor, HISTORY_MIN))
    return columns


def _trees(history: _History, anchor: Index) -> list[Floats]:
    glucose = history.glucose
    now = glucose[anchor]
    columns: list[Floats] = [now, *_clock(history, anchor)]
    columns += [now - glucose[anchor - lag] for lag in _SPARSE_LAGS[1:]]
    columns += [_slope(glucose, anchor, minutes) for minutes in (15, 30, 60)]
    columns.append(now - 2 * glucose[anchor - 3] + glucose[anchor - 6])
    columns.append(_mean_before(history.reading, anchor + 1, HISTORY_MIN))
    for span in _SPANS_MIN:
        mean = _mean_before(glucose, anchor + 1, span)
        square = _mean_before(glucose**2, anchor + 1, span)
        columns += [mean, np.sqrt(np.maximum(square - mean**2, 0))]
    for name, decays in ACTS_MIN.items():
        columns += [
            _where_known(history, name, _acting(history.values[name], anchor, decay), anchor)
            for decay in decays
        ]
    for name in ("bolus_u", "carbs_g"):
        recent = _recent(history.values[name], anchor)
        columns += [_where_known(history, name, total, anchor) for total in recent]
        columns += _last_event(history.values[name], anchor)
    columns += [
        _mean_known(history, "heart_rate_bpm", anchor, span) for span in (15, 60, HISTORY_MIN)
    ]
    columns += [_mean_known(history, "basal_u", anchor, span) for span in (30, 120, HISTORY_MIN)]
    return columns


def _recent(values: Floats, anchor: Index) -> list[Floats]:
    """Totals of the last 10, 30, 60 and 120 minutes."""
    return [_sum_before(values, anchor, span) for span in (10, 30, 60, 120)]


def _clock(history: _History, anchor: Index) -> list[Floats]:
    turn = 2 * np.pi * history.minute_of_day[anchor] / MINUTES_PER_DAY
    return [np.sin(turn), np.cos(turn), np.sin(2 * turn), np.cos(2 * turn)]


def _sum_before(values: Floats, end: Index, span_min: float) -> Floats:
    """Sum over the `span_min` before each `end`, as far as the timeline reaches."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    return np.asarray(total[end] - total[np.maximum(end - steps(span_min), 0)])


def _mean_before(values: Floats, end: Index, span_min: float) -> Floats:
    return np.asarray(_sum_before(values, end, span_min) / np.minimum(end, steps(span_min)))


def _mean_known(history: _History, name: str, end: Index, span_min: float) -> Floats:
    total = _sum_before(history.values[name], end, span_min)
    count = _sum_before(history.known[name], end, span_min)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0.5)


def _bins(values: Floats, end: Index, width_min: int) -> list[Floats]:
    """Amounts in bins of `width_min` over the history, latest first."""
    starts = range(0, steps(HISTORY_MIN), steps(width_min))
    return [_sum_before(values, end - start, width_min) for start in starts]


def _acting(values: Floats, anchor: Index, decay_min: float) -> Floats:
    """Amounts before the anchor, each faded exponentially since it was taken."""
    kept = np.exp(-STEP_MIN / decay_min)
    return np.asarray(lfilter([1.0], [1.0, -kept], values)[anchor - 1])


def _where_known(history: _History, name: str, values: Floats, anchor: Index) -> Floats:
    known = _sum_before(history.known[name], anchor, HISTORY_MIN) > 0.5
    return np.where(known, values, np.nan)


def _last_event(values: Floats, anchor: Index) -> list[Floats]:
    """Minutes since the last amount before the anchor, and its size; NaN where there is none."""
    points = np.arange(len(values))
    last = np.maximum.accumulate(np.where(values > 0, points, -1))[anchor - 1]
    some = last >= 0
    since = np.where(some, (anchor - last) * STEP_MIN, np.nan)
    return [np.minimum(since, MINUTES_PER_DAY), np.where(some, values[last], np.nan)]


def _slope(glucose: Floats, anchor: Index, minutes: int) -> Floats:
    """Least-squares slope over the last minutes, in mg/dL per minute."""
    lags = np.arange(steps(minutes) + 1)
    time = -lags * STEP_MIN + minutes / 2
    return np.asarray(glucose[anchor[:, None] - lags] @ time / (time @ time))
