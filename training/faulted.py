"""The parts of recordings that faults are put into, and those faults."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np
import pandas as pd
import torch
from pydantic import BaseModel, ConfigDict, Field

from hybridtwin.errors import HistoryError
from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.record import Record
from hybridtwin.sensor_faults.modes import Array
from hybridtwin.timeline import CHANNEL, Timeline, to_timeline
from hybridtwin.units import STEP_MIN, steps
from hybridtwin.virtual.faults import Fault, FaultKind, corrupt, draw_faults
from hybridtwin.virtual.life import live
from hybridtwin.virtual.patients import load_patients
from training.folds import folds
from training.windows import COVERAGE_STEPS, Mask, Skipped, border_index

_GLUCOSE: Final = CHANNEL["glucose_mg_dl"]
_HOUR: Final = steps(60)
_DAY: Final = steps(MINUTES_PER_DAY)
BEFORE_STEPS: Final = 3 * _DAY
"""What a part holds before what is scored: history, and some of the fortnight of climatology."""
_START: Final = pd.Timestamp("2024-01-15", tz="UTC")


class PartRule(BaseModel):
    """Whose time is scored, and which faults are put into it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    learn_fraction: float = Field(0.8, gt=0, lt=1, description="Share of time that is not scored.")
    days: float = Field(10, gt=1, description="Of everyone's time at most, from its first.")
    folds: int = Field(2, ge=1, description="Of people, see `training.folds`.")
    score_fold: int = Field(1, ge=0, description="Settings were chosen on the others' people.")
    virtual_people: int = Field(10, ge=0, le=30, description="Without faults, beside the others.")
    virtual_days: float = Field(30, gt=5)
    seed: int = 0


@dataclass(frozen=True)
class Part:
    """One person's time that is scored, with what went before.

    Attributes:
        participant: Whose.
        cohort: Where the record came from.
        timeline: Of both.
        begin: The grid point from which it is scored.
    """

    participant: str
    cohort: str
    timeline: Timeline
    begin: int

    @cached_property
    def reading_mg_dl(self) -> Array:
        """(T,) NaN where there is no reading."""
        values = self.timeline.values[:, _GLUCOSE].double()
        return np.where(self.timeline.original, values, np.nan)

    @cached_property
    def scored(self) -> Mask:
        """(T,)"""
        return np.arange(len(self.timeline)) >= self.begin

    @cached_property
    def covered(self) -> Mask:
        """(T,) scored, with a reading in the 15 minutes up to it."""
        recent = np.convolve(self.timeline.original, np.ones(COVERAGE_STEPS))
        return (recent[: len(self.timeline)] > 0) & self.scored

    @cached_property
    def every_min(self) -> float:
        """Median time from one reading to the next."""
        return float(np.median(np.diff(np.flatnonzero(self.timeline.original)))) * STEP_MIN

    def night(self, since_h: int, until_h: int) -> Mask:
        """(T,) scored, at local hours over midnight."""
        hour = self.timeline.minute_of_day.numpy() / 60
        return ((hour >= since_h) | (hour < until_h)) & self.scored

    def showing(self, reading_mg_dl: Array) -> Timeline:
        """The timeline with other readings, NaN for none."""
        values, known = self.timeline.values.clone(), self.timeline.known.clone()
        there = torch.from_numpy(~np.isnan(reading_mg_dl))
        values[:, _GLUCOSE] = torch.from_numpy(np.nan_to_num(reading_mg_dl)).float()
        known[:, _GLUCOSE] = there
        return replace(self.timeline, values=values, known=known, original=there)


def scored_parts(records: Sequence[Record], rule: PartRule) -> tuple[list[Part], list[Skipped]]:
    """The last part of the time of one fold's people."""
    found, skipped = [], []
    for record, fold in zip(records, folds(records, rule.folds), strict=True):
        who = record.profile.participant, record.provenance.source
        if fold != rule.score_fold % rule.folds:
            continue
        try:
            timeline = to_timeline(record)
        except HistoryError as error:
            skipped.append(Skipped(*who, str(error)))
            continue
        border = border_index(timeline, rule.learn_fraction)
        if border < BEFORE_STEPS or len(timeline) - border < _DAY:
            skipped.append(Skipped(*who, "too short: less than a day to score"))
            continue
        found.append(_part(who, timeline, border, rule))
    return found, skipped


def virtual_parts(rule: PartRule) -> list[Part]:
    """The last part of the time of virtual people, whose sensors have no faults."""
    if not rule.virtual_people:
        return []
    patients = load_patients()
    chosen = patients.take(list(range(len(patients)))[:: len(patients) // rule.virtual_people])
    people = live(chosen, rule.virtual_days, _START, rule.seed)[: rule.virtual_people]
    parts = []
    for person in people:
        timeline = to_timeline(person.record)
        border = border_index(timeline, rule.learn_fraction)
        parts.append(_part((person.record.profile.participant, "virtual"), timeline, border, rule))
    return parts


def _part(who: tuple[str, str], timeline: Timeline, border: int, rule: PartRule) -> Part:
    first = max(border - BEFORE_STEPS, 0)
    last = min(border + steps(rule.days * MINUTES_PER_DAY), len(timeline))
    return Part(*who, timeline.between(first, last), border - first)


def draw(
    part: Part, kind: FaultKind, per_day: float, rng: np.random.Generator
) -> tuple[Array, list[Fault]]:
    """(T,) a part's readings with faults of one kind, and those of them that readings show."""
    asleep = part.night(23, 7)[part.begin :]
    reading = part.reading_mg_dl
    found = []
    for fault in draw_faults(asleep, rng, {kind: per_day}):
        fault = replace(fault, start=fault.start + part.begin)
        before = reading[fault.start - _HOUR : fault.start]
        first = reading[fault.span][:_HOUR]
        if not np.isnan(before).all() and not np.isnan(first).all():
            found.append(fault)
    shown = corrupt(np.nan_to_num(reading, nan=100.0), found)
    return np.where(np.isnan(reading), np.nan, shown), found
