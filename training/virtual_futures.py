"""Futures of virtual people: what happened, and what would have happened with one change.

The history is what was logged, with all that people misjudge and forget; what comes, and the
glucose that follows, is the truth.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.history import Grid, join
from hybridtwin.timeline import BOLUS, CARBS, CHANNEL, CHANNELS, Timeline, to_timeline
from hybridtwin.units import STEP_MIN, steps
from hybridtwin.virtual.changes import Change, Inputs, changed
from hybridtwin.virtual.life import VirtualPerson
from hybridtwin.virtual.truth import Truth, replay
from training.batch import Batch, usable_anchors

INPUT_CHANNELS: Final = ("bolus_u", "basal_u", "carbs_g")
AS_IT_WAS: Final = "as_it_was"
"""The kind of a future in which nothing is changed."""
_COLUMNS: Final = [CHANNEL[name] for name in INPUT_CHANNELS]
_KNOWN: Final = [CHANNEL[name] for name in (*BOLUS, "basal_u", *CARBS)]
_BEFORE_EVENT_MIN: Final = 30
_EVENT_SHARE: Final = 0.5
_CHUNK: Final = 512


@dataclass(frozen=True)
class Moments:
    """M moments in virtual people's lives, each (M,).

    Attributes:
        person: Index.
        step: Of the person's truth.
    """

    person: NDArray[np.int64]
    step: NDArray[np.int64]


@dataclass(frozen=True)
class Futures:
    """F futures from M moments, in the order of the moments; of each, first what happened.

    Attributes:
        grid: The people's timelines, as logged.
        anchor: (M,) grid point of each moment.
        person: (M,) index.
        moment: (F,) index of each future's moment.
        kind: F kinds of change.
        inputs: (F, H, 3) of `INPUT_CHANNELS` per step.
        glucose_mg_dl: (F, H) true glucose at the end of each step.
    """

    grid: Grid
    anchor: Tensor
    person: Tensor
    moment: Tensor
    kind: list[str]
    inputs: Tensor
    glucose_mg_dl: Tensor

    def __len__(self) -> int:
        return len(self.moment)

    @cached_property
    def happened(self) -> Tensor:
        """(M,) index of each moment's future in which nothing is changed."""
        return torch.nonzero(torch.tensor([kind == AS_IT_WAS for kind in self.kind])).flatten()

    @cached_property
    def changed(self) -> Tensor:
        """(F - M,) index of the others."""
        return torch.nonzero(torch.tensor([kind != AS_IT_WAS for kind in self.kind])).flatten()

    def batch(self, chosen: Tensor) -> Batch:
        """The futures of an index (B,) as windows, all that comes being known."""
        moment = self.moment[chosen]
        history = self.grid.history(self.anchor[moment])
        count, horizon = self.glucose_mg_dl[chosen].shape
        known = torch.zeros(len(CHANNELS), dtype=torch.bool)
        known[_KNOWN] = True
        ahead = STEP_MIN * torch.arange(horizon)
        return Batch(
            history=history,
            events=self.events(chosen),
            events_known=known.expand(count, horizon, -1),
            minute_of_day=(history.minute_of_day.unsqueeze(-1) + ahead) % MINUTES_PER_DAY,
            target_mg_dl=self.glucose_mg_dl[chosen],
            target_known=torch.ones(count, horizon, dtype=torch.bool),
            person=self.person[moment],
        )

    def events(self, chosen: Tensor) -> Tensor:
        """(B, H, C) channels of the futures of an index (B,)."""
        inputs = self.inputs[chosen]
        events = inputs.new_zeros(*inputs.shape[:2], len(CHANNELS))
        events[..., _COLUMNS] = inputs
        return events


def draw_moments(
    people: Sequence[VirtualPerson], per_person: int, first_day: float, horizon_min: int, seed: int
) -> Moments:
    """Draw moments with a reading, from a day of the record on; half just before meals or boluses.

    Args:
        people: Whose.
        per_person: How many of each.
        first_day: Days from the beginning of the record.
        horizon_min: How much of the truth must follow.
        seed: Of the draw.
    """
    persons, chosen = [], []
    for index, one in enumerate(people):
        rng = np.random.default_rng([seed, index])
        timeline = to_timeline(one.record)
        usable = usable_anchors(join([timeline]))[-len(timeline) :].numpy()
        offset = one.truth.index(timeline.start)
        step = np.flatnonzero(usable) + offset
        last = len(one.truth) - steps(horizon_min)
        step = step[(step >= steps(first_day * MINUTES_PER_DAY)) & (step <= last)]
        soon = step[_before_event(one.truth)[step]]
        before = rng.choice(soon, min(round(_EVENT_SHARE * per_person), len(soon)), replace=False)
        others = np.setdiff1d(step, before)
        rest = rng.choice(others, per_person - len(before), replace=False)
        chosen.append(np.sort(np.concatenate([before, rest])))
        persons.append(np.full(per_person, index))
    return Moments(np.concatenate(persons), np.concatenate(chosen))


