"""Site problems: hours of very high glucose that a pump's boluses do not end.

A stretch above 250 mg/dL, or above what is rare for somebody who is lower nearly always, that goes
on for hours in spite of boluses is suspected to come of the catheter or its site. Whether it is
longer than chance makes it is judged by how soon the person's other very high stretches end: if all
ended at that rate, how long would the longest of so many be? An infection over days can look the
same.
"""

from typing import Final

import numpy as np

from hybridtwin.glycemia.episodes import HIGH_MG_DL, VERY_HIGH_MG_DL, Episode, episodes
from hybridtwin.patterns.chance import Floats, at_least
from hybridtwin.patterns.pattern import Pattern, unknown
from hybridtwin.patterns.settings import PatternSettings, SiteSettings
from hybridtwin.patterns.weeks import Weeks
from hybridtwin.units import steps

KIND: Final = "site problems"
_HOUR: Final = steps(60)
_AS_MANY: Final = 2.0
"""So many stretches of the slowest rate are held to be there beside the person's own."""


def site(weeks: Weeks, settings: PatternSettings) -> list[Pattern]:
    """One look."""
    by = settings.site
    if weeks.record.profile.therapy == "injections":
        return [unknown(KIND, "insulin is injected: there is no catheter")]
    if weeks.bolus_known.mean() < settings.least_known:
        return [unknown(KIND, "boluses were not logged")]
    if weeks.known.mean() < settings.least_known:
        return [unknown(KIND, f"glucose is known for {weeks.known.mean():.0%} of the time only")]
    stretches = _very_high(weeks, by)
    long = [
        each
        for each in stretches
        if each.end - each.begin >= by.least_hours * _HOUR
        and _bolused(weeks, each, steps(by.acts_after_min))
    ]
    hours, hours_long = (
        np.array([(each.end - each.begin) / _HOUR for each in some]) for some in (stretches, long)
    )
    return [
        Pattern(
            kind=KIND,
            count=len(long),
            looked_at=len(stretches),
            counted="very high stretches",
            times=tuple(weeks.trace.time(each.begin) for each in long),
            size=float(hours_long.mean()) if long else None,
            unit="hours",
            against=by.least_hours,
            chance=_chance(hours, hours_long, by),
        )
    ]


def _very_high(weeks: Weeks, by: SiteSettings) -> list[Episode]:
    """Stretches that last; a dip of less than half an hour does not end one."""
    rare = float(np.nanquantile(weeks.trace.mg_dl, 1 - by.rare))
    with np.errstate(invalid="ignore"):
        beyond = weeks.trace.mg_dl > np.clip(rare, HIGH_MG_DL, VERY_HIGH_MG_DL)
    found = episodes(beyond, weeks.known, steps(by.dip_min))
    return [each for each in found if each.end - each.begin >= by.counts_after_hours * _HOUR]


def _bolused(weeks: Weeks, high: Episode, before_end: int) -> bool:
    return bool(weeks.bolus_u[high.begin : max(high.end - before_end, high.begin)].any())


def _chance(hours: Floats, long: Floats, by: SiteSettings) -> float:
    """Of stretches as long, where all end at the person's usual rate.

    Args:
        hours: (n,) how long all lasted.
        long: (k,) how long those lasted that are suspected.
        by: Settings.
    """
    if not len(long):
        return 1.0
    # Those that are suspected tell nothing of the rate.
    beyond = hours[hours < by.least_hours] - by.counts_after_hours
    least, most = by.half_over_hours
    own = np.log(2) * beyond.sum()  # at a constant rate, half are over after ln 2 of the mean
    half_over = float(np.clip((own + _AS_MANY * most) / (len(beyond) + _AS_MANY), least, most))
    lasting = 0.5 ** ((np.sort(long)[::-1] - by.counts_after_hours) / half_over)
    each = [at_least(count + 1, len(hours), share) for count, share in enumerate(lasting)]
    return min(1.0, len(long) * min(each))
