"""Who needs attention, and why: each patient in the first group that applies to them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, get_args

from hybridtwin.glycemia.episodes import HIGH_MG_DL, LOW_MG_DL, VERY_LOW_MG_DL
from serving.clinic.summary import Lately, PastNight, Tonight, is_stale
from serving.settings import Settings

Group = Literal["very_low", "low", "missing", "watch", "lows", "rising", "well"]
GROUPS: Final[tuple[Group, ...]] = get_args(Group)
"""The most urgent first."""
MARKS: Final = {
    "very_low": "▼▼",
    "low": "▼",
    "missing": "?",
    "watch": "◆",
    "lows": "↺",
    "rising": "▲",
    "well": "●",
    "snoozed": "–",
}
"""Each group's shape, beside its colour."""
RISING_MG_DL_MIN: Final = 1.0
"""From this change on, sensors show a rising arrow."""


@dataclass(frozen=True)
class Why:
    """One reason to be listed.

    Attributes:
        group: Of which group it is one.
        kind: Which text says it.
        values: What the text names: probabilities, glucose in mg/dL, counts, times.
    """

    group: Group
    kind: str
    values: dict[str, Any]


def whys(
    last: Lately | None,
    night: Tonight | None,
    morning: PastNight | None,
    now: datetime,
    settings: Settings,
) -> list[Why]:
    """All that speaks for attention, the most urgent first; nothing where all is well.

    Args:
        last: The last readings.
        night: The coming night, or the one that runs; None where it was not reviewed or is over.
        morning: The last night, where it is over.
        now: The present.
        settings: What counts as likely.
    """
    found = [*_of_readings(last, now, settings), *_of_night(night, settings)]
    if morning and morning.very_low:
        found.append(Why("lows", "very low last night", {"mg_dl": morning.lowest_mg_dl}))
    elif morning and morning.low:
        found.append(Why("lows", "low last night", {"mg_dl": morning.lowest_mg_dl}))
    return sorted(found, key=lambda why: GROUPS.index(why.group))


def _of_readings(last: Lately | None, now: datetime, settings: Settings) -> list[Why]:
    if last is None:
        return [Why("missing", "no readings", {})]
    if is_stale(last.time, now):
        age_min = (now - last.time) / timedelta(minutes=1)
        return [Why("missing", "stale", {"age_min": age_min})]
    found = []
    if last.mg_dl < VERY_LOW_MG_DL:
        found.append(Why("very_low", "very low now", {"mg_dl": last.mg_dl}))
    elif last.mg_dl < LOW_MG_DL:
        found.append(Why("low", "low now", {"mg_dl": last.mg_dl}))
    rate = last.rate_mg_dl_min
    if last.mg_dl > HIGH_MG_DL and rate is not None and rate >= RISING_MG_DL_MIN:
        found.append(Why("rising", "rising", {"mg_dl": last.mg_dl}))
    if last.very_lows or last.lows >= settings.recent_lows:
        found.append(Why("lows", "lows", {"lows": last.lows, "very_lows": last.very_lows}))
    return found


def _of_night(night: Tonight | None, settings: Settings) -> list[Why]:
    if night is None:
        return []
    if night.below_70 is None or night.below_54 is None or night.above_250 is None:
        return [Why("missing", "refused", {})]
    found = []
    if night.below_54 >= settings.very_low:
        found.append(Why("very_low", "very low tonight", {"chance": night.below_54}))
    elif night.below_70 >= settings.likely_low:
        found.append(Why("low", "low tonight", {"chance": night.below_70}))
    elif night.below_70 >= settings.watch:
        found.append(Why("watch", "perhaps low tonight", {"chance": night.below_70}))
    if night.trust == "low":
        found.append(Why("watch", "little trust", {}))
    if night.above_250 >= settings.likely_low:
        found.append(Why("rising", "very high tonight", {"chance": night.above_250}))
    return found
