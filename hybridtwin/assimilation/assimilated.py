"""What is held true of one person as readings arrive, and the verb that keeps it current.

A new part of the stream may hold anything: readings that are late, doubled or corrected, doses
logged an hour afterwards. It is merged with the last hours, and these are walked again from where
the two differ. So the result does not depend on how the stream was cut, as long as nothing is later
than `reach_hours`.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pandas as pd
import torch
from torch import Tensor

from hybridtwin.assimilation.advance import Happened, advance, chance, correct
from hybridtwin.assimilation.filters import Ensemble, design
from hybridtwin.assimilation.settings import AssimilationSettings
from hybridtwin.assimilation.slow import DIRECTIONS, SENSITIVITIES
from hybridtwin.assimilation.state import FILTERED, SLOW, TODAY, begun
from hybridtwin.assimilation.stream import (
    STEP,
    Grid,
    Readings,
    Recent,
    agree_until,
    grid_of,
    grid_point,
)
from hybridtwin.dynamics import step, walk
from hybridtwin.errors import ModelError, Problem, RecordError
from hybridtwin.hybrid import People
from hybridtwin.native import native_step
from hybridtwin.physiology.steady import MIN_PER_H
from hybridtwin.record import Record
from hybridtwin.resampling import systematic
from hybridtwin.trust import LOOK_BACK_MIN, MIN_READINGS
from hybridtwin.twin import Twin
from hybridtwin.units import steps

LEVELS: Final = (0.05, 0.5, 0.95)
"""Quantiles that a day leaves of every slow parameter."""
DAY_COLUMNS: Final = (*DIRECTIONS, "sensitivity_at_day_end", "sensitivity_of_day")
"""Of what: both sensitivities are sums of what wanders over weeks and within the day."""
_LOOK_BACK: Final = pd.Timedelta(minutes=LOOK_BACK_MIN)


@dataclass(frozen=True)
class Checkpoint:
    """The filter's state at a grid point.

    Attributes:
        time: When.
        members: (M, D), see `state`.
        log_weights: (M,).
    """

    time: pd.Timestamp
    members: Tensor
    log_weights: Tensor

    def ensemble(self) -> Ensemble:
        """As one of N = 1 people."""
        return Ensemble(self.members.unsqueeze(0), self.log_weights.unsqueeze(0))

    def equally_likely(self) -> Tensor:
        """(M, D) members, each as often as its weight says."""
        chosen = systematic(self.log_weights.exp().unsqueeze(0), torch.tensor([0.5]))
        return self.members[chosen[0]]


@dataclass(frozen=True)
class Assimilated:
    """What is held true of one person: a value, advanced by `assimilate`.

    Attributes:
        twin: Whose it is, see `identity`.
        recent: What arrived and still bears on the last hours.
        grid: Its events on the grid, from the first checkpoint on.
        checkpoints: Of the filter, oldest first; the last is the present.
        days: By local date as YYYY-MM-DD, see `day_quantiles`, as the day ended.
    """

    twin: str
    recent: Recent
    grid: Grid
    checkpoints: tuple[Checkpoint, ...]
    days: Mapping[str, Tensor]

    @property
    def time(self) -> pd.Timestamp:
        """Grid time of the last reading."""
        return self.checkpoints[-1].time

    @property
    def time_zone(self) -> str:
        """Where the person lives."""
        return self.recent.events.profile.time_zone


def identity(twin: Twin) -> str:
    """What tells a twin from others: its training run, its name and what is personal."""
    person = twin.person
    parts = (person.embedding, person.scores, person.weight_kg, person.beta_cells)
    digest = hashlib.sha256(b"".join(part.detach().numpy().tobytes() for part in parts))
    return f"{twin.config.version} {twin.config.name} {digest.hexdigest()[:8]}"


def assimilate(
    twin: Twin, held: Assimilated | None, arrived: Record, settings: AssimilationSettings
) -> Assimilated:
    """What is held true of a person after more of the stream has arrived.

    Args:
        twin: Whose weights; the person's own or the population's.
        held: What was held true before; None begins.
        arrived: Readings, doses, meals and so on; it may overlap with what arrived before.
        settings: How.

    Raises:
        HistoryError: There are too few readings to begin.
        ModelError: What is held belongs to another twin.
        RecordError: What arrived belongs to another person.
    """
    with torch.inference_mode():
        if held is None:
            held = _begin(twin, arrived, settings)
        check_same(twin, held, arrived)
        people = twin.person_for(arrived.profile)
        recent = held.recent.and_(arrived)
        base, end = held.grid.start, max([held.time, *recent.last()])
        grid = held.grid
        if recent.events is not held.recent.events or not grid.covers(base, end):
            grid = grid_of(recent.events, base, end)
        old, new = (held.grid, held.recent.readings), (grid, recent.readings)
        agreed = base + agree_until(old, new, held.time) * STEP
        kept = [checkpoint for checkpoint in held.checkpoints if checkpoint.time <= agreed]
        zone = arrived.profile.time_zone
        days = {day: row for day, row in held.days.items() if day < day_of(kept[-1].time, zone)}
        for checkpoint in _walked(twin, people, kept[-1], grid, recent.readings, end, settings):
            before = day_of(kept[-1].time, zone)
            if day_of(checkpoint.time, zone) != before:
                days[before] = day_quantiles(checkpoint)
            kept.append(checkpoint)
        kept = _needed(kept, settings)
    if kept[0].time != base:
        recent = recent.since(kept[0].time)
        grid = grid_of(recent.events, kept[0].time, end)
    days = {day: days[day] for day in sorted(days)[-settings.path_days :]}
    return Assimilated(held.twin, recent, grid, tuple(kept), days)


def _needed(checkpoints: Sequence[Checkpoint], settings: AssimilationSettings) -> list[Checkpoint]:
    """Those from which the hours within reach can be walked again, few though they are.

    The last two, since readings come within one step of the grid too, and some at fixed times.
    """
    reach = steps(settings.reach_hours * MIN_PER_H)
    fixed = [one for one in checkpoints[:-2] if grid_point(one.time) % reach == 0]
    beyond = checkpoints[-1].time - reach * STEP
    old = [one for one in (*checkpoints[:1], *fixed) if one.time <= beyond]
    base = old[-1:] or list(checkpoints[:1])
    return [*base, *(one for one in fixed if one.time > base[0].time), *checkpoints[-2:]]


def another_twin(found: str, twin: Twin) -> ModelError:
    """What is held belongs to the twin of that identity, not to this one."""
    what = f"it belongs to the twin {found!r}, not to {identity(twin)!r}"
    return ModelError([Problem("the assimilated state", what, "Begin anew from the record.")])


def check_same(twin: Twin, held: Assimilated, record: Record) -> None:
    """Refuse another twin's state, and another person's record.

    Raises:
        ModelError: What is held belongs to another twin.
        RecordError: The record belongs to another person.
    """
    if held.twin != identity(twin):
        raise another_twin(held.twin, twin)
    expected, found = held.recent.events.profile.participant, record.profile.participant
    if expected != found:
        raise RecordError.of(
            "profile.participant",
            f"{found!r} is not {expected!r}, whose state is held",
            "Send each person's stream to their own state.",
        )


def _begin(twin: Twin, record: Record, settings: AssimilationSettings) -> Assimilated:
    """The encoder's belief at the first reading that has enough of them before it."""
    first = record.before(_first_start(record.glucose["time"]))
    belief = twin.believe(first, members=1)
    members = begun(belief.present, design(FILTERED, settings.members), settings)
    ensemble = Ensemble.equal(members.unsqueeze(0))
    checkpoint = Checkpoint(belief.time, members, ensemble.log_weights[0])
    recent = Recent.of(first)
    grid = grid_of(recent.events, belief.time, belief.time)
    return Assimilated(identity(twin), recent, grid, (checkpoint,), {})


