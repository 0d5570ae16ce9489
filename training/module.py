"""The Lightning module that trains the population twin."""

import functools
import itertools
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import lightning
import torch
from torch import Tensor, nn

from hybridtwin.dynamics import Walk, compiled_step, walk
from hybridtwin.errors import ModelError
from hybridtwin.hybrid import (
    HybridModel,
    ModelShape,
    People,
    usual_basal_u_min,
)
from hybridtwin.inputs import Future, as_recorded
from hybridtwin.physiology.parameters import NAMES
from hybridtwin.timeline import CHANNEL
from hybridtwin.units import STEP_MIN, steps
from training.batch import Batch, Participants, augmented
from training.data import WindowData
from training.losses import effect_error, inside_80, pinball_loss, trajectory_scale_mg_dl
from training.virtual_pairs import Pairs

_REPORTED_MIN = (30, 60, 120, 240, 480)
_BATCHES_TO_STANDARDISE: Final = 8
PLANNED: Final = ("bolus_u", "basal_u", "carbs_g")
"""The channels that a complete plan states."""


def what_followed(batch: Batch, is_open: Tensor, usual_basal: Tensor) -> Future:
    """The future as the plan has it: known doses and meals if complete, the usual basal if open.

    Args:
        batch: Windows.
        is_open: (B,) bool.
        usual_basal: (B,) U/min.
    """
    shown = batch.events * ~is_open[:, None, None]
    delivered = shown[..., CHANNEL["basal_u"]] / STEP_MIN
    basal = torch.where(is_open.unsqueeze(-1), usual_basal.unsqueeze(-1), delivered)
    return as_recorded(shown, batch.events_known, basal, batch.minute_of_day, is_open.float())


def together(first: Batch, second: Batch) -> Batch:
    """What follows in two batches, one after the other; the history is the first's alone."""
    return replace(
        first,
        events=torch.cat([first.events, second.events]),
        events_known=torch.cat([first.events_known, second.events_known]),
        minute_of_day=torch.cat([first.minute_of_day, second.minute_of_day]),
        target_mg_dl=torch.cat([first.target_mg_dl, second.target_mg_dl]),
        target_known=torch.cat([first.target_known, second.target_known]),
        person=torch.cat([first.person, second.person]),
    )


def is_complete(batch: Batch) -> Tensor:
    """(B,) whether every dose and meal of the horizon is known."""
    needed = [CHANNEL[name] for name in PLANNED]
    return batch.events_known[..., needed].all(-1).all(-1)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Without Lightning's warnings about its own use of torch and about our endless data."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        warnings.filterwarnings("ignore", message=".*(LeafSpec|IterableDataset|num_workers).*")
        yield


