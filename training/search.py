"""Search for settings of the population twin by Optuna: short runs, kept and resumed."""

import json
from pathlib import Path
from typing import Any, Final

import lightning
import optuna
import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from hybridtwin.errors import TwinError
from training.module import quiet_lightning
from training.train import read_run

STUDIES: Final = "sqlite:///mlruns/optuna.db"
_OBJECTIVE: Final = "val/rmse"
_FINISHED: Final = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
_SHORT: Final = {
    "trainer.logger": False,
    "trainer.callbacks": [],
    "trainer.enable_checkpointing": False,
    "trainer.enable_progress_bar": False,
    "trainer.enable_model_summary": False,
    "trainer.num_sanity_val_steps": 0,
}


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Range(_Settings):
    """Numbers from `low` to `high`, whole ones if both are."""

    low: int | float
    high: int | float
    log: bool = Field(False, description="Every order of magnitude counts the same.")

    @model_validator(mode="after")
    def _rises(self) -> "Range":
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError("low must be below high, and above 0 where log is true")
        return self

    def suggest(self, trial: optuna.Trial, name: str) -> Any:
        """A value for a trial."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(name, self.low, self.high, log=self.log)
        return trial.suggest_float(name, self.low, self.high, log=self.log)


class Choices(_Settings):
    """One of some values."""

    choices: tuple[bool | int | float | str, ...] = Field(min_length=2)

    def suggest(self, trial: optuna.Trial, name: str) -> Any:
        """A value for a trial."""
        return trial.suggest_categorical(name, self.choices)


class Pruning(_Settings):
    """When a trial is given up: its error after an epoch is above the median of earlier ones'."""

    startup_trials: int = Field(6, ge=0, description="So many are never given up.")
    warmup_epochs: int = Field(1, ge=0)


class SearchSettings(_Settings):
    """What to search; see configs/search.yaml."""

    name: str
    trials: int = Field(ge=1, description="In all, those of earlier runs included.")
    base: Path = Field(description="Configuration of a training run.")
    fixed: dict[str, Any] = Field({}, description="Settings of every trial, by dotted name.")
    space: dict[str, Range | Choices] = Field(min_length=1, description="What is tried.")
    pruning: Pruning = Pruning()
    seed: int = 0

    @field_validator("space")
    @classmethod
    def _of_model_or_trainer(cls, space: dict[str, Any]) -> dict[str, Any]:
        wrong = [name for name in space if not name.startswith(("model.", "trainer."))]
        if wrong:
            raise ValueError(f"{wrong[0]}: only model. and trainer. settings: data say what scores")
        return space


def search(settings: SearchSettings, storage: str = STUDIES) -> optuna.Study:
    """Run what is missing of a study's trials; a study of the same name and settings goes on.

    Args:
        settings: What to search.
        storage: An SQLite database, made if it is not there.

    Raises:
        TwinError: The study was begun with other settings or records.
    """
    Path(storage.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=storage,
        study_name=settings.name,
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(
            settings.pruning.startup_trials, settings.pruning.warmup_epochs
        ),
    )
    # Begun anew with the same seed, the sampler would try again what it has tried.
    study.sampler = optuna.samplers.TPESampler(seed=settings.seed + len(study.trials))
    _keep(study, "settings", _what_is_compared(settings))
    missing = settings.trials - len(study.get_trials(deepcopy=False, states=_FINISHED))
    if missing > 0:
        study.optimize(lambda trial: _objective(study, trial, settings), n_trials=missing)
    return study


def best_yaml(study: optuna.Study) -> str:
    """The best trial's settings, as they would stand in configs/population.yaml.

    Raises:
        TwinError: No trial was finished.
    """
    if not study.get_trials(deepcopy=False, states=_FINISHED[:1]):
        raise TwinError.of(study.study_name, "no trial was finished", "Raise trials.")
    nested: dict[str, Any] = {}
    for name, value in study.best_params.items():
        *path, last = name.split(".")
        place = nested
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value
    return yaml.safe_dump(nested, sort_keys=False)


class _Report(lightning.Callback):
    """Tells Optuna of every epoch, and stops what it gives up."""

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Report the objective."""
        self.trial.report(float(trainer.callback_metrics[_OBJECTIVE]), trainer.current_epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned


def _objective(study: optuna.Study, trial: optuna.Trial, settings: SearchSettings) -> float:
    tried = {name: values.suggest(trial, name) for name, values in settings.space.items()}
    values = _SHORT | settings.fixed | tried
    run = read_run(
        settings.base, [f"--{name}={json.dumps(value)}" for name, value in values.items()]
    )
    run.datamodule.setup("fit")
    _keep(study, "data_fingerprint", run.datamodule.fingerprint)
    run.trainer.callbacks.append(_Report(trial))  # type: ignore[attr-defined]
    try:
        with quiet_lightning():
            run.trainer.fit(run.model, run.datamodule)
    except FloatingPointError as error:  # diverged: as bad as a trial can be
        raise optuna.TrialPruned from error
    return float(run.trainer.callback_metrics[_OBJECTIVE])


def _what_is_compared(settings: SearchSettings) -> str:
    if not settings.base.is_file():
        raise TwinError.of(str(settings.base), "is not there", "Name a file as base.")
    base = yaml.safe_load(settings.base.read_text())
    return json.dumps([base, settings.model_dump(mode="json", include={"fixed", "space"})])


def _keep(study: optuna.Study, name: str, value: str) -> None:
    """Keep a fact with a study, whose trials are comparable only while it stays the same."""
    if study.user_attrs.setdefault(name, value) != value:
        raise TwinError.of(
            study.study_name,
            f"this study was begun with other {name.replace('_', ' ')}",
            "Give the search another name.",
        )
    study.set_user_attr(name, value)
