"""Windows for training, cut from many people's timelines."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from hybridtwin.errors import HistoryError
from hybridtwin.history import Grid, History, join, stretches
from hybridtwin.physiology.covariates import beta_cells, prior_scores
from hybridtwin.physiology.parameters import DEFAULT_WEIGHT_KG
from hybridtwin.record import Record
from hybridtwin.record_files import fingerprint, load_record, record_folders
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


@dataclass(frozen=True)
class Pool:
    """All windows that may be drawn: anchors (N,), whose they are (N,), how likely each is (N,)."""

    anchors: Tensor
    person: Tensor
    weight: Tensor


def usable_anchors(grid: Grid) -> Tensor:
    """(N,) whether a forecast can start there: an original reading with history behind it."""
    known = grid.known[CHANNEL["glucose_mg_dl"]].int().cumsum(0)
    before = torch.zeros_like(known)
    before[_LOOK_BACK_STEPS:] = known[:-_LOOK_BACK_STEPS]
    return grid.original & (known - before >= _MIN_READINGS)


class Draws(IterableDataset[Batch]):
    """An endless draw, or a fixed sweep, of batches."""

    def __init__(
        self,
        grid: Grid,
        pool: Pool,
        batch_sizes: tuple[int, ...],
        horizons_steps: tuple[int, ...],
        batches: int,
        seed: int | None,
    ) -> None:
        super().__init__()
        self.grid, self.pool = grid, pool
        self.batch_sizes, self.horizons_steps, self.batches = batch_sizes, horizons_steps, batches
        self.seed = seed

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[Batch]:
        generator = None
        if self.seed is not None:
            generator = torch.Generator().manual_seed(self.seed)
        for number in range(self.batches):
            horizon = self.horizons_steps[number % len(self.horizons_steps)]
            size = self.batch_sizes[number % len(self.batch_sizes)]
            drawn = torch.multinomial(self.pool.weight, size, replacement=True, generator=generator)
            yield cut_batch(self.grid, self.pool.anchors[drawn], self.pool.person[drawn], horizon)


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


class WindowData(lightning.LightningDataModule):
    """Windows from timelines.

    Args:
        participants: Whose.
        validation_fraction: Last share of each timeline, kept out to watch progress on.
        batch_sizes: Windows per batch, in turn with the horizons.
        horizons_min: Horizons, taken in turn batch by batch; a long one now and then teaches the
            night without paying for it in every batch.
        batches_per_epoch: Training batches in one epoch.
        validation_batches: Validation batches, the same ones each time.
        seed: Of the validation windows.
    """

    def __init__(
        self,
        participants: Participants | None = None,
        validation_fraction: float = 0.1,
        batch_sizes: tuple[int, ...] = (512, 512, 512, 512, 256),
        horizons_min: tuple[int, ...] = (120, 120, 120, 120, 480),
        batches_per_epoch: int = 100,
        validation_batches: int = 8,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.validation_fraction = validation_fraction
        self.batch_sizes = batch_sizes
        self.horizons_min = horizons_min
        self.batches_per_epoch = batches_per_epoch
        self.validation_batches = validation_batches
        self.seed = seed
        self.participants: Participants
        if participants is not None:
            self.read(participants)

    def read(self, participants: Participants) -> None:
        """Cut the windows of these people."""
        self.participants = participants
        grid = join(participants.timelines)
        usable = usable_anchors(grid)
        longest = steps(max(self.horizons_min))
        shares: list[list[tuple[Tensor, Tensor, Tensor]]] = [[], []]
        for person, (timeline, first) in enumerate(
            zip(participants.timelines, grid.offsets, strict=True)
        ):
            border = first + round((1 - self.validation_fraction) * len(timeline))
            end = first + len(timeline)
            for share, low, high in (
                (shares[0], first, border - longest),
                (shares[1], border, end - longest),
            ):
                rows = torch.arange(low, max(high, low))
                rows = rows[usable[rows]]
                # Between every window and every person counting the same.
                weight = torch.full((len(rows),), max(len(rows), 1) ** -0.5)
                share.append((rows, torch.full_like(rows, person), weight))
        self.grid = grid
        self.learn, self.validation = (
            Pool(*(torch.cat(part) for part in zip(*share, strict=True))) for share in shares
        )

    def train_dataloader(self) -> DataLoader[Batch]:
        """Random windows, new ones every epoch."""
        horizons = tuple(steps(minutes) for minutes in self.horizons_min)
        draws = Draws(
            self.grid, self.learn, self.batch_sizes, horizons, self.batches_per_epoch, None
        )
        return DataLoader(draws, batch_size=None)

    def val_dataloader(self) -> DataLoader[Batch]:
        """The same windows every time, at the longest horizon."""
        size, horizon = (max(self.batch_sizes),), (steps(max(self.horizons_min)),)
        draws = Draws(self.grid, self.validation, size, horizon, self.validation_batches, self.seed)
        return DataLoader(draws, batch_size=None)


class RecordData(WindowData):
    """Windows from folders of imported records.

    Args:
        records: Folders made by `hybridtwin import`.
        learn_fraction: First share of each participant's time to learn from; the rest is for
            scoring and is never read here.
        validation_fraction: See `WindowData`, as all that follow.
        batch_sizes: Windows per batch, in turn with the horizons.
        horizons_min: Horizons, minutes.
        batches_per_epoch: Training batches in one epoch.
        validation_batches: Validation batches.
        seed: Of the validation windows.
    """

    def __init__(
        self,
        records: list[Path],
        learn_fraction: float = 0.8,
        validation_fraction: float = 0.1,
        batch_sizes: tuple[int, ...] = (512, 512, 512, 512, 256),
        horizons_min: tuple[int, ...] = (120, 120, 120, 120, 480),
        batches_per_epoch: int = 100,
        validation_batches: int = 8,
        seed: int = 0,
    ) -> None:
        super().__init__(
            None,
            validation_fraction,
            batch_sizes,
            horizons_min,
            batches_per_epoch,
            validation_batches,
            seed,
        )
        self.records = records
        self.learn_fraction = learn_fraction
        self.fingerprint = ""

    def setup(self, stage: str) -> None:
        """Read the records once and cut off what is for scoring."""
        if self.fingerprint:
            return
        loaded = [load_record(home) for folder in self.records for home in record_folders(folder)]
        self.read(learning_part(loaded, self.learn_fraction))
        self.fingerprint = fingerprint(loaded)