class TwinTraining(lightning.LightningModule):
    """Trains body priors, encoder, residual and spread across people.

    Args:
        shape: Sizes of the neural parts.
        learning_rate: Peak of the one-cycle schedule.
        weight_decay: Of AdamW.
        complete_share: Share of windows shown with their known future, which teaches what doses
            and meals do.
        nameless_share: Share of windows shown without who they belong to, so that the population
            twin serves people it has never seen.
        withheld_share: Chance of each kind of channel to be withheld from a window's history.
        clock_jitter_min: Largest shift of a window's clock, minutes.
        prior_weight: Of the standard scores' squares: how firmly the priors hold.
        spread_weight: Of the quantile loss against the trajectory's.
        paired_weight: Of the loss on virtual people's paired futures, where the data have any.
        paired_windows: Pairs drawn for it.
        paired_every: Every how many batches.
        people: Rows of the embedding table; at least the participants in the data.
        compiled_size: Batch size for which to compile the step: minutes at the start, several
            times faster after; 0 compiles nothing.
    """

    def __init__(
        self,
        shape: ModelShape | None = None,
        learning_rate: float = 3e-3,
        weight_decay: float = 0.01,
        complete_share: float = 0.3,
        nameless_share: float = 0.5,
        withheld_share: float = 0.0,
        clock_jitter_min: float = 0.0,
        prior_weight: float = 0.01,
        spread_weight: float = 1.0,
        paired_weight: float = 0.5,
        paired_windows: int = 256,
        paired_every: int = 2,
        people: int = 256,
        compiled_size: int = 0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["shape"])
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.complete_share = complete_share
        self.nameless_share = nameless_share
        self.withheld_share = withheld_share
        self.clock_jitter_min = clock_jitter_min
        self.prior_weight = prior_weight
        self.spread_weight = spread_weight
        self.paired_weight = paired_weight
        self.paired_windows = paired_windows
        self.paired_every = paired_every
        self.walk: Walk = walk
        if compiled_size:
            self.walk = functools.partial(walk, advance=compiled_step(compiled_size))
        self.model = HybridModel(shape or ModelShape())
        self.embedding = nn.Parameter(torch.zeros(people, self.model.shape.embedding))
        self.scores = nn.Parameter(torch.zeros(people, len(NAMES)))
        self._errors: list[tuple[Tensor, Tensor, Tensor]] = []

    def on_fit_start(self) -> None:
        """Refuse more people than there are rows; see what the encoder will usually read."""
        data: WindowData = self.trainer.datamodule  # type: ignore[attr-defined]
        found = len(data.participants.names)
        if data.pairs:
            found += len(data.pairs.participants.names)
        if found > len(self.embedding):
            raise ModelError.of(
                "model.people",
                f"room for {len(self.embedding)} people, but there are {found} with the virtual",
                f"Set --model.people {found} or more.",
            )

        self.standardise(data)

    def standardise(self, data: WindowData) -> None:
        """Tell the encoder what its features usually are."""
        read = []
        with torch.no_grad():
            for batch in itertools.islice(data.train_dataloader(), _BATCHES_TO_STANDARDISE):
                people = self.model.population(len(batch.person))
                read.append(self.model.read(batch.history, people))
        self.model.encoder.standardise(torch.cat(read))

    def everyone(self, participants: Participants) -> People:
        """Row 0 is the population, row 1 + i person i."""
        return with_own(self.model.population(1), participants, self.embedding, self.scores)

    def run(self, batch: Batch, rows: Tensor, is_open: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Trajectory (B, H), log quantiles (B, H, Q) and a penalty on far-fetched parameters."""
        data: WindowData = self.trainer.datamodule  # type: ignore[attr-defined]
        people = self.everyone(data.participants)
        present = self.model.begin(batch.history, people, rows)
        theirs = people.rows(rows)
        future = what_followed(batch, is_open, usual_basal_u_min(batch.history, theirs.values()))
        trajectory = self.model.roll(present, future, self.walk if self.training else walk)
        minutes = STEP_MIN * torch.arange(1.0, trajectory.shape[1] + 1)
        quantiles = self.model.log_quantiles(present, future.is_open, minutes)
        shift = present.people.scores - theirs.scores
        penalty = shift.square().mean() + self.far_fetched()
        return trajectory, quantiles, penalty

    def far_fetched(self) -> Tensor:
        """Mean square of the standard scores, the population's and everyone's."""
        return self.model.population_scores.square().mean() + self.scores.square().mean()

    def training_step(self, batch: Batch, number: int) -> Tensor:
        """Loss of one batch: trajectory, spread, priors."""
        batch = augmented(batch, self.withheld_share, self.clock_jitter_min)
        count = len(batch.person)
        nameless = torch.rand(count) < self.nameless_share
        rows = torch.where(nameless, 0, batch.person + 1)
        is_open = (torch.rand(count) >= self.complete_share) | ~is_complete(batch)
        trajectory, quantiles, penalty = self.run(batch, rows, is_open)
        minutes = STEP_MIN * torch.arange(1.0, trajectory.shape[1] + 1)
        known = batch.target_known.float()
        total = known.sum().clamp(min=1)
        scaled = (trajectory - batch.target_mg_dl) / trajectory_scale_mg_dl(minutes)
        fit = (scaled.square() * known).sum() / total
        pinball = (
            pinball_loss(batch.target_mg_dl, trajectory.detach(), quantiles) * known
        ).sum() / total
        loss: Tensor = fit + self.spread_weight * pinball + self.prior_weight * penalty
        self.log_dict({"train/loss": loss, "train/fit": fit, "train/pinball": pinball})
        data: WindowData = self.trainer.datamodule  # type: ignore[attr-defined]
        if data.pairs and number % self.paired_every == 0:
            paired_fit, effect = self.paired_losses(data.pairs, len(data.participants.names))
            self.log_dict({"train/paired_fit": paired_fit, "train/effect": effect})
            loss = loss + self.paired_weight * (paired_fit + effect)
        if not torch.isfinite(loss):
            raise FloatingPointError("the training loss is not finite: lower learning_rate")
        return loss

    def paired_losses(self, pairs: Pairs, first: int) -> tuple[Tensor, Tensor]:
        """Losses on virtual people of whom two futures are known.

        Args:
            pairs: The futures.
            first: Row of their first person among what is personal.

        Returns:
            How far both trajectories miss, as of recordings; how far their difference misses,
            relative to its size.
        """
        happened, changed = pairs.draw(self.paired_windows)
        count = len(happened.person)
        named = (torch.rand(count, 1) >= self.nameless_share).float()
        base, own, row = self.model.population(1), pairs.participants, first + happened.person
        people = People(
            base.embedding + named * self.embedding[row],
            base.scores + own.prior_scores[happened.person] + named * self.scores[row],
            own.weights_kg[happened.person],
            own.beta_cells[happened.person],
        )
        # Both futures in one roll, of the size that the step is compiled for.
        both = torch.arange(count).repeat(2)
        present = self.model.begin(happened.history, people).rows(both)
        futures = together(happened, changed)
        complete = torch.zeros(2 * count, dtype=torch.bool)
        future = what_followed(futures, complete, torch.zeros(2 * count))
        trajectory = self.model.roll(present, future, self.walk)
        minutes = STEP_MIN * torch.arange(1.0, trajectory.shape[1] + 1)
        scaled = (trajectory - futures.target_mg_dl) / trajectory_scale_mg_dl(minutes)
        expected = trajectory[count:] - trajectory[:count]
        effect = changed.target_mg_dl - happened.target_mg_dl
        return scaled.square().mean(), effect_error(expected, effect).mean()

    def validation_step(self, batch: Batch, number: int) -> None:
        """Errors of the nameless twin with an open plan, as for a person never seen."""
        rows = torch.zeros(len(batch.person), dtype=torch.long)
        is_open = torch.ones(len(batch.person), dtype=torch.bool)
        trajectory, quantiles, _ = self.run(batch, rows, is_open)
        inside = inside_80(batch.target_mg_dl, trajectory, quantiles)
        self._errors.append(
            (
                torch.where(batch.target_known, trajectory - batch.target_mg_dl, torch.nan),
                torch.where(batch.target_known, inside.float(), torch.nan),
                batch.person,
            )
        )

    def on_validation_epoch_end(self) -> None:
        """RMSE in mg/dL and coverage per horizon, mean over persons."""
        errors, inside, person = (torch.cat(part) for part in zip(*self._errors, strict=True))
        self._errors.clear()
        people = person.unique().tolist()
        scores = []
        for minutes in _REPORTED_MIN:
            column = steps(minutes) - 1
            if column >= errors.shape[1]:
                break
            rmse = torch.stack(
                [errors[person == one, column].square().nanmean().sqrt() for one in people]
            ).nanmean()
            scores.append(rmse)
            self.log(f"val/rmse_{minutes}", rmse, prog_bar=minutes in (30, 60, 120))
            self.log(f"val/coverage_80_{minutes}", inside[:, column].nanmean())
        self.log("val/rmse", torch.stack(scores[:3]).mean(), prog_bar=True)

    def configure_optimizers(self) -> Any:
        """AdamW, one cycle; no decay on what is personal, its prior does that."""
        personal = [self.embedding, self.scores]
        shared = list(self.model.parameters())
        optimiser = torch.optim.AdamW(
            [
                {"params": shared, "weight_decay": self.weight_decay},
                {"params": personal, "weight_decay": 0.0},
            ],
            lr=self.learning_rate,
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser,
            max_lr=self.learning_rate,
            total_steps=int(self.trainer.estimated_stepping_batches),
            pct_start=0.1,
        )
        return {
            "optimizer": optimiser,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def with_own(base: People, participants: Participants, embedding: Tensor, scores: Tensor) -> People:
    """The base person in row 0, then everyone: the base, their covariates, and what is their own.

    Args:
        base: One row.
        participants: N people.
        embedding: (at least N, E) what is their own.
        scores: (at least N, P).
    """
    count = len(participants.names)
    return People(
        torch.cat([base.embedding, base.embedding + embedding[:count]]),
        torch.cat([base.scores, base.scores + participants.prior_scores + scores[:count]]),
        torch.cat([base.weight_kg, participants.weights_kg]),
        torch.cat([base.beta_cells, participants.beta_cells]),
    )
