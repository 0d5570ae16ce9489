"""Windows for training, cut from many people's timelines."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from hybridtwin.history import Grid, join
from hybridtwin.record_files import fingerprint, load_record, record_folders
from hybridtwin.units import steps
from training.batch import Batch, Participants, cut_batch, learning_part, usable_anchors
from training.folds import folds
from training.virtual_pairs import Pairs, load_pairs, make_pairs, save_pairs


@dataclass(frozen=True)
class Pool:
    """All windows that may be drawn: anchors (N,), whose they are (N,), how likely each is (N,)."""

    anchors: Tensor
    person: Tensor
    weight: Tensor


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
        pairs: Futures of virtual people beside the recordings, if any.
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
        pairs: Pairs | None = None,
    ) -> None:
        super().__init__()
        self.pairs = pairs
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
        seed: Of the validation windows, and of the virtual people.
        fold: The fold of people to leave out, so that they can be scored as people never seen;
            None leaves out nobody.
        folds: How many folds there are.
        virtual_people: Virtual people whose paired futures teach what doses and meals do; 0 is
            none.
        virtual_days: Days that each of them lives.
        virtual_folder: Where their futures are kept, to be made once.
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
        fold: int | None = None,
        folds: int = 3,
        virtual_people: int = 0,
        virtual_days: float = 14,
        virtual_folder: Path = Path("checkpoints"),
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
        self.fold = fold
        self.folds = folds
        self.virtual_people = virtual_people
        self.virtual_days = virtual_days
        self.virtual_folder = virtual_folder
        self.fingerprint = ""

    def setup(self, stage: str) -> None:
        """Read the records once and cut off what is for scoring."""
        if self.fingerprint:
            return
        loaded = [load_record(home) for folder in self.records for home in record_folders(folder)]
        if self.fold is not None:
            kept = zip(loaded, folds(loaded, self.folds), strict=True)
            loaded = [record for record, fold in kept if fold != self.fold]
        self.read(learning_part(loaded, self.learn_fraction))
        if self.virtual_people:
            self.pairs = self._virtual_pairs()
        self.fingerprint = fingerprint(loaded)

    def _virtual_pairs(self) -> Pairs:
        made = f"pairs-{self.virtual_people}-{self.virtual_days:g}-{self.seed}.pt"
        path = self.virtual_folder / made
        if path.is_file():
            return load_pairs(path)
        pairs = make_pairs(self.virtual_people, self.virtual_days, seed=self.seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        save_pairs(pairs, path)
        return pairs
