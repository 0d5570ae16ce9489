"""The panel: all patients of some clinics, grouped by what needs attention."""

import uuid
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final, Literal

from hybridtwin.glycemia.episodes import HIGH_MG_DL, LOW_MG_DL, VERY_LOW_MG_DL
from serving.clinic import drawing
from serving.clinic.attention import GROUPS, Group, Why, whys
from serving.clinic.summary import Lately, Night, PastNight
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
        night: The night that comes or runs.
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
    night: Night | None
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
        return _picture(self.last, self.night, self.now)

    @property
    def chance(self) -> float:
        """The probability of a low tonight; below 0 where none is known."""
        events = self.night.risk.events if self.night else None
        return events.below_70 if events else -1.0


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
    last, night = _shown(parts.get("lately"), parts.get("night"), now)
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
        zone=str(one.profile["time_zone"]),
        last=last,
        night=night,
        morning=morning,
        group=group,
        whys=found,
        standing=standing,
        seen=standing.acknowledge is not None and standing.acknowledge.time >= news,
        snoozed=_is_snoozed(standing.snooze, group, now),
        now=now,
    )


def group_of(lately: bytes | None, night: bytes | None, now: datetime, settings: Settings) -> Group:
    """In which group a patient is by these parts of their summary."""
    found = whys(*_shown(lately, night, now), None, now, settings)
    return found[0].group if found else "well"


def _shown(
    lately: bytes | None, night: bytes | None, now: datetime
) -> tuple[Lately | None, Night | None]:
    """The last readings, and the night that comes or runs, if it was reviewed."""
    last = Lately.model_validate_json(lately) if lately else None
    coming = Night.model_validate_json(night) if night else None
    return last, coming if coming and _counts(coming, now) else None


def _counts(night: Night, now: datetime) -> bool:
    """Whether it is still this night."""
    end = night.risk.end or night.issued + timedelta(hours=12)
    return now < end


def _is_snoozed(snooze: follow_ups.Step | None, group: Group, now: datetime) -> bool:
    """Who needs attention more urgently than when they were snoozed is back at once."""
    if snooze is None or snooze.until is None or snooze.until <= now:
        return False
    before = GROUPS.index(snooze.group) if snooze.group in GROUPS else len(GROUPS)
    return GROUPS.index(group) >= before


def _picture(last: Lately | None, night: Night | None, now: datetime) -> Picture:
    left = now - timedelta(minutes=BEHIND_MIN)

    def x(time: datetime) -> int:
        return round((time - left) / timedelta(minutes=1))

    begin, end = (night.risk.begin, night.risk.end) if night else (None, None)
    return Picture(
        curve_x=x(last.origin) if last else 0,
        fan_x=x(night.origin) if night and night.origin else None,
        night=(max(x(begin), 0), min(x(end), BEHIND_MIN + AHEAD_MIN)) if begin and end else None,
    )


_KEYS: Final[dict[Order, Callable[[Row], tuple[float | str, ...]]]] = {
    "need": lambda row: (row.seen, -row.chance, row.name.casefold()),
    "name": lambda row: (row.name.casefold(),),
    "glucose": lambda row: (row.last.mg_dl if row.last else 0.0,),
    "chance": lambda row: (-row.chance,),
    "lowest": lambda row: (_lowest(row),),
}


def _lowest(row: Row) -> float:
    nadir = row.night.risk.nadir if row.night else None
    return nadir.median if nadir else drawing.GLUCOSE.top


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