def _first_start(times: pd.Series) -> pd.Timestamp:
    """The first reading from which a forecast can start; else the last, to be refused there."""
    for i in range(MIN_READINGS - 1, len(times)):
        long_enough = times.iloc[i] - times.iloc[0] >= _LOOK_BACK / 2
        if long_enough and times.iloc[i] - times.iloc[i - MIN_READINGS + 1] < _LOOK_BACK:
            return times.iloc[i]
    return times.iloc[-1] if len(times) else pd.Timestamp(0, tz="UTC")


def day_of(time: pd.Timestamp, time_zone: str) -> str:
    """The local date, as YYYY-MM-DD."""
    return f"{time.tz_convert(time_zone):%Y-%m-%d}"


def day_quantiles(checkpoint: Checkpoint) -> Tensor:
    """(3, C) quantiles of `DAY_COLUMNS` at `LEVELS`."""
    members = checkpoint.equally_likely()
    slow = members[:, SLOW]
    sums = [slow[:, SENSITIVITIES].sum(1, keepdim=True), members[:, TODAY : TODAY + 1]]
    found = torch.cat([slow, *sums], dim=1)
    # Half precision, so that months of days stay small.
    return torch.quantile(found, torch.tensor(LEVELS), dim=0).half()


def _walked(
    twin: Twin,
    people: People,
    checkpoint: Checkpoint,
    grid: Grid,
    readings: Readings,
    end: pd.Timestamp,
    settings: AssimilationSettings,
) -> Iterator[Checkpoint]:
    """From a checkpoint to a time, grid point by grid point."""
    # A twin that forecasts by machine code is kept current by it, too.
    take = step if twin.walk is walk else native_step()
    ensemble, model = checkpoint.ensemble(), twin.model
    first, last = (round((time - grid.start) / STEP) for time in (checkpoint.time, end))
    start = grid_point(grid.start)
    read = readings.on_grid(start, last + 1) if last > first else {}
    for k in range(first, last):
        now, at = slice(k, k + 1), start + k + 1
        happened = Happened(grid.values[now], grid.known[now], grid.minute_of_day[now])
        drawn = chance("step", at, settings)
        ensemble = advance(model, people, ensemble, happened, drawn, settings, take)
        for source, of_source in read.items():
            reading = of_source[k + 1 : k + 2]
            if not bool(reading.isnan()):
                drawn = chance(source, at, settings)
                ensemble = correct(ensemble, reading, source, drawn, settings)
        time = grid.start + (k + 1) * STEP
        yield Checkpoint(time, ensemble.members[0], ensemble.log_weights[0])
