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

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from hybridtwin.assimilation.advance import Happened, advance, correct, generator, seed_of
from hybridtwin.assimilation.filters import Ensemble
from hybridtwin.assimilation.settings import AssimilationSettings
from hybridtwin.assimilation.state import SLOW, begun
from hybridtwin.assimilation.stream import (
    STEP,
    Stretch,
    agree_until,
    grid_point,
    merged,
    on_grid,
    since,
    stretch,
)
from hybridtwin.dynamics import step, walk
from hybridtwin.errors import ModelError, Problem, RecordError
from hybridtwin.events import Profile
from hybridtwin.hybrid import People
from hybridtwin.native import native_step
from hybridtwin.physiology.parameters import FITTED_COLUMNS
from hybridtwin.physiology.steady import MIN_PER_H
from hybridtwin.record import Record
from hybridtwin.resampling import systematic
from hybridtwin.trust import LOOK_BACK_MIN, MIN_READINGS
from hybridtwin.twin import Twin
from hybridtwin.units import steps

LEVELS: Final = (0.05, 0.5, 0.95)
"""Quantiles that a day leaves of every slow parameter."""
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
        checkpoints: Of the filter, oldest first; the last is the present.
        days: By local date as YYYY-MM-DD, (3, K) quantiles at `LEVELS` of the standard scores of
            `FITTED` parameters as the day ended.
    """

    twin: str
    recent: Record
    checkpoints: tuple[Checkpoint, ...]
    days: Mapping[str, Tensor]

    @property
    def time(self) -> pd.Timestamp:
        """Grid time of the last reading."""
        return self.checkpoints[-1].time


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
        recent = merged(held.recent, arrived)
        end = max([held.time, *map(on_grid, recent.glucose["time"].tail(1))])
        base = held.checkpoints[0].time
        new = stretch(recent, base, end)
        agreed = base + agree_until(stretch(held.recent, base, held.time), new) * STEP
        kept = [checkpoint for checkpoint in held.checkpoints if checkpoint.time <= agreed]
        days = {day: row for day, row in held.days.items() if day < day_of(kept[-1].time, recent)}
        for checkpoint in _walked(twin, people, kept[-1], new, recent.profile, settings):
            before = day_of(kept[-1].time, recent)
            if day_of(checkpoint.time, recent) != before:
                days[before] = quantiles(checkpoint, people)
            kept.append(checkpoint)
        kept = _needed(kept, settings)
    return Assimilated(
        identity(twin),
        recent if kept[0].time == base else since(recent, kept[0].time),
        tuple(kept),
        {day: days[day] for day in sorted(days)[-settings.path_days :]},
    )


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
    expected, found = held.recent.profile.participant, record.profile.participant
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
    chance = generator(seed_of(record.profile.participant), "begin", grid_point(belief.time))
    score_sd = twin.config.score_sd if twin.config.fitted else settings.score_sd
    shape = (settings.members, 1 + len(FITTED_COLUMNS))
    normal = torch.from_numpy(chance.standard_normal(shape, dtype=np.float32))
    members = begun(belief.present, normal, score_sd, settings.plasma_sd_per_h)
    ensemble = Ensemble.equal(members.unsqueeze(0))
    checkpoint = Checkpoint(belief.time, members, ensemble.log_weights[0])
    return Assimilated(identity(twin), first, (checkpoint,), {})


def _first_start(times: pd.Series) -> pd.Timestamp:
    """The first reading from which a forecast can start; else the last, to be refused there."""
    for i in range(MIN_READINGS - 1, len(times)):
        long_enough = times.iloc[i] - times.iloc[0] >= _LOOK_BACK / 2
        if long_enough and times.iloc[i] - times.iloc[i - MIN_READINGS + 1] < _LOOK_BACK:
            return times.iloc[i]
    return times.iloc[-1] if len(times) else pd.Timestamp(0, tz="UTC")


def day_of(time: pd.Timestamp, record: Record) -> str:
    """The local date, as YYYY-MM-DD."""
    return f"{time.tz_convert(record.profile.time_zone):%Y-%m-%d}"


def quantiles(checkpoint: Checkpoint, people: People) -> Tensor:
    """(3, K) quantiles at `LEVELS` of the standard scores of `FITTED` parameters."""
    scores = people.scores[:, FITTED_COLUMNS] + checkpoint.equally_likely()[:, SLOW]
    # Half precision, so that months of days stay small.
    return torch.quantile(scores, torch.tensor(LEVELS), dim=0).half()


def _walked(
    twin: Twin,
    people: People,
    checkpoint: Checkpoint,
    over: Stretch,
    profile: Profile,
    settings: AssimilationSettings,
) -> Iterator[Checkpoint]:
    """From a checkpoint to the end of a stretch, grid point by grid point."""
    # A twin that forecasts by machine code is kept current by it, too.
    take = step if twin.walk is walk else native_step()
    seed, ensemble, model = seed_of(profile.participant), checkpoint.ensemble(), twin.model
    first = round((checkpoint.time - over.start) / STEP)
    for k in range(first, len(over) - 1):
        now = slice(k, k + 1)
        happened = Happened(over.values[now], over.known[now], over.minute_of_day[now])
        time = over.start + (k + 1) * STEP
        at = grid_point(time)
        noise = generator(seed, "step", at)
        ensemble = advance(model, people, ensemble, happened, [noise], settings, take)
        for source, readings in over.readings.items():
            reading = readings[k + 1 : k + 2]
            if not bool(reading.isnan()):
                chance = generator(seed, source, at)
                ensemble = correct(model, ensemble, reading, source, [chance], settings)
        yield Checkpoint(time, ensemble.members[0], ensemble.log_weights[0])
