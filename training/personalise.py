"""Personalisation: fine-tune an embedding row and physiological parameters per person.

Shared weights stay frozen, so that everyone fits in one batch and a personal twin is kilobytes.
Each person's fit is the one that was best on their own held-back days, and one that never helped
there is thrown away.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import lightning
import torch
from lightning.pytorch.loggers import MLFlowLogger
from matplotlib.figure import Figure
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from hybridtwin.hybrid import People
from hybridtwin.record import Record
from hybridtwin.record_files import fingerprint
from hybridtwin.registry import TRACKING_URI
from hybridtwin.twin import Twin
from training.batch import Batch, Participants, learning_part
from training.data import WindowData
from training.losses import pinball_loss
from training.module import TwinTraining, quiet_lightning, with_own
from training.tracking import code_version, experiment

EXPERIMENT: Final = "personal"


class PersonalSettings(BaseModel):
    """How to fine-tune; see configs/personal.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    learn_fraction: float = Field(1.0, gt=0, le=1, description="First share of time to learn from.")
    validation_fraction: float = Field(0.2, gt=0, lt=1, description="Last share of it, held back.")
    batches: int = Field(120, ge=1, description="Batches in all.")
    checks: int = Field(6, ge=1, description="How often in between the held-back days are asked.")
    windows_per_batch: int = Field(384, ge=1, description="Over all people together.")
    horizon_min: int = Field(120, ge=30, description="Horizon to fit, minutes.")
    learning_rate: float = Field(0.03, gt=0)
    prior_weight: float = Field(0.01, ge=0, description="How firmly the population's prior holds.")
    complete_share: float = Field(0.3, ge=0, le=1, description="Windows with their future known.")
    validation_batches: int = Field(6, ge=1)
    score_sd: float = Field(0.2, ge=0, description="Uncertainty that remains, in prior SD.")
    seed: int = 0


@dataclass(frozen=True)
class Fit:
    """One person's outcome.

    Attributes:
        participant: Whose.
        twin: Personal, or the population's where the fit did not help.
        kept: Whether the fit was kept.
        loss_before: Pinball loss of the population twin on the held-back days; NaN without any.
        loss_after: Of the fitted twin; infinite without any.
    """

    participant: str
    twin: Twin
    kept: bool
    loss_before: float
    loss_after: float


