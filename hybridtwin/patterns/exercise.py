"""What exercise does to a person's glucose, by its kind and the time of the day.

The change of glucose over a bout and some time after is compared with that over the same hours of
days without exercise, given where glucose was at the beginning. It is followed to its lowest point,
for what is eaten against a low is no part of what exercise does; of anaerobic exercise, which
raises glucose, to the end.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from hybridtwin.glycemia.trace import Floats, Index
from hybridtwin.patterns.chance import coefficient
from hybridtwin.patterns.pattern import Pattern, unknown
from hybridtwin.patterns.settings import ExerciseSettings, PatternSettings
from hybridtwin.patterns.weeks import Weeks
from hybridtwin.units import STEP_MIN, steps

KIND: Final = "exercise"
LEAST_BOUTS: Final = 5
_RAISES: Final = "anaerobic"
_STEP: Final = pd.Timedelta(minutes=STEP_MIN)


_LATELY: Final = steps(30)
_BEFORE: Final = steps(120)


@dataclass(frozen=True)
class _Bout:
    begin: int
    end: int


def exercise(weeks: Weeks, settings: PatternSettings) -> list[Pattern]:
    """One look for each kind of exercise and part of the day that it was done in."""
    bouts = _bouts(weeks, settings.exercise)
    if not bouts:
        return [unknown(KIND, "no exercise was logged")]
    everything = [bout for group in bouts.values() for bout in group]
    return [
        _responses(weeks, settings.exercise, part, group, everything)
        for part, group in sorted(bouts.items())
    ]


def _bouts(weeks: Weeks, settings: ExerciseSettings) -> dict[str, list[_Bout]]:
    """The bouts of exercise, by kind and part of the day."""
    rows = weeks.record.activity
    rows = rows[(rows["kind"].notna() | rows["intensity"].notna())]
    rows = rows[rows["duration_min"] >= settings.least_min]
    found = defaultdict(list)
    for row in rows.itertuples():
        kind = row.kind if isinstance(row.kind, str) else "aerobic"
        after_min = settings.after_min if kind == _RAISES else settings.lowest_after_min
        begin = round((row.time - weeks.trace.start) / _STEP)
        end = begin + steps(row.duration_min + after_min)
        if begin < 0 or end >= len(weeks):
            continue
        minute = weeks.trace.minute[begin]
        for part, (first, last) in settings.parts_of_day.items():
            if first <= minute < last:
                found[f"{kind}, {part}"].append(_Bout(begin, end))
    return found


def _responses(
    weeks: Weeks,
    settings: ExerciseSettings,
    part: str,
    bouts: list[_Bout],
    everything: list[_Bout],
) -> Pattern:
    glucose = weeks.trace.mg_dl
    spans = [(bout.begin, bout.end) for bout in bouts]
    others = _others(weeks, settings, bouts, everything)
    begin, end = np.array(spans + others).T
    exercised = np.arange(len(begin)) < len(spans)
    before = np.maximum(begin - _BEFORE, 0)
    predictors = np.column_stack(
        [
            exercised,
            np.ones(len(begin)),
            glucose[begin],
            glucose[begin] - glucose[np.maximum(begin - _LATELY, 0)],
            *(
                total[end] - total[before]
                for total in (_total(weeks.bolus_u), _total(weeks.meals_g))
            ),
        ]
    )
    reached = glucose[end] if part.startswith(_RAISES) else _lowest(glucose, begin, end)
    # Insulin takes a share of what is there, so that changes are alike as shares.
    change = np.log(reached / glucose[begin])
    known = ~(np.isnan(predictors).any(axis=1) | np.isnan(change))
    predictors, change, reached, begin, exercised = (
        each[known] for each in (predictors, change, reached, begin, exercised)
    )
    if exercised.sum() < LEAST_BOUTS or (~exercised).sum() < LEAST_BOUTS:
        reason = (
            f"{exercised.sum()} bouts and {(~exercised).sum()} other days have glucose known; "
            f"{LEAST_BOUTS} of each are needed"
        )
        return unknown(KIND, reason, part)
    share, interval, chance = coefficient(predictors, change, 0)
    size, low, high = (
        float(reached[exercised].mean() * (1 - np.exp(-each))) for each in (share, *interval)
    )
    return Pattern(
        kind=KIND,
        part=part,
        count=int(exercised.sum()),
        looked_at=int(exercised.sum()),
        counted="bouts",
        times=tuple(weeks.trace.time(int(point)) for point in begin[exercised]),
        size=size,
        size_low=low,
        size_high=high,
        unit="mg/dL",
        against=float(np.copysign(settings.change_mg_dl, size)),
        chance=chance if abs(size) > settings.change_mg_dl else 1.0,
    )


def _lowest(glucose: Floats, begin: Index, end: Index) -> Floats:
    """(n,) least glucose from each beginning to its end; NaN where the end is not known."""
    spans = zip(begin.tolist(), end.tolist(), strict=True)
    lowest = [np.fmin.reduce(glucose[first : last + 1]) for first, last in spans]
    return np.where(np.isnan(glucose[end]), np.nan, lowest)


def _total(amounts: Floats) -> Floats:
    """(T + 1,) how much was taken before each grid point."""
    return np.concatenate([[0.0], np.cumsum(amounts)])


def _others(
    weeks: Weeks, settings: ExerciseSettings, bouts: list[_Bout], everything: list[_Bout]
) -> list[tuple[int, int]]:
    """The hours of these bouts, as they are in the middle, on the days without exercise."""
    clock = int(np.median([weeks.trace.minute[bout.begin] for bout in bouts])) // STEP_MIN
    length = int(np.median([bout.end - bout.begin for bout in bouts]))
    apart = steps(60 * settings.free_hours)
    found = []
    for midnight in weeks.midnights.tolist():
        begin, end = midnight + clock, midnight + clock + length
        free = all(end + apart < bout.begin or bout.end + apart < begin for bout in everything)
        if begin >= 0 and end < len(weeks) and free:
            found.append((begin, end))
    return found
