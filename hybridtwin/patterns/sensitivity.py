"""Insulin sensitivity that falls or rises over the last days, as in an infection.

Insulin given and the glucose that remains are set against each other day by day: what a day's
insulin leaves is about as much higher as it does less, so the logarithm of (insulin x mean glucose)
falls where sensitivity rises, and what the day's logged carbohydrate explains of it is taken off.
Carbohydrate against lows undoes insulin: as much as is bolused for so much at meals counts as not
given, or the treatment of the lows that rising sensitivity brings would hide it.
The last days are compared with those before, for every day on which the change may have begun;
how much of a difference chance makes shows where days are shuffled. Where one day is like the next,
the difference counts for less.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hybridtwin.glycemia.trace import DAY_STEPS, Floats, Index
from hybridtwin.patterns.pattern import Pattern, unknown
from hybridtwin.patterns.settings import PatternSettings, SensitivitySettings
from hybridtwin.patterns.weeks import Flags, Weeks

FALLING: Final = "falling sensitivity"
RISING: Final = "rising sensitivity"
_MOST_ALIKE: Final = 0.8
_SEED: Final = 7
_LEAST_LEFT: Final = 0.3
"""Of a day's insulin, however much was eaten against lows."""


def sensitivity(weeks: Weeks, settings: PatternSettings) -> list[Pattern]:
    """One look for each direction."""
    by = settings.sensitivity
    index, known = _by_day(weeks, settings)
    longest, least = by.lately_days[1], by.least_before_days
    if known[:-longest].sum() < least or known[-by.lately_days[0] :].sum() < by.lately_days[0]:
        reason = "insulin and glucose are known on too few whole days"
        return [unknown(kind, reason) for kind in (FALLING, RISING)]
    days = np.flatnonzero(known)
    values = index[days]
    first = np.searchsorted(days, len(known) - np.arange(by.lately_days[0], longest + 1))
    found = _scan(values[None], first)[0] / _persistence(values[: first[-1]])
    shuffled = _scan(values[_shuffles(len(values), by)], first)
    patterns = []
    for kind, sign in ((FALLING, 1.0), (RISING, -1.0)):
        best = int(np.argmax(sign * found))
        chance = (1 + (np.max(sign * shuffled, axis=1) >= sign * found[best]).sum()) / (
            1 + len(shuffled)
        )
        begun = first[best]
        change, reach = _change(values, begun)
        effects = [float(np.exp(-value) - 1) for value in (change, change + reach, change - reach)]
        enough = -sign * effects[0] > by.change
        since = weeks.trace.time(max(int(weeks.midnights[days[begun]]), 0))
        patterns.append(
            Pattern(
                kind=kind,
                count=len(values) - int(begun),
                looked_at=len(values),
                counted="days",
                since=since,
                times=(since,),
                size=100 * effects[0],
                size_low=100 * effects[1],
                size_high=100 * effects[2],
                unit="% of insulin's effect",
                against=-sign * 100 * by.change,
                chance=float(chance) if enough else 1.0,
            )
        )
    return patterns


def _by_day(weeks: Weeks, settings: PatternSettings) -> tuple[Floats, Flags]:
    """(D,) the index of every day of 24 hours up to the end, and whether it is known."""
    count = len(weeks) // DAY_STEPS

    def days(values: NDArray[Any]) -> NDArray[Any]:
        return values[len(values) - count * DAY_STEPS :].reshape(count, DAY_STEPS)

    glucose = days(weeks.trace.mg_dl)
    meals_g, treatment_g = weeks.meals_g, weeks.carbs_g - weeks.meals_g
    given = days(weeks.insulin_u).sum(axis=1)
    undone = weeks.bolus_u.sum() / max(meals_g.sum(), 1.0) * days(treatment_g).sum(axis=1)
    insulin = np.maximum(given - undone, _LEAST_LEFT * given)
    worn = (~np.isnan(glucose)).mean(axis=1) >= settings.least_known
    known = worn & days(weeks.insulin_known).all(axis=1) & (insulin > 0)
    index = np.full(count, np.nan)
    index[known] = np.log(insulin[known] * np.nanmean(glucose[known], axis=1))
    logged = known & days(weeks.carbs_known).all(axis=1)
    if logged.sum() >= 2 * settings.least_times:
        carbs = np.log1p(days(meals_g).sum(axis=1))
        from_mean = carbs[logged] - carbs[logged].mean()
        spread = (from_mean**2).sum()
        slope = (from_mean * index[logged]).sum() / spread if spread > 0 else 0.0
        index[logged] -= max(slope, 0.0) * from_mean
    return index, known


def _scan(values: Floats, first: Index) -> Floats:
    """(N, F) how far days from each first one lie from those before, in standard errors.

    Args:
        values: (N, D) several orders of the days.
        first: (F,) where lately begins.
    """
    count = values.shape[1]
    total = np.cumsum(values, axis=1)[:, first - 1]
    square = np.cumsum(values**2, axis=1)[:, first - 1]
    everything, squares = values.sum(axis=1, keepdims=True), (values**2).sum(axis=1, keepdims=True)
    before, lately = total / first, (everything - total) / (count - first)
    within = square - first * before**2 + (squares - square) - (count - first) * lately**2
    error = np.sqrt(np.maximum(within, 1e-12) / (count - 2) * (1 / first + 1 / (count - first)))
    found: Floats = (lately - before) / error
    return found


def _shuffles(days: int, by: SensitivitySettings) -> Index:
    """(N, D) orders of days."""
    rng = np.random.default_rng(_SEED)
    return rng.permuted(np.tile(np.arange(days), (by.shuffles, 1)), axis=1)


def _persistence(values: Floats) -> float:
    """By how much neighbouring days that are alike widen the error of their mean.

    The square root of (1 + r) / (1 - r), of the correlation r from one day to the next: Bartlett
    1946, J R Stat Soc Suppl 8:27.
    """
    off = values - values.mean()
    spread = float((off**2).sum())
    r = float((off[1:] * off[:-1]).sum()) / spread if spread > 0 else 0.0
    r = min(max(r, 0.0), _MOST_ALIKE)
    return float(np.sqrt((1 + r) / (1 - r)))


def _change(values: Floats, begun: int) -> tuple[float, float]:
    """Lately's mean less that of before, and the reach of its 95 % interval."""
    lately, before = values[begun:], values[:begun]
    error = np.sqrt(before.var(ddof=1) * (1 / len(lately) + 1 / len(before)))
    return float(lately.mean() - before.mean()), 1.96 * float(error)
