"""Windows: the moments at which models learn and are scored, the same for every model.

A window is an anchor on a person's timeline. A model may use glucose up to and including the
anchor and everything else before it; it forecasts glucose at the horizons after it. Anchors and
targets are readings, never interpolated values: a value filled in between two readings knows the
later one. Targets count at their exact grid point only, so that a horizon means what it says.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from hybridtwin.errors import HistoryError
from hybridtwin.record import Record
from hybridtwin.timeline import BOLUS, CARBS, CHANNEL, LONG_ACTING, Timeline, to_timeline
from hybridtwin.units import STEP_MIN, steps

COVERAGE_STEPS: Final = 15 // STEP_MIN
"""A grid point counts as covered by a reading in the 15 minutes up to it: the slowest sensors."""
LEVELS: Final = torch.linspace(0.05, 0.95, 19)
"""The quantiles that peers state."""
HELD_OUT: Final = 0.15
"""Share of each person's learning windows, the latest, that peers are tuned on."""
DRIVERS: Final = {
    "carbs": (*CARBS, "fat_g", "protein_g", "alcohol_g"),
    "insulin": (*BOLUS, "basal_u", *LONG_ACTING),
    "heart-rate": ("heart_rate_bpm", "steps", "stated_exertion", "stated_sprint"),
}
"""The channels of each driver of glucose that can be withheld."""

Mask = NDArray[np.bool_]
Names = NDArray[np.str_]


class HistoryRule(BaseModel):
    """Which part of a record is learnt from, and what a forecast needs behind it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    learn_fraction: float = Field(0.8, gt=0, lt=1, description="Share of time to learn from.")
    history_min: int = Field(360, ge=STEP_MIN, description="Length of the required history.")
    min_history_known: float = Field(
        0.7, ge=0, le=1, description="Share of the history that readings must cover."
    )
    learn_stride: int = Field(1, ge=1, description="Every how many anchors to learn from.")


class WindowRule(HistoryRule):
    """How a record is cut into windows."""

    horizons_min: tuple[int, ...] = Field((30, 60, 120), min_length=1)
    score_stride: int = Field(1, ge=1, description="Every how many anchors to score.")
    min_windows: int = Field(
        24, ge=10, description="Fewer targets at a horizon to learn from or to score: skipped."
    )


@dataclass(frozen=True)
class Windows:
    """Moments on several people's timelines.

    Attributes:
        timelines: One per person.
        participants: Their ids.
        cohorts: Where their records came from.
        person: (W,) index into the three lists.
        anchor: (W,) grid index on the person's timeline.
        horizons_min: The horizons to forecast, in minutes.
    """

    timelines: list[Timeline]
    participants: list[str]
    cohorts: list[str]
    person: Tensor
    anchor: Tensor
    horizons_min: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.anchor)

    def take(self, chosen: Tensor) -> "Windows":
        """The windows of an index or a mask."""
        return replace(self, person=self.person[chosen], anchor=self.anchor[chosen])

    def of(self, person: int) -> Tensor:
        """(n,) positions of one person's windows."""
        return torch.nonzero(self.person == person).flatten()

    @cached_property
    def names(self) -> Names:
        """(W,) whose each window is, cohort included."""
        pairs = zip(self.cohorts, self.participants, strict=True)
        names: Names = np.array(["/".join(pair) for pair in pairs], dtype=np.str_)
        return np.take(names, self.person.numpy())

    def latest(self, share: float) -> Mask:
        """(W,) the latest share of each person's windows."""
        late = np.zeros(len(self), dtype=bool)
        for person in range(len(self.participants)):
            rows = self.of(person).numpy()
            if len(rows):
                anchor = self.anchor[rows].numpy()
                late[rows] = anchor > np.quantile(anchor, 1 - share)
        return late

    @cached_property
    def last_mg_dl(self) -> Tensor:
        """(W,) the reading at the anchor."""
        return self._glucose(0)

    @cached_property
    def targets_mg_dl(self) -> Tensor:
        """(W, H) the reading at each horizon, NaN where there is none."""
        columns = [self._glucose(steps(horizon)) for horizon in self.horizons_min]
        return torch.stack(columns, dim=1)

    def _glucose(self, ahead: int) -> Tensor:
        found = torch.full((len(self),), torch.nan)
        for person, timeline in enumerate(self.timelines):
            rows = self.of(person)
            found[rows] = _readings(timeline, self.anchor[rows] + ahead)
        return found


@dataclass(frozen=True)
class Prediction:
    """What a model expects at each window and horizon.

    Attributes:
        mean: (W, H) glucose in mg/dL.
        quantiles: (W, H, Q) glucose in mg/dL, rising, or None for a model without spread.
        levels: (Q,) the quantiles' probabilities, rising.
    """

    mean: Tensor
    quantiles: Tensor | None = None
    levels: Tensor | None = None


Forecaster = Callable[[Windows], Prediction]
FitFunction = Callable[[Windows], Forecaster]


@dataclass(frozen=True)
class Skipped:
    """A record without enough windows."""

    participant: str
    cohort: str
    reason: str


@dataclass(frozen=True)
class Split:
    """Windows to learn from and windows to score, of the same people in the same order.

    The timelines to learn from end at the border, so that nothing behind it can be learnt.
    """

    learn: Windows
    score: Windows
    skipped: list[Skipped]


