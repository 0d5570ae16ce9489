"""Windows with what followed, and whose they are."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from hybridtwin.errors import HistoryError
from hybridtwin.history import Grid, History, stretches
from hybridtwin.physiology.covariates import beta_cells, prior_scores
from hybridtwin.physiology.parameters import DEFAULT_WEIGHT_KG
from hybridtwin.record import Record
from hybridtwin.timeline import BOLUS, CARBS, CHANNEL, LONG_ACTING, Timeline, to_timeline
from hybridtwin.units import steps

# An anchor needs this many readings in the six hours before it: a 15-minute sensor's, halved.
_LOOK_BACK_STEPS = steps(6 * 60)
_MIN_READINGS = 12


@dataclass(frozen=True)
class Batch:
    """B windows: history, what then happened, and whose they are.

    Attributes:
        history: Before the anchors.
        events: (B, H, C) channels of the steps that follow.
        events_known: (B, H, C).
        minute_of_day: (B, H) at the start of each step.
        target_mg_dl: (B, H) readings at the end of each step.
        target_known: (B, H) whether there is an original one.
        person: (B,) index.
    """

    history: History
    events: Tensor
    events_known: Tensor
    minute_of_day: Tensor
    target_mg_dl: Tensor
    target_known: Tensor
    person: Tensor

    def to(self, device: torch.device) -> "Batch":
        """The batch on another device; Lightning asks for it."""
        history = {f.name: getattr(self.history, f.name).to(device) for f in fields(History)}
        rest = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "history"}
        return Batch(History(**history), **{name: part.to(device) for name, part in rest.items()})


def cut_batch(grid: Grid, anchors: Tensor, person: Tensor, horizon_steps: int) -> Batch:
    """Cut windows at grid points `anchors` (B,)."""
    glucose = CHANNEL["glucose_mg_dl"]
    return Batch(
        history=grid.history(anchors),
        events=stretches(grid.values, anchors, horizon_steps).movedim(0, -1),
        events_known=stretches(grid.known, anchors, horizon_steps).movedim(0, -1),
        minute_of_day=stretches(grid.minute_of_day, anchors, horizon_steps).float(),
        target_mg_dl=stretches(grid.values[glucose], anchors + 1, horizon_steps),
        target_known=stretches(grid.original, anchors + 1, horizon_steps),
        person=person,
    )


_WITHHELD_TOGETHER = (
    BOLUS,
    ("basal_u", *LONG_ACTING),
    (*CARBS, "fat_g", "protein_g", "alcohol_g"),
    ("heart_rate_bpm", "steps", "stated_exertion", "stated_sprint"),
)


def augmented(batch: Batch, withheld_share: float, clock_jitter_min: float) -> Batch:
    """The batch with some channels' history withheld and the clock a little off.

    People lack channels and keep no exact hours; a model that has seen neither trusts both too
    much.

    Args:
        batch: Windows.
        withheld_share: Chance of each kind of channel to be unknown throughout a history.
        clock_jitter_min: Largest shift of the clock, minutes.
    """
    count = len(batch.person)
    kept = torch.ones(count, 1, batch.events.shape[-1], dtype=torch.bool)
    for names in _WITHHELD_TOGETHER:
        hit = torch.rand(count, 1) < withheld_share
        for name in names:
            kept[..., CHANNEL[name]] &= ~hit
    jitter = clock_jitter_min * (2 * torch.rand(count) - 1)
    history = replace(
        batch.history,
        events=batch.history.events * kept,
        events_known=batch.history.events_known & kept,
        minute_of_day=batch.history.minute_of_day + jitter,
    )
    return replace(batch, history=history, minute_of_day=batch.minute_of_day + jitter.unsqueeze(-1))


def usable_anchors(grid: Grid) -> Tensor:
    """(N,) whether a forecast can start there: an original reading with history behind it."""
    known = grid.known[CHANNEL["glucose_mg_dl"]].int().cumsum(0)
    before = torch.zeros_like(known)
    before[_LOOK_BACK_STEPS:] = known[:-_LOOK_BACK_STEPS]
    return grid.original & (known - before >= _MIN_READINGS)


@dataclass(frozen=True)
class Participants:
    """Whose timelines a training run reads, in the order of its person index.

    Attributes:
        names: N pseudonyms.
        weights_kg: (N,).
        prior_scores: (N, P) by which covariates move each one's prior.
        beta_cells: (N,) share of healthy beta-cell function.
        timelines: N.
    """

    names: list[str]
    weights_kg: Tensor
    prior_scores: Tensor
    beta_cells: Tensor
    timelines: list[Timeline]


def learning_part(records: Sequence[Record], fraction: float) -> Participants:
    """The first `fraction` of each person's time, as it was known then.

    Raises:
        HistoryError: No record holds glucose.
    """
    usable = [record for record in records if not record.glucose.empty]
    if not usable:
        raise HistoryError.of("records", "no record holds glucose", "Import some that do.")
    timelines = []
    for record in usable:
        times = record.glucose["time"]
        border = times.iloc[0] + fraction * (times.iloc[-1] - times.iloc[0])
        timelines.append(to_timeline(record.before(border), border))
    return Participants(
        [record.profile.participant for record in usable],
        torch.tensor([record.profile.weight_kg or DEFAULT_WEIGHT_KG for record in usable]),
        torch.stack([prior_scores(record.profile) for record in usable]),
        torch.tensor([beta_cells(record.profile) for record in usable]),
        timelines,
    )
