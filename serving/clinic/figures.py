"""How good the evenings' forecasts were: the clinic's own hits, false alarms and calibration."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from hybridtwin.patterns.chance import share_interval
from serving.clinic.summary import PastNight

EDGES: Final = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
"""Of the probabilities that are looked at together."""
_DAYS_PER_WEEK: Final = 7


@dataclass(frozen=True)
class Bin:
    """Nights with about the same probability of a low.

    Attributes:
        begin: The lowest probability of the bin.
        end: The highest.
        nights: How many.
        forecast: Their mean probability.
        lows: How many had a low.
        share: Share that had one.
        interval: In which the true share lies with 95 % (Wilson 1927, J Am Stat Assoc 22:209).
    """

    begin: float
    end: float
    nights: int
    forecast: float
    lows: int
    share: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Listed:
    """What came of nights that the evening had listed from some probability of a low on.

    Attributes:
        chance: From which on.
        hits: Lows that were listed.
        false_alarms: Listed nights without a low.
        false_alarms_per_patient_week: In a week of one patient.
    """

    chance: float
    hits: int
    false_alarms: int
    false_alarms_per_patient_week: float


@dataclass(frozen=True)
class Figures:
    """Of past nights that were forecast and whose outcome is known.

    Attributes:
        nights: How many.
        unforecast: Nights whose data allowed no forecast.
        unknown: Nights that were forecast, and not read well enough to tell.
        lows: With a low.
        listed: By the probabilities from which on nights are listed.
        bins: By probability.
    """

    nights: int
    unforecast: int
    unknown: int
    lows: int
    listed: list[Listed]
    bins: list[Bin]


def figures(nights: Sequence[PastNight], listed_from: Sequence[float]) -> Figures:
    """What past nights say of their forecasts.

    Args:
        nights: Of all patients.
        listed_from: From which probabilities of a low on patients are listed.
    """
    known = [
        (night.below_70, night.low)
        for night in nights
        if night.below_70 is not None and night.low is not None
    ]
    return Figures(
        nights=len(known),
        unforecast=sum(night.below_70 is None for night in nights),
        unknown=sum(night.below_70 is not None and night.low is None for night in nights),
        lows=sum(low for _, low in known),
        listed=[_listed(chance, known) for chance in listed_from] if known else [],
        bins=[
            _bin(begin, end, inside)
            for begin, end in pairwise(EDGES)
            if (inside := [one for one in known if begin <= one[0] < end or one[0] == end == 1])
        ],
    )


def _listed(chance: float, known: Sequence[tuple[float, bool]]) -> Listed:
    false_alarms = sum(not low and said >= chance for said, low in known)
    return Listed(
        chance=chance,
        hits=sum(low and said >= chance for said, low in known),
        false_alarms=false_alarms,
        false_alarms_per_patient_week=_DAYS_PER_WEEK * false_alarms / len(known),
    )


def _bin(begin: float, end: float, inside: Sequence[tuple[float, bool]]) -> Bin:
    lows = sum(low for _, low in inside)
    return Bin(
        begin=begin,
        end=end,
        nights=len(inside),
        forecast=sum(chance for chance, _ in inside) / len(inside),
        lows=lows,
        share=lows / len(inside),
        interval=share_interval(lows, len(inside)),
    )