def split_by_time(records: Sequence[Record], rule: WindowRule) -> Split:
    """Cut each record at a share of its time: learn before the border, score from it on."""
    learn: list[tuple[Timeline, Tensor]] = []
    score: list[tuple[Timeline, Tensor]] = []
    kept: list[tuple[str, str]] = []
    skipped = []
    for record in records:
        try:
            timeline = to_timeline(record)
        except HistoryError as error:
            skipped.append(_skip(record, str(error)))
            continue
        border = border_index(timeline, rule.learn_fraction)
        past = timeline.between(0, border)
        found = anchors(timeline, rule)
        to_score = found[found >= border][:: rule.score_stride]
        to_learn = anchors(past, rule)[:: rule.learn_stride]
        counts = _fewest(past, to_learn, rule), _fewest(timeline, to_score, rule)
        if min(counts) < rule.min_windows:
            reason = (
                f"{counts[0]} windows to learn from and {counts[1]} to score at a horizon, "
                f"needs {rule.min_windows} of each"
            )
            skipped.append(_skip(record, reason))
            continue
        kept.append((record.profile.participant, record.provenance.source))
        learn.append((past, to_learn))
        score.append((timeline, to_score))
    horizons = rule.horizons_min
    return Split(side_by_side(kept, learn, horizons), side_by_side(kept, score, horizons), skipped)


def border_index(timeline: Timeline, fraction: float) -> int:
    """The grid point at a fraction of the time between the first and the last reading."""
    readings = torch.nonzero(timeline.original).flatten()
    if not len(readings):
        return 0
    first, last = int(readings[0]), int(readings[-1])
    return first + int(fraction * (last - first))


def withhold(windows: Windows, drivers: Iterable[str]) -> Windows:
    """The same windows where nothing is known of some `DRIVERS`."""
    columns = [CHANNEL[name] for driver in drivers for name in DRIVERS[driver]]
    kept = torch.ones(len(CHANNEL), dtype=torch.bool)
    kept[columns] = False
    timelines = [
        replace(each, values=each.values * kept, known=each.known & kept)
        for each in windows.timelines
    ]
    return replace(windows, timelines=timelines)


def together(first: Windows, second: Windows) -> Windows:
    """The windows of both; people of the second come after those of the first."""
    return Windows(
        timelines=first.timelines + second.timelines,
        participants=first.participants + second.participants,
        cohorts=first.cohorts + second.cohorts,
        person=torch.cat([first.person, second.person + len(first.participants)]),
        anchor=torch.cat([first.anchor, second.anchor]),
        horizons_min=first.horizons_min,
    )


def anchors(timeline: Timeline, rule: WindowRule) -> Tensor:
    """(n,) grid points with a reading, enough history and a reading at one horizon or more."""
    points = torch.arange(len(timeline))
    ahead = torch.stack([points + steps(horizon) for horizon in rule.horizons_min])
    target = ~_readings(timeline, ahead.flatten()).view(ahead.shape).isnan().all(dim=0)
    enough = history_known(timeline, rule.history_min) >= rule.min_history_known
    return torch.nonzero(timeline.original & target & enough).flatten()


def history_known(timeline: Timeline, history_min: int) -> Tensor:
    """(T,) share of the history up to each grid point that readings cover; 0 where too short."""
    length = steps(history_min)
    share = torch.zeros(len(timeline))
    if len(timeline) > length:
        covered = _past_sum(timeline.original.double(), COVERAGE_STEPS) > 0
        share[length:] = (_past_sum(covered.double(), length) / length)[length:].float()
    return share


def _fewest(timeline: Timeline, anchor: Tensor, rule: WindowRule) -> int:
    """How many of the anchors have a target, at the horizon with the fewest."""
    targets = [_readings(timeline, anchor + steps(horizon)) for horizon in rule.horizons_min]
    return min(int((~target.isnan()).sum()) for target in targets)


def _past_sum(values: Tensor, length: int) -> Tensor:
    """(T,) sum over the `length` grid points up to and including each."""
    total = torch.cat([values.new_zeros(length), values.cumsum(0)])
    return total[length:] - total[:-length]


def _readings(timeline: Timeline, at: Tensor) -> Tensor:
    """(n,) the readings at grid points, NaN where there is none."""
    inside = at < len(timeline)
    index = torch.where(inside, at, 0)
    there = inside & timeline.original[index]
    values = timeline.values[index, CHANNEL["glucose_mg_dl"]]
    return torch.where(there, values, torch.nan)


def side_by_side(
    who: Sequence[tuple[str, str]],
    parts: Sequence[tuple[Timeline, Tensor]],
    horizons_min: tuple[int, ...],
) -> Windows:
    """The windows of several people.

    Args:
        who: Participant and cohort of each.
        parts: Timeline and anchors (n,) of each.
        horizons_min: To forecast.
    """
    none = torch.zeros(0, dtype=torch.long)
    person = [torch.full_like(anchor, index) for index, (_, anchor) in enumerate(parts)]
    return Windows(
        timelines=[timeline for timeline, _ in parts],
        participants=[participant for participant, _ in who],
        cohorts=[cohort for _, cohort in who],
        person=torch.cat([none, *person]),
        anchor=torch.cat([none, *(anchor for _, anchor in parts)]),
        horizons_min=horizons_min,
    )


def _skip(record: Record, reason: str) -> Skipped:
    return Skipped(record.profile.participant, record.provenance.source, reason)
