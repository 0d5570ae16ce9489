"""The panel: all patients of some clinics, grouped by what needs attention."""

import uuid
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import cached_property
from typing import Final, Literal
from zoneinfo import ZoneInfo

from hybridtwin.glycemia.episodes import HIGH_MG_DL, LOW_MG_DL, VERY_LOW_MG_DL
from hybridtwin.review.night import NIGHT_END_H
from hybridtwin.trust import FRESH_MIN
from serving.clinic import drawing
from serving.clinic.attention import GROUPS, Group, Why, whys
from serving.clinic.summary import Lately, PastNight, Tonight
from serving.settings import Settings
from serving.store import follow_ups, summaries

Order = Literal["need", "name", "glucose", "chance", "lowest"]
PARTS: Final[tuple[summaries.Part, ...]] = ("lately", "night", "morning", "follow_up")
BEHIND_MIN, AHEAD_MIN = 12 * 60, 9 * 60
"""What the small pictures show before and after now."""
DRAWING: Final = {
    "width": BEHIND_MIN + AHEAD_MIN,
    "height": drawing.HEIGHT,
    "now": BEHIND_MIN,
    "low": drawing.GLUCOSE.y(LOW_MG_DL),
    "very_low": drawing.GLUCOSE.y(VERY_LOW_MG_DL),
    "high": drawing.GLUCOSE.y(HIGH_MG_DL),
}
"""Where things lie in the pictures of the hours around now."""
_LATEST_H: Final = 18
"""For how long the last night is news."""


@dataclass(frozen=True)
class Picture:
    """Where the curves of a small picture lie, in minutes from its left edge.

    Attributes:
        curve_x: The last readings.
        fan_x: The night's fan; None without one.
        night: Begin and end of the night, as far as they are inside; None without one.
    """

    curve_x: int
    fan_x: int | None
    night: tuple[int, int] | None


@dataclass(frozen=True)
class Row:
    """One patient on the panel.

    Attributes:
        id: Theirs.
        clinic: Theirs.
        name: As the clinic calls them, or their pseudonym.
        zone: In which they live.
        last: The last readings.
        reviewed: The night that was reviewed last: it comes, runs or is over.
        night: The same while it comes or runs.
        morning: The last night, while it is news.
        group: Where they are listed.
        whys: Why, the most urgent first.
        standing: What was done about them.
        seen: Whether somebody has acknowledged what is shown.
        snoozed: Whether they are to be left alone now.
        now: When it is looked at.
    """

    id: uuid.UUID
    clinic: str
    name: str
    zone: str
    last: Lately | None
    reviewed: Tonight | None
    night: Tonight | None
    morning: PastNight | None
    group: Group
    whys: list[Why]
    standing: follow_ups.Standing
    seen: bool
    snoozed: bool
    now: datetime

    @cached_property
    def picture(self) -> Picture:
        """Of the hours before and after now."""
        return _picture(self.last, self.reviewed, self.now)

    @property
    def rate_mg_dl_min(self) -> float | None:
        """How fast glucose changes now; None where that is not known, or no longer."""
        if self.last is None or self.now - self.last.time > timedelta(minutes=FRESH_MIN):
            return None
        return self.last.rate_mg_dl_min

    @property
    def chance(self) -> float:
        """The probability of a low tonight; below 0 where none is known."""
        known = self.night.below_70 if self.night else None
        return -1.0 if known is None else known


@dataclass(frozen=True)
class Choice:
    """What somebody wants to see of the panel.

    Attributes:
        order: Of the patients in every group.
        clinic: Of which clinic; all of theirs if empty.
        tag: With which tag; with any or none if empty.
        name: Part of whose name.
        group: One group alone, whole; all if empty.
    """

    order: Order = "need"
    clinic: str = ""
    tag: str = ""
    name: str = ""
    group: str = ""


