"""Hindcasts: what a twin would have forecast before, beside what was then read.

The same twin forecasts again from many moments of the weeks before, from what was known then; what
its forecasts of this person miss follows from that, see `misses`. It is a function of twin and
record alone: how the record arrived does not matter.
"""

from dataclasses import replace
from typing import Final

import torch
from torch import Tensor

from hybridtwin.assimilation.misses import Misses, Said, learnt, nothing_missed
from hybridtwin.assimilation.settings import MissesSettings
from hybridtwin.climatology import climatology
from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.history import HISTORY_STEPS, join
from hybridtwin.hybrid import People, usual_basal_u_min
from hybridtwin.neural.spread import KNOTS_MIN
from hybridtwin.record import Record
from hybridtwin.rows import stacked
from hybridtwin.timeline import CHANNEL, Timeline, to_timeline
from hybridtwin.trust import LOOK_BACK_MIN, MIN_READINGS
from hybridtwin.twin import Twin
from hybridtwin.units import steps

_AHEAD: Final = torch.tensor([steps(minutes) for minutes in KNOTS_MIN])
_CHUNK: Final = 512
_DAY: Final = steps(MINUTES_PER_DAY)


def kept_current(twin: Twin, record: Record, settings: MissesSettings | None = None) -> Twin:
    """The twin, with what its forecasts of the record's person missed in the days before its end.

    Args:
        twin: Who forecasts.
        record: What is known; without a reading nothing is learnt from it.
        settings: How it is learnt.
    """
    found = lately_missed(twin, record, settings) if len(record.glucose) else nothing_missed()
    return replace(twin, misses=found)


def lately_missed(twin: Twin, record: Record, settings: MissesSettings | None = None) -> Misses:
    """What forecasts of the record's person missed in the days before its end.

    Raises:
        HistoryError: The record holds no glucose.
    """
    timeline = to_timeline(record)
    now = torch.tensor([len(timeline) - 1])
    person, name = twin.person_for(record.profile), record.profile.participant
    return missed(twin, timeline, person, name, now, settings or MissesSettings())


def missed(
    twin: Twin,
    timeline: Timeline,
    person: People,
    name: str,
    now: Tensor,
    settings: MissesSettings,
) -> Misses:
    """What forecasts missed as it was known at grid points (B,), one row for each.

    Of days from which the twin has learnt, its forecasts are too good to tell how wide they have to
    be: there the spread stays as it is for everyone.

    Args:
        twin: Who forecasts.
        timeline: The person's.
        person: Who they are to the twin.
        name: How they are called.
        now: (B,) of the timeline.
        settings: How it is learnt.
    """
    reach = round(settings.days * _DAY)
    anchors = starts(timeline, settings.every_min)
    anchors = anchors[(anchors >= int(now.min()) - reach) & (anchors <= int(now.max()))]
    if not len(anchors):
        return nothing_missed(len(now))
    with torch.inference_mode():
        said = _hindcasts(replace(twin, misses=None), timeline, person, anchors)
    read = _read_after(timeline, anchors)
    rows = []
    for moment in now.tolist():
        age = moment - anchors
        past = (age >= 0) & (age <= reach)
        known = torch.where(anchors[past].unsqueeze(1) + _AHEAD <= moment, read[past], torch.nan)
        rows.append(learnt(said.rows(past), known, age[past] / _DAY, settings))
    found = stacked(rows)
    return found.with_usual_spread() if twin.config.has_learnt_from(name) else found


def _hindcasts(twin: Twin, timeline: Timeline, person: People, anchors: Tensor) -> Said:
    """What the twin would have said, as usual, at grid points (B,) of a person's timeline."""
    grid = join([timeline])
    parts = []
    for at in anchors.split(_CHUNK):
        history = grid.history(at + HISTORY_STEPS)
        people = person.rows(torch.zeros_like(at))
        present = twin.model.begin(history, people)
        basal = usual_basal_u_min(history, people.values())
        read = twin.predictors(history, present, basal, climatology(timeline, at))
        correction = twin.correction(history, people, present, read)
        parts.append(twin.said(history, present, read, correction))
    return stacked(parts)


def can_start(timeline: Timeline) -> Tensor:
    """(T,) whether a forecast could start at a grid point."""
    known = timeline.values.new_zeros(len(timeline) + 1)
    known[1:] = timeline.original.cumsum(0)
    look_back = steps(LOOK_BACK_MIN)
    points = torch.arange(len(timeline))
    enough = known[1:] - known[(points + 1 - look_back).clamp(min=0)] >= MIN_READINGS
    return timeline.original & enough & (points >= look_back)


def starts(timeline: Timeline, every_min: int) -> Tensor:
    """Grid points from which a forecast could start, at most so often."""
    usable = torch.nonzero(can_start(timeline)).flatten()
    period = usable // steps(every_min)
    first = torch.ones_like(period, dtype=torch.bool)
    first[1:] = period[1:] > period[:-1]
    return usable[first]


def _read_after(timeline: Timeline, anchors: Tensor) -> Tensor:
    """(B, H) readings at `KNOTS_MIN` after grid points (B,); NaN where there is none."""
    at = anchors.unsqueeze(1) + _AHEAD
    inside = at < len(timeline)
    at = at.clamp(max=len(timeline) - 1)
    there = inside & timeline.original[at]
    return torch.where(there, timeline.values[at, CHANNEL["glucose_mg_dl"]], torch.nan)
