"""When a patient's night is to be reviewed, and when it is over, by the clock where they live."""

from datetime import datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import pandas as pd

from hybridtwin.review.night import NIGHT_END_H, in_reach
from serving.store import summaries
from serving.store.summaries import Summary

TIMES: Final[tuple[summaries.Part, ...]] = ("lately", "night", "nights", "refused")
"""What says when a patient was last read and reviewed, and their night judged."""
_SETTLED: Final = timedelta(minutes=30)
"""How long after a night readings may still come before it is judged."""
_AGAIN: Final = timedelta(minutes=30)
"""How long after a night was refused it is looked at anew, where readings have come since."""


def is_due(zone: str, evening: time, now: datetime, reviewed: datetime | None) -> bool:
    """Whether it is evening or night somewhere, and no review was made since it began.

    Args:
        zone: Where the patient lives.
        evening: When it begins there.
        now: The present.
        reviewed: When the last review was made.
    """
    begin = _of_its_day(evening, zone, now)
    return begin <= now and (reviewed is None or reviewed < begin)


def _of_its_day(clock: time, zone: str, now: datetime) -> datetime:
    """That time of the day, which begins at six: of today, or before six of yesterday."""
    local = now.astimezone(ZoneInfo(zone))
    day = local.date() - timedelta(days=local.hour < NIGHT_END_H)
    return datetime.combine(day, clock, local.tzinfo)


def is_review_due(one: Summary, evening: time, now: datetime) -> bool:
    """Whether a patient's coming night is to be reviewed, for the first time or once more."""
    reviewed = None if _can_be_told_now(one, now) else one.times.get("night")
    return is_due(one.profile["time_zone"], evening, now, reviewed) and has_reach(one, now)


def _can_be_told_now(one: Summary, now: datetime) -> bool:
    """Whether a night was refused, and readings have come since that may allow a forecast."""
    refused, read = one.times.get("refused"), one.times.get("lately")
    return (
        refused is not None
        and refused == one.times.get("night")
        and read is not None
        and read > refused
        and now - refused >= _AGAIN
    )


def has_reach(one: Summary, now: datetime) -> bool:
    """By day nothing can be said of the night; what was said of the last one would be gone."""
    return in_reach(pd.Timestamp(now), one.profile["time_zone"])


def last_night_end(zone: str, now: datetime) -> datetime:
    """Six o'clock of the last morning that has settled."""
    return _of_its_day(time(NIGHT_END_H), zone, now - _SETTLED)


def has_outcome_due(one: Summary, now: datetime) -> bool:
    """Whether a patient's last night was reviewed and not yet judged."""
    end = last_night_end(one.profile["time_zone"], now)
    reviewed, judged = one.times.get("night"), one.times.get("nights")
    return (
        reviewed is not None
        and end - timedelta(days=1) < reviewed < end
        and (judged is None or judged < end)
    )