class PersonalTraining(TwinTraining):
    """Trains only what is personal, on top of a frozen population twin."""

    def __init__(self, twin: Twin, people: int, settings: PersonalSettings) -> None:
        super().__init__(
            shape=twin.config.shape,
            learning_rate=settings.learning_rate,
            complete_share=settings.complete_share,
            nameless_share=0.0,
            withheld_share=0.0,
            clock_jitter_min=0.0,
            prior_weight=settings.prior_weight,
            people=people,
        )
        self.model = twin.model
        self.base = twin.person
        self.best = torch.full((people,), torch.inf)
        self.best_embedding = torch.zeros_like(self.embedding)
        self.best_scores = torch.zeros_like(self.scores)
        self.before = torch.full((people,), torch.nan)
        self._losses: list[tuple[Tensor, Tensor]] = []

    def everyone(self, participants: Participants) -> People:
        """Row 0 is the twin to start from, row 1 + i person i."""
        return with_own(self.base, participants, self.embedding, self.scores)

    def on_fit_start(self) -> None:
        """Nothing: there is room for everyone, and the encoder knows what is usual."""

    def on_train_start(self) -> None:
        """Freeze what is shared; no dropout either."""
        self.model.requires_grad_(False).eval()

    def validation_step(self, batch: Batch, number: int) -> None:
        """Loss of the same windows each time: at first without, then with what is personal."""
        is_open = torch.ones(len(batch.person), dtype=torch.bool)
        trajectory, quantiles, _ = self.run(batch, batch.person + 1, is_open)
        loss = pinball_loss(batch.target_mg_dl, trajectory, quantiles)
        self._losses.append(
            (torch.where(batch.target_known, loss, torch.nan).nanmean(1), batch.person)
        )

    def on_validation_epoch_end(self) -> None:
        """Keep what is best for each person by now: everyone stops early for themselves."""
        loss, person = (torch.cat(part) for part in zip(*self._losses, strict=True))
        self._losses.clear()
        known = ~loss.isnan()
        mean = torch.full_like(self.best, torch.nan).scatter_reduce(
            0, person[known], loss[known], "mean", include_self=False
        )
        if self.trainer.sanity_checking:
            self.before = mean
            return
        better = mean < self.best
        self.best = torch.where(better, mean, self.best)
        with torch.no_grad():
            self.best_embedding[better] = self.embedding[better]
            self.best_scores[better] = self.scores[better]

    def configure_optimizers(self) -> Any:
        """Adam on what is personal."""
        optimiser = torch.optim.Adam([self.embedding, self.scores], lr=self.learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            optimiser, int(self.trainer.estimated_stepping_batches)
        )
        return {
            "optimizer": optimiser,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


def personalise(
    twin: Twin,
    records: Sequence[Record],
    settings: PersonalSettings,
    callbacks: Sequence[lightning.Callback] = (),
    logger: Any = False,
) -> list[Fit]:
    """Fit a twin to each of several people at once.

    Args:
        twin: The population twin to start from.
        records: Their records.
        settings: How.
        callbacks: For Lightning, such as a progress bar.
        logger: For Lightning.

    Returns:
        A fit per record with glucose, in their order.
    """
    return fit_people(
        twin, learning_part(records, settings.learn_fraction), settings, callbacks, logger
    )


def personalise_and_log(
    twin: Twin,
    base: str | None,
    records: Sequence[Record],
    settings: PersonalSettings,
    uri: str | None = TRACKING_URI,
) -> list[Fit]:
    """Fit with a progress bar, and log settings, data, code, losses and a figure to MLflow.

    Args:
        twin: The population twin to start from.
        base: Where it can be found again; None is the box.
        records: Whom to fit it to.
        settings: How.
        uri: The tracking store; None logs nothing.
    """
    twin = replace(twin, config=twin.config.model_copy(update={"base": base}))
    bar = lightning.pytorch.callbacks.TQDMProgressBar()
    if uri is None:
        return personalise(twin, records, settings, [bar])
    experiment(EXPERIMENT, uri)
    logger = MLFlowLogger(experiment_name=EXPERIMENT, tracking_uri=uri, log_model=False)
    fits = personalise(twin, records, settings, [bar], logger)
    client, run = logger.experiment, logger.run_id
    for name, value in settings.model_dump().items():
        client.log_param(run, name, value)
    client.log_param(run, "data_fingerprint", fingerprint(records))
    client.log_param(run, "code_version", code_version())
    client.log_param(run, "base_version", twin.config.version)
    client.log_metric(run, "kept", sum(fit.kept for fit in fits))
    table = [
        {f.name: getattr(fit, f.name) for f in fields(fit) if f.name != "twin"} for fit in fits
    ]
    client.log_dict(run, {"fits": table}, "fits.json")
    client.log_figure(run, _figure(fits), "fits.png")
    client.set_terminated(run)
    return fits


def _figure(fits: Sequence[Fit]) -> Figure:
    drawn = Figure(figsize=(4, 4), layout="constrained")
    panel = drawn.subplots()
    before, after = [fit.loss_before for fit in fits], [fit.loss_after for fit in fits]
    panel.scatter(before, after)
    panel.axline((1, 1), slope=1, color="grey", linewidth=0.8)
    panel.set(xlabel="held-back loss, population twin", ylabel="held-back loss, personal twin")
    return drawn


def fit_people(
    twin: Twin,
    participants: Participants,
    settings: PersonalSettings,
    callbacks: Sequence[lightning.Callback] = (),
    logger: Any = False,
) -> list[Fit]:
    """Fit a twin to each of several timelines at once; see `personalise`."""
    data = WindowData(
        participants,
        validation_fraction=settings.validation_fraction,
        batch_sizes=(settings.windows_per_batch,),
        horizons_min=(settings.horizon_min,),
        batches_per_epoch=-(-settings.batches // settings.checks),
        validation_batches=settings.validation_batches,
        seed=settings.seed,
    )
    module = PersonalTraining(twin, len(participants.names), settings)
    if len(data.learn.anchors) and len(data.validation.anchors):
        lightning.seed_everything(settings.seed, verbose=False)
        trainer = lightning.Trainer(
            max_epochs=settings.checks,
            accelerator="cpu",
            logger=logger,
            callbacks=list(callbacks),
            enable_progress_bar=any(
                isinstance(callback, lightning.pytorch.callbacks.ProgressBar)
                for callback in callbacks
            ),
            enable_checkpointing=False,
            enable_model_summary=False,
            num_sanity_val_steps=-1,
            gradient_clip_val=1.0,
        )
        with quiet_lightning():
            trainer.fit(module, datamodule=data)
    return _fits(twin, participants, module, settings)


def _fits(
    twin: Twin, participants: Participants, module: PersonalTraining, settings: PersonalSettings
) -> list[Fit]:
    people = with_own(module.base, participants, module.best_embedding, module.best_scores)
    fits = []
    for i, name in enumerate(participants.names):
        before, after = float(module.before[i]), float(module.best[i])
        kept = after < before
        row = i + 1 if kept else 0
        person = People(
            *(getattr(people, f.name)[row : row + 1].detach().clone() for f in fields(People))
        )
        sd = settings.score_sd if kept else twin.config.score_sd
        config = twin.config.model_copy(update={"name": name, "fitted": kept, "score_sd": sd})
        fits.append(Fit(name, replace(twin, config=config, person=person), kept, before, after))
    return fits
