"""Late and missed boluses, meal by meal.

Whoever misses a bolus often corrects the high within the hour, so that the two cannot be told apart
for certain: they are counted together, and each by itself among the details. A meal is carbohydrate
that was logged, or a rise that only carbohydrate can make; one that nobody logged and that did not
raise glucose is not seen. Where boluses were not logged, nothing is said. Boluses that a closed
loop decided are not the person's.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from hybridtwin.glycemia.episodes import LOW_MG_DL
from hybridtwin.patterns.chance import at_least, share_interval
from hybridtwin.patterns.pattern import Pattern, unknown
from hybridtwin.patterns.settings import BolusSettings, PatternSettings
from hybridtwin.patterns.weeks import Weeks
from hybridtwin.units import steps

KIND: Final = "late or missed boluses"
_LOW_BEFORE: Final = steps(30)
_ONSET_MG_DL: Final = 15.0


@dataclass(frozen=True)
class _Meal:
    """A meal, and what became of its bolus."""

    point: int
    bolus: Literal["in time", "late", "missed"]


def boluses(weeks: Weeks, settings: PatternSettings) -> list[Pattern]:
    """One look for each meal of the day."""
    return [
        _of_meal(weeks, settings, part, between) for part, between in settings.boluses.meals.items()
    ]


def _of_meal(
    weeks: Weeks, settings: PatternSettings, part: str, between: tuple[int, int]
) -> Pattern:
    found = [_meal(weeks, settings.boluses, at, between) for at in weeks.midnights.tolist()]
    meals = [meal for meal in found if meal is not None]
    if len(meals) < settings.least_times:
        reason = f"only {len(meals)} such meals are seen while boluses were logged"
        return unknown(KIND, reason, part)
    bad = [meal for meal in meals if meal.bolus != "in time"]
    low, high = share_interval(len(bad), len(meals))
    return Pattern(
        kind=KIND,
        part=part,
        count=len(bad),
        looked_at=len(meals),
        counted="meals",
        times=tuple(weeks.trace.time(meal.point) for meal in bad),
        size=len(bad) / len(meals),
        size_low=low,
        size_high=high,
        unit="of meals",
        against=settings.boluses.tolerated,
        details=dict(Counter(meal.bolus for meal in bad)),
        chance=at_least(len(bad), len(meals), settings.boluses.tolerated),
    )


def _meal(
    weeks: Weeks, settings: BolusSettings, midnight: int, between: tuple[int, int]
) -> _Meal | None:
    """The first meal of a part of a day; None where none is seen, or its boluses not logged."""
    begin, end = (midnight + steps(minute) for minute in between)
    before, after = steps(settings.before_min), steps(settings.missed_after_min)
    if not weeks.is_known(weeks.bolus_known, begin - before, end + after):
        return None
    starts = [
        start
        for start in (_logged(weeks, settings, begin, end), _risen(weeks, settings, begin, end))
        if start is not None
    ]
    if not starts:
        return None
    start = min(starts)
    given = np.flatnonzero(weeks.bolus_u[start - before : start + after]) - before
    if not len(given):
        return _Meal(start, "missed")
    late = given[0] >= steps(settings.late_after_min)
    return _Meal(start, "late" if late else "in time")


def _logged(weeks: Weeks, settings: BolusSettings, begin: int, end: int) -> int | None:
    """The first logged meal that does not treat a low."""
    for point in begin + np.flatnonzero(weeks.carbs_g[begin:end] >= settings.least_meal_g):
        if not _low_before(weeks, int(point)):
            return int(point)
    return None


def _risen(weeks: Weeks, settings: BolusSettings, begin: int, end: int) -> int | None:
    """Where the first steep rise begins, if one does."""
    reach = steps(settings.rise_within_min)
    glucose = weeks.trace.mg_dl[begin : end + reach]
    if len(glucose) <= reach:
        return None
    rise = glucose[reach:] - glucose[:-reach]
    with np.errstate(invalid="ignore"):
        steep = np.flatnonzero(rise >= settings.rise_mg_dl)
    for at in steep:
        span = glucose[at : at + reach + 1]
        lowest = int(at + np.nanargmin(span))
        risen = np.flatnonzero(glucose[lowest:] >= glucose[lowest] + _ONSET_MG_DL)
        start = begin + lowest + (int(risen[0]) if len(risen) else 0)
        return None if _low_before(weeks, start) else start
    return None


def _low_before(weeks: Weeks, point: int) -> bool:
    glucose = weeks.trace.mg_dl[max(point - _LOW_BEFORE, 0) : point + 1]
    with np.errstate(invalid="ignore"):
        return bool((glucose < LOW_MG_DL).any())
