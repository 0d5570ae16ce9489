"""Rebound highs: lows that are treated with so much that glucose soon is high.

A reading above 180 mg/dL within two hours of one below 70 (Acciaroli et al. 2022, J Diabetes Sci
Technol 16:677). A low that is soon followed by a bolus, of a meal perhaps, says nothing of its
treatment and is left out.
"""

from typing import Final

import numpy as np

from hybridtwin.glycemia.episodes import HIGH_MG_DL, Episode
from hybridtwin.patterns.chance import at_least, share_interval
from hybridtwin.patterns.pattern import Pattern, unknown
from hybridtwin.patterns.settings import PatternSettings
from hybridtwin.patterns.weeks import Weeks
from hybridtwin.units import steps

KIND: Final = "rebound highs"


def rebound(weeks: Weeks, settings: PatternSettings) -> list[Pattern]:
    """One look."""
    if not weeks.bolus_known.any():
        return [unknown(KIND, "boluses were not logged")]
    within = steps(settings.rebound.within_min)
    told = [(low, high) for low in weeks.lows if (high := _high(weeks, low, within)) is not None]
    if len(told) < settings.least_times:
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
