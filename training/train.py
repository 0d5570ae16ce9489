"""Training of the population twin: LightningCLI, MLflow, and the twin that comes out."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningCLI
from mlflow import MlflowClient

from hybridtwin.errors import TwinError
from hybridtwin.native import native_walk
from hybridtwin.registry import TRACKING_URI, load_twin, population_twin, save_twin
from hybridtwin.twin import Twin
from hybridtwin.twin_config import TwinConfig
from training.data import RecordData
from training.drift import DriftSettings, reference, write_reference
from training.errors import fit_correlation, standard_errors
from training.module import TwinTraining, quiet_lightning
from training.output_statistics import StatisticsSettings, fit_statistics
from training.tracking import code_version, experiment, horizon_figure, log_twin

EXPERIMENT: Final = "population"


class LogRun(lightning.Callback):
    """Logs to MLflow what Lightning's logger does not: configuration, data, code and the twin."""

    def __init__(self, config_yaml: str, statistics: StatisticsSettings, out: Path) -> None:
        self.config_yaml = config_yaml
        self.statistics = statistics
        self.out = out

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Log where the run comes from."""
        client, run = _run(trainer)
        data: RecordData = trainer.datamodule
        client.log_param(run, "data_fingerprint", data.fingerprint)
        client.log_param(run, "code_version", code_version())
        client.log_param(run, "participants", len(data.participants.names))
        client.log_text(run, self.config_yaml, "config.yaml")
        client.log_text(run, "\n".join(data.participants.names) + "\n", "participants.txt")

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        """Export the best checkpoint's twin, log and register it."""
        client, run = _run(trainer)
        best = next(c for c in trainer.callbacks if isinstance(c, ModelCheckpoint)).best_model_path
        weights = torch.load(best, weights_only=True)["state_dict"] if best else None
        if weights is not None:
            pl_module.load_state_dict(weights)
        errors = standard_errors(pl_module.eval(), trainer.datamodule.val_dataloader())
        data: RecordData = trainer.datamodule
        names = tuple(data.participants.names)
        twin = exported(pl_module, run, names, fit_correlation(errors))
        twin = fit_statistics(replace(twin, walk=native_walk()), data.participants, self.statistics)
        folder = save_twin(twin, self.out)
        settings = DriftSettings(held_back=data.validation_fraction)
        write_reference(reference(load_twin(folder), data.participants, settings), folder)
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        client.log_figure(run, horizon_figure(metrics, "Validation, nameless twin"), "horizons.png")
        alias = log_twin(run, folder)
        print(f"Twin written to {folder}, registered in MLflow as {alias}.")  # noqa: T201


def _run(trainer: Any) -> tuple[MlflowClient, str]:
    return trainer.logger.experiment, trainer.logger.run_id


def exported(
    module: TwinTraining,
    version: str,
    learnt_from: tuple[str, ...],
    correlation: tuple[float, float],
) -> Twin:
    """The population twin of a training module.

    Args:
        module: Trained.
        version: Which run it is.
        learnt_from: Participants whose recordings it was trained on.
        correlation: Of its errors, see `training.errors.fit_correlation`.
    """
    log_decay, memory_min = correlation
    config = TwinConfig(
        version=version,
        learnt_from=learnt_from,
        shape=module.model.shape,
        error_log_decay=log_decay,
        error_memory_min=memory_min,
    )
    return population_twin(config, module.model)


def read_run(config: Path, overrides: Sequence[str]) -> LightningCLI:
    """Trainer, module and data as a YAML configuration and `--key value` overrides have them.

    Raises:
        TwinError: There is no such file.
    """
    if not config.is_file():
        raise TwinError.of(str(config), "is not there", "Name a file, as --help shows.")
    with quiet_lightning():
        return LightningCLI(
            TwinTraining,
            RecordData,
            args=["--config", str(config), *overrides],
            run=False,
            save_config_callback=None,
            trainer_defaults={
                "logger": {
                    "class_path": "lightning.pytorch.loggers.MLFlowLogger",
                    "init_args": {
                        "experiment_name": EXPERIMENT,
                        "tracking_uri": TRACKING_URI,
                        "log_model": False,
                    },
                }
            },
        )


def train(
    config: Path,
    statistics: StatisticsSettings,
    resume: Path | None,
    out: Path,
    overrides: Sequence[str],
) -> None:
    """Train from a YAML configuration.

    Args:
        config: See configs/population.yaml.
        statistics: How what is missed is learnt in the end.
        resume: A checkpoint to go on from.
        out: Where the twin goes.
        overrides: Further `--key value` of LightningCLI.

    Raises:
        TwinError: A file is not there.
    """
    if resume is not None and not resume.is_file():
        raise TwinError.of(str(resume), "is not there", "Name a file, as --help shows.")
    cli = read_run(config, overrides)
    experiment(EXPERIMENT)
    yaml = cli.parser.dump(cli.config, skip_unset=False)
    cli.trainer.callbacks.append(LogRun(yaml, statistics, out))  # type: ignore[attr-defined]
    with quiet_lightning():
        cli.trainer.fit(cli.model, cli.datamodule, ckpt_path=str(resume) if resume else None)
