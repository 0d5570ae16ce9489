from pathlib import Path

import numpy as np
import optuna
import pytest
import typer
import yaml
from typer.testing import CliRunner

from hybridtwin.config import read_config
from hybridtwin.errors import TwinError
from hybridtwin.record_files import save_record
from training.cli import register
from training.search import Pruning, SearchSettings, best_yaml, search

# Lightning, Optuna and their libraries warn about things of their own.
pytestmark = pytest.mark.filterwarnings("default")

ROOT = Path(__file__).parents[2]


@pytest.fixture
def settings(tmp_path, records):
    save_record(records[0], tmp_path / "records" / "one")
    return SearchSettings(
        name="toy",
        trials=2,
        base=ROOT / "configs" / "population.yaml",
        fixed={
            "trainer.max_epochs": 2,
            "trainer.check_val_every_n_epoch": 1,
            "model.compiled_size": 0,
            "data.records": [str(tmp_path / "records")],
            "data.batches_per_epoch": 2,
            "data.validation_batches": 1,
            "data.horizons_min": [60],
            "data.batch_sizes": [16],
            "data.validation_fraction": 0.2,
            "data.virtual_people": 0,
        },
        space={
            "model.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
            "model.shape.encoder_hidden": {"choices": [8, 16]},
            "model.shape.latent": {"low": 4, "high": 8},
        },
    )


@pytest.fixture
def storage(tmp_path):
    return f"sqlite:///{tmp_path / 'deep' / 'optuna.db'}"


def test_the_committed_config_names_settings_that_there_are():
    settings = read_config(ROOT / "configs" / "search.yaml", SearchSettings)
    population = yaml.safe_load((ROOT / settings.base).read_text())
    for name in [*settings.space, *settings.fixed]:
        place = population
        for part in name.split("."):
            place = place[part]


def test_running_again_goes_on_and_keeps_what_was_found(settings, storage):
    first = search(settings, storage).trials
    assert [trial.number for trial in first] == [0, 1]
    for trial in first:
        assert len(trial.intermediate_values) == 2
        assert trial.value == trial.intermediate_values[1]

    more = search(settings.model_copy(update={"trials": 3}), storage)
    assert [trial.number for trial in more.trials] == [0, 1, 2]
    assert [trial.params for trial in more.trials[:2]] == [trial.params for trial in first]
    rates = [trial.params["model.learning_rate"] for trial in more.trials]
    assert len(set(rates)) == 3
    assert len(search(settings, storage).trials) == 3

    found = yaml.safe_load(best_yaml(more))["model"]
    best = min(more.trials, key=lambda trial: trial.value).params
    assert found["learning_rate"] == best["model.learning_rate"]
    assert found["shape"] == {
        "encoder_hidden": best["model.shape.encoder_hidden"],
        "latent": best["model.shape.latent"],
    }

    changed = settings.model_copy(update={"fixed": settings.fixed | {"trainer.max_epochs": 1}})
    with pytest.raises(TwinError, match="toy: this study was begun with other settings"):
        search(changed, storage)


def test_other_records_are_another_study(settings, storage, records, tmp_path):
    search(settings.model_copy(update={"trials": 1}), storage)
    save_record(records[1], tmp_path / "records" / "two")
    with pytest.raises(TwinError, match="begun with other data fingerprint"):
        search(settings, storage)


def test_what_is_behind_after_an_epoch_is_given_up(settings, storage):
    """Above the median of the finished trials before it, and nothing else."""
    pruning = Pruning(startup_trials=1, warmup_epochs=0)
    trials = search(settings.model_copy(update={"trials": 4, "pruning": pruning}), storage).trials
    finished = []
    for trial in trials:
        early = trial.intermediate_values[0]
        behind = bool(finished) and early > np.median(finished)
        assert (len(trial.intermediate_values) == 1) == behind
        if trial.state == optuna.trial.TrialState.COMPLETE:
            finished.append(early)
    assert 0 < len(finished) < 4


def test_what_diverges_is_given_up_and_chosen_by_nobody(settings, storage):
    rate = {"model.learning_rate": {"low": 1e18, "high": 1e19}}
    wild = settings.model_dump() | {"trials": 1, "space": rate}
    study = search(SearchSettings.model_validate(wild), storage)
    assert [trial.state for trial in study.trials] == [optuna.trial.TrialState.PRUNED]
    with pytest.raises(TwinError, match="no trial was finished"):
        best_yaml(study)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"space": {"data.learn_fraction": {"low": 0.5, "high": 0.9}}}, "only model. and trainer."),
        ({"space": {"model.dropout": {"low": 0.5, "high": 0.1}}}, "low must be below high"),
        ({"space": {"model.rate": {"low": 0.0, "high": 0.1, "log": True}}}, "above 0"),
        ({"space": {}}, "space"),
        ({"space": {"model.latent": {"choices": [8]}}}, "choices"),
    ],
)
def test_impossible_searches_are_refused(settings, tmp_path, changed, message):
    path = tmp_path / "search.yaml"
    path.write_text(yaml.safe_dump(settings.model_dump(mode="json") | changed))
    with pytest.raises(TwinError, match=message):
        read_config(path, SearchSettings)


def test_the_command_prints_what_to_put_into_the_config(settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "search.yaml"
    once = settings.model_dump(mode="json") | {"trials": 1}
    path.write_text(yaml.safe_dump(once))
    app = typer.Typer()
    register(app)
    result = CliRunner().invoke(app, ["search", "--config", str(path)])
    assert result.exit_code == 0, result.output
    study = optuna.load_study(study_name="toy", storage="sqlite:///mlruns/optuna.db")
    lines = result.output.split("For configs/population.yaml:\n\n")[1]
    assert yaml.safe_load(lines)["model"]["learning_rate"] == pytest.approx(
        study.best_params["model.learning_rate"]
    )