def _before_event(truth: Truth) -> NDArray[np.bool_]:
    """(T,) whether a meal or a bolus begins within half an hour."""
    inputs = Inputs(truth.carbs_g_min, truth.insulin_u_min)
    eats = truth.carbs_g_min.reshape(-1, STEP_MIN).sum(axis=1) > 0
    begins = eats & ~np.roll(eats, 1)
    begins |= inputs.bolus_u()[::STEP_MIN] > 0
    # The step after the last is none, so a window's sum is a difference of running totals.
    total = np.concatenate([[0], begins.cumsum(), np.full(steps(_BEFORE_EVENT_MIN), begins.sum())])
    soon: NDArray[np.bool_] = total[steps(_BEFORE_EVENT_MIN) : -1] > total[: len(begins)]
    return soon


def make_futures(
    people: Sequence[VirtualPerson],
    moments: Moments,
    alternatives: Callable[[], Sequence[Change]],
    horizon_min: int,
) -> Futures:
    """What happened from each moment on, and what would have happened with one change.

    Args:
        people: Whose.
        moments: When.
        alternatives: Changes to try, asked at each moment; those that there is nothing soon for
            are left out.
        horizon_min: How far.
    """
    moment, kinds, inputs, glucose = [], [], [], []
    for chunk in np.array_split(np.arange(len(moments.person)), len(moments.person) // _CHUNK + 1):
        whose, what, coming = [], [], []
        for index in chunk:
            truth = people[moments.person[index]].truth
            factual = Inputs(*truth.inputs(moments.step[index], horizon_min))
            tried = [(str(one.kind), changed(factual, one)) for one in alternatives()]
            futures = [(AS_IT_WAS, factual)]
            futures += [(kind, other) for kind, other in tried if other is not None]
            whose += [index] * len(futures)
            what += [kind for kind, _ in futures]
            coming += [one for _, one in futures]
        moment.append(np.array(whose))
        kinds += what
        inputs.append(np.stack([_per_step(one) for one in coming]))
        glucose.append(_replayed(people, moments, moment[-1], coming))
    timelines = [to_timeline(one.record) for one in people]
    grid = join(timelines)
    return Futures(
        grid=grid,
        anchor=_anchors(people, timelines, grid, moments),
        person=torch.from_numpy(moments.person),
        moment=torch.from_numpy(np.concatenate(moment)),
        kind=kinds,
        inputs=torch.from_numpy(np.concatenate(inputs)),
        glucose_mg_dl=torch.from_numpy(np.concatenate(glucose)),
    )


def _anchors(
    people: Sequence[VirtualPerson], timelines: Sequence[Timeline], grid: Grid, moments: Moments
) -> Tensor:
    first = [
        offset - one.truth.index(timeline.start)
        for one, timeline, offset in zip(people, timelines, grid.offsets, strict=True)
    ]
    return torch.from_numpy(np.array(first)[moments.person] + moments.step)


def _per_step(inputs: Inputs) -> NDArray[np.float32]:
    """(H, 3) of `INPUT_CHANNELS`."""
    parts = (inputs.bolus_u(), inputs.basal_u_min(), inputs.carbs_g_min)
    totals = [part.reshape(-1, STEP_MIN).sum(axis=1) for part in parts]
    return np.stack(totals, axis=-1).astype(np.float32)


def _replayed(
    people: Sequence[VirtualPerson],
    moments: Moments,
    whose: NDArray[np.int64],
    inputs: Sequence[Inputs],
) -> NDArray[np.float32]:
    """(F, H) true glucose at the end of each step, of the futures of the moments `whose` (F,)."""
    glucose = replay(
        [people[person].truth for person in moments.person[whose]],
        moments.step[whose].tolist(),
        np.stack([one.carbs_g_min for one in inputs]),
        np.stack([one.insulin_u_min for one in inputs]),
    )
    return glucose[:, 1:].astype(np.float32)
