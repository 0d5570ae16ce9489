"""What was probably not logged: a meal, a missed bolus, a failing infusion site, exercise.

Readings that lie off what the twin hindcasts from some hours ago are set beside what one event more
than was logged would have made of them, of each kind, from each time on and of each size: a matched
filter, whose templates are the person's own futures with and without the event (`supposed`). By
Bayes' rule, with stated rates at which such things happen, each has a probability, that of nothing
included (`weighed`). What is told is said to be probable. It is never written into the record.

Readings on which something pressed say nothing, and the less is told the more likely it is that the
sensor's level has jumped; see `sensor_faults`.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal

import pandas as pd
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from hybridtwin.assimilation.habit import meal_odds
from hybridtwin.assimilation.hindcasts import can_start
from hybridtwin.assimilation.hours import hours_after, trusted
from hybridtwin.assimilation.restless import restless
from hybridtwin.assimilation.settings import UnloggedSettings
from hybridtwin.assimilation.supposed import covariance, suppose, times
from hybridtwin.assimilation.weighed import Event, Possible, likeliest, suppositions, weigh
from hybridtwin.assimilation.without_bolus import Missing, missing
from hybridtwin.hybrid import People
from hybridtwin.physiology.steady import MIN_PER_H
from hybridtwin.record import Record
from hybridtwin.timeline import BOLUS, CARBS, CHANNEL, Timeline, to_timeline
from hybridtwin.twin import Twin
from hybridtwin.units import STEP_MIN, steps

Kind = Literal["meal", "missed bolus", "site failure", "exercise"]
_UNITS: Final[dict[Kind, str]] = {"meal": "g", "site failure": "share lost", "exercise": "min"}
SAME_MIN: Final = 60.0
"""Two of a kind that are told so near to each other are the same."""
_AT_MOST: Final = 2
"""So many events are told of one look."""
_BEGINS_WITHIN: Final = steps(30)
_LEAST_READINGS: Final = 6
_LEAST_SINCE: Final = 3
_CHUNK: Final = 64


class Unlogged(BaseModel):
    """Something that probably happened and was not logged. No fact, and in no record."""

    model_config = ConfigDict(frozen=True)

    kind: Kind = Field(description="What it is.")
    time: datetime = Field(description="When it probably began.")
    time_sd_min: float = Field(ge=0, description="SD of that, minutes.")
    amount: float = Field(ge=0, description="How much, in `unit`.")
    amount_sd: float = Field(ge=0, description="SD of that.")
    unit: str = Field(description="Of the amount: g, U, min, or the share that was lost.")
    probability: float = Field(ge=0, le=1, description="That it happened about then.")
    readings: int = Field(ge=0, description="How many readings were taken since.")
    off_mg_dl: float = Field(
        description="How far these lie above what follows without it, mean, mg/dL: from what was "
        "logged, or, for a missed bolus, from its having been given."
    )
    left_mg_dl: float = Field(description="The same where it is supposed to have happened, mg/dL.")

    @property
    def evidence(self) -> str:
        """What speaks for it, in a sentence."""
        side = "above" if self.off_mg_dl >= 0 else "below"
        return (
            f"The {self.readings} readings since then lie {abs(self.off_mg_dl):.0f} mg/dL {side} "
            f"what follows without it, and {abs(self.left_mg_dl):.0f} mg/dL off with it."
        )

    def is_as(self, other: "Unlogged") -> bool:
        """Whether another is the same event, told by another look or once more."""
        apart_min = abs((other.time - self.time).total_seconds()) / 60
        return self.kind == other.kind and apart_min <= SAME_MIN


def unlogged(
    twin: Twin,
    record: Record,
    now: pd.Timestamp | None = None,
    settings: UnloggedSettings | None = None,
) -> list[Unlogged]:
    """What was probably not logged in the last hours, the oldest first.

    Nothing is told where too little is known: where boluses were not logged, or there are too few
    readings.

    Args:
        twin: The person's, or the population's.
        record: What is known of them.
        now: The present; what lies after it is not looked at. None: the last reading.
        settings: What is held likely.

    Raises:
        HistoryError: There are no readings.
    """
    return lately(twin, record, now, settings, hours=0)


def lately(
    twin: Twin,
    record: Record,
    now: pd.Timestamp | None = None,
    settings: UnloggedSettings | None = None,
    hours: float = 24,
    every_min: float = 60,
) -> list[Unlogged]:
    """The same of more hours than one look reaches, each event once.

    Args:
        twin: The person's, or the population's.
        record: What is known of them.
        now: The present; what lies after it is not looked at. None: the last reading.
        settings: What is held likely.
        hours: Over how many of them looks are spread, the last one now.
        every_min: How often is looked.

    Raises:
        HistoryError: There are no readings.
    """
    known = record if now is None else record.before(now)
    timeline = to_timeline(known)
    back = torch.arange(0, steps(hours * MIN_PER_H) + 1, steps(every_min))
    present = len(timeline) - 1 - back.flip(0)
    return merged(looks(twin, known, timeline, present, settings))


def merged(told: Sequence[Sequence[Unlogged]]) -> list[Unlogged]:
    """What several looks told one after the other, each event once, as it was told most surely."""
    surest = [max(group, key=lambda one: one.probability) for group in grouped(told)]
    return sorted(surest, key=lambda one: one.time)


def grouped(told: Sequence[Sequence[Unlogged]]) -> list[list[Unlogged]]:
    """What several looks told one after the other, event by event."""
    groups: list[list[Unlogged]] = []
    for one in (one for look in told for one in look):
        for group in groups:
            if one.is_as(group[-1]):
                group.append(one)
                break
        else:
            groups.append([one])
    return groups


def looks(
    twin: Twin,
    record: Record,
    timeline: Timeline,
    now: Tensor,
    settings: UnloggedSettings | None = None,
) -> list[list[Unlogged]]:
    """What is told at each of B grid points, knowing nothing of what comes later.

    Args:
        twin: The person's, or the population's.
        record: The person's.
        timeline: It, on the grid.
        now: (B,) grid points.
        settings: What is held likely.
    """
    settings = settings or UnloggedSettings()
    told: list[list[Unlogged]] = [[] for _ in range(len(now))]
    begin = _begins(timeline, now - steps(settings.hours * MIN_PER_H))
    there = torch.nonzero(begin >= 0).flatten()
    if not len(there):
        return told
    person = twin.person_for(record.profile)
    with torch.inference_mode():
        own = restless(twin, person, timeline, now[there], settings)
    for part, drifts in zip(there.split(_CHUNK), own.split(_CHUNK), strict=True):
        at = begin[part]
        with torch.inference_mode():
            found = _look(twin, record, person, timeline, at, drifts, settings)
        for row, each in zip(part.tolist(), found, strict=True):
            told[row] = sorted(each, key=lambda one: one.time)
    return told


def _begins(timeline: Timeline, at: Tensor) -> Tensor:
    """(B,) the last grid points up to `at` (B,) from which can be hindcast; -1 for none near."""
    points = torch.where(can_start(timeline), torch.arange(len(timeline)), -1)
    last = points.cummax(0).values[at.clamp(min=0)]
    return torch.where((at >= 0) & (at - last <= _BEGINS_WITHIN), last, -1)


def _look(
    twin: Twin,
    record: Record,
    person: People,
    timeline: Timeline,
    at: Tensor,
    drifts: Tensor,
    settings: UnloggedSettings,
) -> list[list[Unlogged]]:
    """What is told from hindcasts from grid points (B,) on, their drifts (B,) as of `restless`."""
    hours, sound = trusted(hours_after(timeline, at, steps(settings.hours * MIN_PER_H)))
    moves = hours.known[..., [CHANNEL["heart_rate_bpm"], CHANNEL["steps"]]].flatten(1).any(1)
    without = missing(timeline, at, hours, settings.least_g)
    pump = torch.full_like(moves, record.profile.therapy == "pump")
    rolled = suppose(twin, hours, person, without.step, without.usual_u, settings)
    meal = meal_odds(timeline, at, times(settings), hours.read_mg_dl.shape[1], settings.habit)
    supposed = suppositions(rolled, Possible(meal, pump, ~moves, without.there), settings)
    noise = covariance(rolled, hours.total(CARBS), settings, drifts)
    read = hours.read_mg_dl.double()
    enough = (~read.isnan()).sum(1) >= _LEAST_READINGS
    rows = torch.nonzero(enough & hours.known[..., CHANNEL[BOLUS[0]]].all(1)).flatten()

    told: list[list[Unlogged]] = [[] for _ in at]
    sure = sound.clone()  # that all that was told so far is true
    for repeat in range(_AT_MOST):
        these = {name: each.rows(rows) for name, each in supposed.items()}
        freedom = settings.noise.freedom
        posterior = weigh(read[rows], rolled.logged[rows], these, noise[rows], freedom)
        again = []
        for place, row in enumerate(rows.tolist()):
            start, off = timeline.time(int(at[row])), read[row] - rolled.logged[row]
            not_given = float((1 - posterior.kinds["bolus"][place].sum()) * sure[row])
            if not repeat and without.there[row] and not_given >= settings.told_at:
                given = read[row] - rolled.bolus[row]
                told[row].append(_missed(without, row, start, not_given, given, off))
            event = likeliest(posterior, these, rolled.logged[rows], place, settings)
            sure[row] *= event.probability
            if sure[row] < settings.told_at:
                continue
            one = _told(event, start, float(sure[row]), off)
            if any(one.is_as(other) for other in told[row]):
                continue
            large = one.kind != "meal" or one.amount >= settings.least_g
            if large and one.readings >= _LEAST_SINCE:
                told[row].append(one)
            # What else there is, is looked for in what this leaves.
            read[row] -= event.effect_mg_dl
            unsure = event.effect_mg_dl * event.amount_sd / event.amount
            noise[row] += torch.outer(unsure, unsure)
            again.append(row)
        rows = torch.tensor(again, dtype=torch.long)
        if not again:
            break
    return told


def _told(event: Event, start: pd.Timestamp, probability: float, off_mg_dl: Tensor) -> Unlogged:
    """An event in hours that begin at `start`.

    Args:
        event: What.
        start: When.
        probability: That it happened, and what was told before, and that the sensor is sound.
        off_mg_dl: (H,) readings less what follows without the event; NaN where there are none.
    """
    since = steps(event.begin_min)
    off, left = off_mg_dl[since:], (off_mg_dl - event.effect_mg_dl)[since:]
    return Unlogged(
        kind=event.kind,
        time=(start + pd.Timedelta(minutes=round(event.begin_min))).to_pydatetime(),
        time_sd_min=event.begin_sd_min,
        amount=event.amount,
        amount_sd=event.amount_sd,
        unit=_UNITS[event.kind],
        probability=min(probability, 1.0),
        readings=int((~off.isnan()).sum()),
        off_mg_dl=_mean(off),
        left_mg_dl=_mean(left),
    )


def _missed(
    without: Missing,
    row: int,
    start: pd.Timestamp,
    probability: float,
    off_mg_dl: Tensor,
    left_mg_dl: Tensor,
) -> Unlogged:
    """A meal's bolus that readings say was not given."""
    since, usual_u = int(without.step[row]), float(without.usual_u[row])
    return Unlogged(
        kind="missed bolus",
        time=(start + pd.Timedelta(minutes=STEP_MIN * since)).to_pydatetime(),
        time_sd_min=0.0,
        amount=usual_u,
        amount_sd=usual_u * float(without.spread[row]),
        unit="U",
        probability=min(probability, 1.0),
        readings=int((~off_mg_dl[since:].isnan()).sum()),
        off_mg_dl=_mean(off_mg_dl[since:]),
        left_mg_dl=_mean(left_mg_dl[since:]),
    )


def _mean(values: Tensor) -> float:
    known = values[~values.isnan()]
    return float(known.mean()) if len(known) else 0.0