def row_of(one: summaries.Summary, now: datetime, settings: Settings) -> Row:
    """A patient as the panel shows them now."""
    parts = one.parts
    zone = str(one.profile["time_zone"])
    last = Lately.model_validate_json(parts["lately"]) if "lately" in parts else None
    reviewed = Tonight.model_validate_json(parts["night"]) if "night" in parts else None
    night = reviewed if reviewed and now < _morning_after(reviewed, zone) else None
    morning = PastNight.model_validate_json(parts["morning"]) if "morning" in parts else None
    if morning and not now - timedelta(hours=_LATEST_H) < morning.end <= now:
        morning = None
    found = whys(last, night, morning, now, settings)
    group: Group = found[0].group if found else "well"
    standing = follow_ups.standing(parts.get("follow_up"))
    news = night.issued if night else now - timedelta(hours=_LATEST_H)
    return Row(
        id=one.id,
        clinic=one.clinic,
        name=one.name or str(one.profile["participant"]),
        zone=zone,
        last=last,
        reviewed=reviewed,
        night=night,
        morning=morning,
        group=group,
        whys=found,
        standing=standing,
        seen=standing.acknowledge is not None and standing.acknowledge.time >= news,
        snoozed=_is_snoozed(standing.snooze, group, now),
        now=now,
    )


def _morning_after(night: Tonight, zone: str) -> datetime:
    """When a night is over, whether it could be forecast or not."""
    if night.end:
        return night.end
    local = night.issued.astimezone(ZoneInfo(zone))
    day = local.date() + timedelta(days=local.hour >= NIGHT_END_H)
    return datetime.combine(day, time(NIGHT_END_H), local.tzinfo)


def _is_snoozed(snooze: follow_ups.Step | None, group: Group, now: datetime) -> bool:
    """Who needs attention more urgently than when they were snoozed is back at once."""
    if snooze is None or snooze.until is None or snooze.until <= now:
        return False
    before = GROUPS.index(snooze.group) if snooze.group in GROUPS else len(GROUPS)
    return GROUPS.index(group) >= before


def _picture(last: Lately | None, night: Tonight | None, now: datetime) -> Picture:
    left = now - timedelta(minutes=BEHIND_MIN)

    def x(at: datetime) -> int:
        return round((at - left) / timedelta(minutes=1))

    shown = night if night and night.begin and night.end and left < night.end else None
    return Picture(
        curve_x=x(last.origin) if last else 0,
        fan_x=x(shown.origin) if shown and shown.origin else None,
        night=_strip(x(shown.begin), x(shown.end)) if shown and shown.begin and shown.end else None,
    )


def _strip(begin: int, end: int) -> tuple[int, int]:
    return max(begin, 0), min(end, BEHIND_MIN + AHEAD_MIN)


_KEYS: Final[dict[Order, Callable[[Row], tuple[float | str, ...]]]] = {
    "need": lambda row: (row.seen, -row.chance, row.name.casefold()),
    "name": lambda row: (row.name.casefold(),),
    "glucose": lambda row: (row.last.mg_dl if row.last else 0.0,),
    "chance": lambda row: (-row.chance,),
    "lowest": lambda row: (_lowest(row),),
}


def _lowest(row: Row) -> float:
    lowest = row.night.lowest_mg_dl if row.night else None
    return drawing.GLUCOSE.top if lowest is None else lowest


def chosen(rows: Iterable[Row], choice: Choice) -> list[Row]:
    """Those that somebody wants to see, in their order."""
    part = choice.name.casefold()
    found = [
        row
        for row in rows
        if (not choice.clinic or row.clinic == choice.clinic)
        and (not choice.tag or choice.tag in row.standing.tags)
        and part in row.name.casefold()
    ]
    return sorted(found, key=_KEYS[choice.order])


def grouped(rows: Collection[Row]) -> dict[str, list[Row]]:
    """By what needs attention, the most urgent first; the snoozed last."""
    found: dict[str, list[Row]] = {group: [] for group in (*GROUPS, "snoozed")}
    for row in rows:
        found["snoozed" if row.snoozed else row.group].append(row)
    return found
