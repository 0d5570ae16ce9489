"""All patterns that are looked for, and which of what is seen is more than chance.

Whoever looks for twenty things sees one by chance. The chances of all looks at one person are
therefore taken together (Holm 1979, Scand J Stat 6:65): a pattern is found where the probability
that chance alone made any of those found stays below the settings' `chance`.
"""

from collections.abc import Callable
from typing import Final

import pandas as pd

from hybridtwin.errors import HistoryError
from hybridtwin.patterns.boluses import boluses
from hybridtwin.patterns.chance import holm
from hybridtwin.patterns.dawn import dawn
from hybridtwin.patterns.exercise import exercise
from hybridtwin.patterns.night_lows import night_lows
from hybridtwin.patterns.pattern import Pattern
from hybridtwin.patterns.rebound import rebound
from hybridtwin.patterns.sensitivity import sensitivity
from hybridtwin.patterns.settings import PatternSettings
from hybridtwin.patterns.site import site
from hybridtwin.patterns.weeks import Weeks, to_weeks
from hybridtwin.record import Record
from hybridtwin.units import STEP_MIN

Look = Callable[[Weeks, PatternSettings], list[Pattern]]

LOOKS: Final[tuple[Look, ...]] = (
    *(night_lows, dawn, boluses, rebound, sensitivity, site, exercise),
)
_STEP: Final = pd.Timedelta(minutes=STEP_MIN)


def find_patterns(
    record: Record, end: pd.Timestamp | None = None, settings: PatternSettings | None = None
) -> list[Pattern]:
    """What was looked for in a record's last weeks: what was found, not found, and unknown.

    Args:
        record: Of whom.
        end: First instant that is not looked at; None for just after the last reading.
        settings: What is looked for; None for the usual.

    Raises:
        HistoryError: There is no reading before the end.
    """
    settings = settings or PatternSettings()
    times = record.glucose["time"]
    known = times if end is None else times[times < end]
    if known.empty:
        raise HistoryError.of(
            "glucose", "the record holds no reading before this time", "Choose a later one."
        )
    weeks = to_weeks(record, end or known.iloc[-1] + _STEP, settings.days)
    return judge([pattern for look in LOOKS for pattern in look(weeks, settings)], settings.chance)


def judge(patterns: list[Pattern], chance: float) -> list[Pattern]:
    """The patterns, with those found that chance does not explain."""
    asked = [pattern for pattern in patterns if pattern.chance is not None]
    adjusted = iter(holm([pattern.chance for pattern in asked if pattern.chance is not None]))
    judged = []
    for pattern in patterns:
        if pattern.chance is not None:
            of_any = next(adjusted)
            status = "found" if of_any <= chance else "not found"
            pattern = pattern.model_copy(update={"chance_of_any": of_any, "status": status})
        judged.append(pattern)
    return judged
