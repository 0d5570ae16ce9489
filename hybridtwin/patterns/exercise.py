"""What exercise does to a person's glucose, by its kind and the time of the day.

The change of glucose over a bout and some time after is set against what was to be expected of it:
of where glucose stood and how it went, of the insulin that acted and the food that arrived
meanwhile, and of the hour, as the person's whole time without exercise tells. What is left over is
compared with what is left at the same hour of the other days. Glucose is followed to its lowest
point, for what is eaten against a low is no part of what exercise does; of anaerobic exercise,
which raises glucose, to the end.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.glycemia.trace import Floats, Index
from hybridtwin.patterns.chance import difference
from hybridtwin.patterns.pattern import Pattern, unknown
from hybridtwin.patterns.settings import ExerciseSettings, PatternSettings
from hybridtwin.patterns.weeks import Weeks
from hybridtwin.units import STEP_MIN, steps

KIND: Final = "exercise"
LEAST_BOUTS: Final = 5
_RAISES: Final = "anaerobic"
_STEP: Final = pd.Timedelta(minutes=STEP_MIN)
_LATELY: Final = steps(30)
_EVERY: Final = steps(30)
_LASTS: Final = steps(600)
_INSULIN_PEAK_MIN: Final = 50.0
_FOOD_PEAKS_MIN: Final = (20.0, 60.0)
"""Fast and slow; how much of each is the person's own."""


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
        begin = round((row.time - weeks.trace.start) / _STEP)
        end = begin + steps(row.duration_min + settings.after_min)
        if begin < _LATELY or end >= len(weeks):
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
    begin, end = np.array(spans + _others(weeks, settings, bouts, everything)).T
    minute, day = weeks.trace.minute[begin], weeks.trace.day[begin]
    until = end if part.startswith(_RAISES) else _lowest(glucose, begin, end)
    predictors = _predictors(weeks, begin, until)
    # Insulin takes a share of what is there, so that changes are alike as shares.
    change = np.log(glucose[until] / glucose[begin])
    known = ~(np.isnan(predictors).any(axis=1) | np.isnan(change) | np.isnan(glucose[end]))
    bout = np.arange(len(begin)) < len(spans)
    exercised, free = known & bout, known & ~bout
    near = free & (np.abs(minute - np.median(minute[bout])) <= settings.near_min)
    days = len(np.unique(day[near]))
    if min(exercised.sum(), days) < LEAST_BOUTS:
        reason = (
            f"{exercised.sum()} bouts and {days} other days have glucose known; "
            f"{LEAST_BOUTS} of each are needed"
        )
        return unknown(KIND, reason, part)
    slopes = np.linalg.lstsq(predictors[free], change[free])[0]
    left = change - predictors @ slopes
    # What is left lasts for hours: a day tells once.
    usual = pd.Series(left[near]).groupby(day[near]).mean().to_numpy()
    share, interval, chance = difference(left[exercised], usual)
    reached = float(glucose[until[exercised]].mean())
    size, low, high = (reached * (1 - float(np.exp(-each))) for each in (share, *interval))
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


def _predictors(weeks: Weeks, begin: Index, end: Index) -> Floats:
    """(n, F) what tells how glucose changes from each beginning to its end, exercise apart."""
    glucose = weeks.trace.mg_dl
    angle = 2 * np.pi * weeks.trace.minute[begin] / MINUTES_PER_DAY
    acting = [
        _acting(weeks.bolus_u, _INSULIN_PEAK_MIN),
        *(_acting(weeks.carbs_g, peak_min) for peak_min in _FOOD_PEAKS_MIN),
    ]
    return np.column_stack(
        [
            np.ones(len(begin)),
            np.log(glucose[begin]),
            np.log(glucose[begin] / glucose[begin - _LATELY]),
            *(total[end] - total[begin] for total in acting),
            *(wave(times * angle) for times in (1, 2) for wave in (np.sin, np.cos)),
        ]
    )


def _acting(amounts: Floats, peak_min: float) -> Floats:
    """(T + 1,) how much of what was taken has acted before each grid point.

    Two compartments in a row, with the same time constant, of which the second acts.
    """
    since = STEP_MIN * (np.arange(_LASTS) + 0.5) / peak_min
    share = since * np.exp(-since)
    acting = np.convolve(amounts, share / share.sum())[: len(amounts)]
    return np.concatenate([[0.0], np.cumsum(acting)])


def _lowest(glucose: Floats, begin: Index, end: Index) -> Index:
    """(n,) where glucose is least from each beginning to its end."""
    whole = np.where(np.isnan(glucose), np.inf, glucose)
    spans = zip(begin.tolist(), end.tolist(), strict=True)
    return np.array([first + np.argmin(whole[first : last + 1]) for first, last in spans])


def _others(
    weeks: Weeks, settings: ExerciseSettings, bouts: list[_Bout], everything: list[_Bout]
) -> list[tuple[int, int]]:
    """Spans as long as these bouts are in the middle, at all hours without exercise."""
    length = int(np.median([bout.end - bout.begin for bout in bouts]))
    begin = np.arange(_LATELY, len(weeks) - length, _EVERY)
    apart = steps(60 * settings.free_hours)
    free = np.ones(len(begin), dtype=bool)
    for bout in everything:
        free &= (begin + length + apart < bout.begin) | (bout.end + apart < begin)
    return [(first, first + length) for first in begin[free].tolist()]
