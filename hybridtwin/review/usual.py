"""What is usual for one person at this time of day, from the fortnight before."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hybridtwin.climatology import CLIMATOLOGY_DAYS, amounts, joined
from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.inputs import exertion_of
from hybridtwin.timeline import BOLUS, CARBS, Timeline
from hybridtwin.units import steps

DAY: Final = steps(MINUTES_PER_DAY)
SOON: Final = steps(90)
_AROUND: Final = steps(30)
_MEAL_LEAST_G: Final = 10.0
_BOLUS_BEFORE, _BOLUS_AFTER = steps(30), steps(45)
_LEAST_MEALS: Final = 5

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Usual:
    """What is usual for a person in the day before a moment and soon after it, by the clock.

    A row is a day before on which all was logged, a column a step of `DAY + SOON`.

    Attributes:
        level_mg_dl: Glucose at the moment's clock time; None where not known.
        carbs_g: (D, L) carbohydrate per step.
        bolus_u: (E, L) rapid insulin per step.
        bolus_u_g: Rapid insulin per gram of a meal, its median; None where it cannot be told.
        exertion: (L,) mean, 0 to 1; 0 where nothing is known.
    """

    level_mg_dl: float | None
    carbs_g: Floats
    bolus_u: Floats
    bolus_u_g: float | None
    exertion: Floats


def usual(timeline: Timeline) -> Usual:
    """What is usual, seen from the last grid point of a timeline."""
    carbs, bolus = (amounts(timeline, names) for names in (CARBS, BOLUS))
    return Usual(
        level_mg_dl=_level(timeline),
        carbs_g=_logged(_days(carbs, DAY, SOON)),
        bolus_u=_logged(_days(bolus, DAY, SOON)),
        bolus_u_g=_per_gram(carbs, bolus),
        exertion=_mean(_days(exerted(timeline), DAY, SOON)),
    )


def exerted(timeline: Timeline, when: slice = slice(None)) -> Floats:
    """(T,) aerobic exertion, 0 to 1, 0 where nothing is known; of the points asked for."""
    return np.asarray(exertion_of(timeline.values[when], timeline.known[when]).double())


def _days(series: Floats, before: int, after: int) -> Floats:
    """(days, before + after) around the last point's clock time on the days before."""
    back = DAY * np.arange(1, CLIMATOLOGY_DAYS + 1)
    at = len(series) - 1 - back[:, None] + np.arange(-before, after)
    return np.where(at >= 0, series[np.maximum(at, 0)], np.nan)


def _logged(days: Floats) -> Floats:
    known: Floats = days[~np.isnan(days).any(1)]
    return known


def _mean(days: Floats) -> Floats:
    """(L,) mean of what is known of days (D, L); 0 where nothing is."""
    known = ~np.isnan(days)
    mean: Floats = np.where(known, days, 0).sum(0) / np.maximum(known.sum(0), 1)
    return mean


def _level(timeline: Timeline) -> float | None:
    around = _days(joined(timeline), _AROUND, _AROUND + 1)
    return None if np.isnan(around).all() else float(np.nanmean(around))


def _per_gram(carbs: Floats, bolus: Floats) -> float | None:
    """Of meals with a bolus about them, on the days before the last."""
    first = max(len(carbs) - 1 - CLIMATOLOGY_DAYS * DAY, 0)
    both = slice(first, max(len(carbs) - 1 - DAY, first))
    eaten, given = np.nan_to_num(carbs[both]), np.nan_to_num(bolus[both])
    total = np.concatenate([[0.0], given.cumsum()])
    at = np.flatnonzero(eaten >= _MEAL_LEAST_G)
    begin, end = np.maximum(at - _BOLUS_BEFORE, 0), np.minimum(at + _BOLUS_AFTER, len(given))
    dose_u = total[end] - total[begin]
    per_gram = dose_u[dose_u > 0] / eaten[at][dose_u > 0]
    return float(np.median(per_gram)) if len(per_gram) >= _LEAST_MEALS else None
