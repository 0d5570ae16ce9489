"""Nights: evenings from which to look, and what then happened between midnight and six.

An evening's anchor is a reading between 21:00 and 24:00 local time with enough history. To learn
from, every anchor counts; scored is one anchor per night, the one nearest to a stated time, so that
alarms can be counted by the night.

What happened is read off the readings, joined by straight lines where they lie 15 minutes apart or
less: a low of 15 minutes then means the same for a sensor of 5 minutes and one of 15.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from pydantic import Field
from torch import Tensor

from hybridtwin.climatology import joined
from hybridtwin.errors import HistoryError
from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.glycemia.episodes import LOW_MG_DL, VERY_LOW_MG_DL, lasts
from hybridtwin.night_statistics import EVENING_MIN
from hybridtwin.record import Record
from hybridtwin.review.night import NIGHT_END_H
from hybridtwin.timeline import Timeline, to_timeline
from hybridtwin.units import STEP_MIN, steps
from training.windows import (
    HistoryRule,
    Skipped,
    Windows,
    border_index,
    history_known,
    side_by_side,
)

NIGHT_MIN: Final = NIGHT_END_H * 60


@dataclass(frozen=True)
class Low:
    """Glucose below a limit for 15 minutes or longer, in a part of the night.

    Attributes:
        name: In the names of metrics.
        below_mg_dl: The limit.
        begin_min: From midnight.
        end_min: From midnight.
    """

    name: str
    below_mg_dl: float
    begin_min: int
    end_min: int

    def happens(self, night_mg_dl: Tensor) -> Tensor:
        """(...) whether it happens in traces (..., 72) from midnight on."""
        part = night_mg_dl[..., steps(self.begin_min) : steps(self.end_min)]
        return lasts(part < self.below_mg_dl)


LOWS: Final = tuple(
    Low(f"below_{limit:.0f}{part}", limit, begin, end)
    for limit in (LOW_MG_DL, VERY_LOW_MG_DL)
    for part, begin, end in (
        ("", 0, NIGHT_MIN),
        ("_before_3", 0, NIGHT_MIN // 2),
        ("_after_3", NIGHT_MIN // 2, NIGHT_MIN),
    )
)


class NightRule(HistoryRule):
    """Which nights are learnt from and scored."""

    score_at_min: int = Field(
        22 * 60 + 30, ge=21 * 60, lt=24 * 60, description="Local minute of day to score from."
    )
    min_night_known: float = Field(
        0.8, gt=0, le=1, description="Share of each half of the night that readings must cover."
    )


@dataclass(frozen=True)
class Nights:
    """Evenings of several people, and what followed.

    Attributes:
        windows: Their anchors.
        to_midnight_min: (W,) from the anchor.
        happened: (W,) whether each of `LOWS` happened, by its name.
    """

    windows: Windows
    to_midnight_min: Tensor
    happened: dict[str, Tensor]

    def __len__(self) -> int:
        return len(self.windows)

    def take(self, chosen: Tensor) -> "Nights":
        """The nights of an index or a mask."""
        happened = {name: each[chosen] for name, each in self.happened.items()}
        return Nights(self.windows.take(chosen), self.to_midnight_min[chosen], happened)


@dataclass(frozen=True)
class NightSplit:
    """Nights to learn from and nights to score, of the same people in the same order."""

    learn: Nights
    score: Nights
    skipped: list[Skipped]


def split_nights(records: Sequence[Record], rule: NightRule) -> NightSplit:
    """Cut each record at a share of its time; a night lies on the side of its evening and end."""
    kept, learn, score, skipped = [], [], [], []
    for record in records:
        who = record.profile.participant, record.provenance.source
        try:
            timeline = to_timeline(record)
        except HistoryError as error:
            skipped.append(Skipped(*who, str(error)))
            continue
        border = border_index(timeline, rule.learn_fraction)
        past = timeline.between(0, border)
        evenings = anchors(timeline, rule)
        to_score = nearest(timeline, evenings[evenings >= border], rule.score_at_min)
        to_learn = anchors(past, rule)[:: rule.learn_stride]
        if not len(to_score) or not len(to_learn):
            skipped.append(Skipped(*who, "no night to learn from or none to score"))
            continue
        kept.append(who)
        learn.append((past, to_learn))
        score.append((timeline, to_score))
    return NightSplit(join_nights(kept, learn), join_nights(kept, score), skipped)


def anchors(timeline: Timeline, rule: NightRule) -> Tensor:
    """(n,) readings of an evening with enough history and enough of the night to come."""
    ahead = _to_midnight_min(timeline)
    evening = ahead <= EVENING_MIN
    enough = history_known(timeline, rule.history_min) >= rule.min_history_known
    found = torch.nonzero(timeline.original & evening & enough).flatten()
    known = ~_nights(timeline, found).isnan()
    halves = known.unflatten(1, (2, -1)).float().mean(-1)
    return found[(halves >= rule.min_night_known).all(1)]


def nearest(timeline: Timeline, evenings: Tensor, minute: int) -> Tensor:
    """(n,) of each night's anchors the one nearest to a local minute of the day."""
    found: dict[int, tuple[int, int]] = {}
    for anchor in evenings.tolist():
        midnight = anchor + steps(int(_to_midnight_min(timeline)[anchor]))
        far = abs(int(timeline.minute_of_day[anchor]) - minute)
        found[midnight] = min(found.get(midnight, (far, anchor)), (far, anchor))
    return torch.tensor([anchor for _, anchor in found.values()], dtype=torch.long)


def _to_midnight_min(timeline: Timeline) -> Tensor:
    """(T,) minutes to the next local midnight."""
    return MINUTES_PER_DAY - timeline.minute_of_day.long()


def _nights(timeline: Timeline, evenings: Tensor) -> Tensor:
    """(n, 72) glucose from midnight to six after each anchor, NaN where it is not known."""
    night = torch.full((NIGHT_MIN // STEP_MIN,), torch.nan)
    trace = torch.cat([torch.from_numpy(joined(timeline)).float(), night])
    midnight = evenings + _to_midnight_min(timeline)[evenings] // STEP_MIN
    # What lies behind the timeline's end is not known.
    return trace[(midnight.unsqueeze(1) + torch.arange(len(night))).clamp(max=len(trace) - 1)]


def join_nights(who: list[tuple[str, str]], parts: list[tuple[Timeline, Tensor]]) -> Nights:
    """The nights of several people: (participant, cohort) and (timeline, anchors (n,)) of each."""
    none = torch.zeros(0, dtype=torch.long)
    windows = side_by_side(who, parts, ())
    ahead = [_to_midnight_min(timeline)[anchor] for timeline, anchor in parts]
    traces = torch.cat([torch.zeros(0, NIGHT_MIN // STEP_MIN), *(_nights(*part) for part in parts)])
    return Nights(
        windows, torch.cat([none, *ahead]), {low.name: low.happens(traces) for low in LOWS}
    )
