"""Recurrent night lows: too many nights with a low before three, or after.

A low lasts 15 minutes or longer below 70 mg/dL (Battelino et al. 2023, Lancet Diabetes Endocrinol.
11:42); which half of the night it falls in tells evening boluses and dinner from basal insulin.
"""

from typing import Final

from hybridtwin.glycemia.episodes import EPISODE_STEPS
from hybridtwin.patterns.chance import at_least, share_interval
from hybridtwin.patterns.pattern import Pattern, unknown
from hybridtwin.patterns.settings import PatternSettings
from hybridtwin.patterns.weeks import Weeks
from hybridtwin.units import steps

KIND: Final = "night lows"
HALVES: Final = {"early": (0, 180), "late": (180, 360)}
"""Minutes after midnight."""


def night_lows(weeks: Weeks, settings: PatternSettings) -> list[Pattern]:
    """One look for each half of the night."""
    return [
        _half(weeks, settings, part, steps(begin), steps(end))
        for part, (begin, end) in HALVES.items()
    ]


def _half(weeks: Weeks, settings: PatternSettings, part: str, begin: int, end: int) -> Pattern:
    nights, lows = 0, []
    for midnight in weeks.midnights.tolist():
        first, last = midnight + begin, midnight + end
        if weeks.share_known(first, last) < settings.least_known:
            continue
        nights += 1
        inside = [
            max(low.begin, first)
            for low in weeks.lows
            if min(low.end, last) - max(low.begin, first) >= EPISODE_STEPS
        ]
        lows += inside[:1]
    if nights < settings.least_times:
        return unknown(KIND, f"glucose is known in {nights} nights only", part)
    low, high = share_interval(len(lows), nights)
    return Pattern(
        kind=KIND,
        part=part,
        count=len(lows),
        looked_at=nights,
        counted="nights",
        times=tuple(weeks.trace.time(point) for point in lows),
        size=len(lows) / nights,
        size_low=low,
        size_high=high,
        unit="of nights",
        against=settings.night_lows.tolerated,
        chance=at_least(len(lows), nights, settings.night_lows.tolerated),
    )
