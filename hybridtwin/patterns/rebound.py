"""Rebound highs: lows that are treated with so much that glucose soon is high.

A reading above 180 mg/dL soon after one below 70 (within two hours: Acciaroli et al. 2022, J
Diabetes Sci Technol 16:677; an hour later here, for much carbohydrate takes longer). A low that is
soon followed by a bolus, of a meal perhaps, says nothing of its treatment and is left out; so is
one without carbohydrate, where most are logged with theirs.
"""

from typing import Final

import numpy as np

from hybridtwin.glycemia.episodes import HIGH_MG_DL, Episode
from hybridtwin.patterns.chance import at_least, share_interval
from hybridtwin.patterns.pattern import Pattern, unknown
from hybridtwin.patterns.settings import PatternSettings
from hybridtwin.patterns.weeks import TREATED_AFTER, Weeks
from hybridtwin.units import steps

KIND: Final = "rebound highs"
_BEFORE: Final = steps(15)


def rebound(weeks: Weeks, settings: PatternSettings) -> list[Pattern]:
    """One look."""
    if not weeks.bolus_known.any():
        return [unknown(KIND, "boluses were not logged")]
    within = steps(settings.rebound.within_min)
    told = [(low, high) for low in weeks.lows if (high := _high(weeks, low, within)) is not None]
    treated = [(low, high) for low, high in told if _is_treated(weeks, low)]
    if len(treated) > len(told) / 2:
        told = treated
    if len(told) < settings.rebound.least_lows:
        return [unknown(KIND, f"only {len(told)} lows show what came of their treatment alone")]
    happened = [low.begin for low, high in told if high]
    fewest, most = share_interval(len(happened), len(told))
    return [
        Pattern(
            kind=KIND,
            count=len(happened),
            looked_at=len(told),
            counted="lows",
            times=tuple(weeks.trace.time(point) for point in happened),
            size=len(happened) / len(told),
            size_low=fewest,
            size_high=most,
            unit="of lows",
            against=settings.rebound.tolerated,
            chance=at_least(len(happened), len(told), settings.rebound.tolerated),
        )
    ]


def _is_treated(weeks: Weeks, low: Episode) -> bool:
    return bool(weeks.carbs_g[max(low.begin - _BEFORE, 0) : low.end + TREATED_AFTER].any())


def _high(weeks: Weeks, low: Episode, within: int) -> bool | None:
    """Whether a high came of a low; None where something else, or nobody knows what, came after."""
    end = low.end + within
    if not weeks.is_known(weeks.bolus_known, low.begin, end):
        return None
    after = weeks.trace.mg_dl[low.end : end]
    high = np.flatnonzero(after > HIGH_MG_DL)
    until = int(high[0]) if len(high) else within
    if weeks.bolus_u[low.begin : low.end + until].any():
        return None
    if len(high):
        return True
    return False if not np.isnan(after).any() else None
