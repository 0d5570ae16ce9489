"""Training end to end on a toy: MLflow, aliases, resume; and what personalisation promises."""

from dataclasses import replace
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import torch
from mlflow import MlflowClient

from hybridtwin.errors import ModelError, TwinError
from hybridtwin.record_files import save_record
from hybridtwin.registry import CHAMPION, MODEL_NAME, TRACKING_URI, load_twin, save_twin
from training.batch import learning_part
from training.drift import read_reference
from training.output_statistics import StatisticsSettings, TreeSettings
from training.personalise import PersonalSettings, fit_people, personalise
from training.train import train

# Lightning, MLflow and their libraries warn about things of their own.
pytestmark = pytest.mark.filterwarnings("default")

STATISTICS = StatisticsSettings(
    shift=TreeSettings(rounds=5, leaves=4), widening=TreeSettings(rounds=5, leaves=4)
)
CONFIG = Path(__file__).parents[2] / "configs" / "population.yaml"
SMALL = [
    "--data.records=[records]",
    "--data.batches_per_epoch=2",
    "--data.validation_batches=1",
    "--data.horizons_min=[60]",
    "--data.batch_sizes=[16]",
    "--data.validation_fraction=0.2",
    "--trainer.check_val_every_n_epoch=1",
    "--data.virtual_people=3",
    "--data.virtual_days=4",
    "--model.paired_windows=8",
    "--trainer.enable_model_summary=false",
    "--model.shape.encoder_hidden=16",
]


def small(epochs: int) -> list[str]:
    return [*SMALL, f"--trainer.max_epochs={epochs}"]


@pytest.fixture
def home(tmp_path, monkeypatch, records):
    for record in records[:2]:
        save_record(record, tmp_path / "records")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    mlflow.set_tracking_uri(None)


def test_train_registers_a_champion_then_challengers_and_resumes(home):
    train(CONFIG, STATISTICS, None, home / "twin", small(2))
    client = MlflowClient(TRACKING_URI)
    assert client.get_model_version_by_alias(MODEL_NAME, "champion").version == 1
    twin = load_twin(CHAMPION)
    folder = load_twin(home / "twin")
    assert twin.config == folder.config
    assert torch.equal(twin.person.scores, folder.person.scores)
    learnt = read_reference(CHAMPION)
    assert learnt is not None
    assert {"glucose_mg_dl", "rmse_30_mg_dl"} <= set(learnt.channels)

    (experiment,) = client.search_experiments(filter_string="name = 'population'")
    (run,) = client.search_runs([experiment.experiment_id])
    assert {"data_fingerprint", "code_version", "participants"} <= set(run.data.params)
    assert "val/rmse" in run.data.metrics
    artifacts = {a.path for a in client.list_artifacts(run.info.run_id)}
    assert {"config.yaml", "participants.txt", "horizons.png"} <= artifacts

    (first,) = (home / "checkpoints" / "population").glob("epoch=0-*.ckpt")
    train(CONFIG, STATISTICS, first, home / "twin2", small(2))
    resumed, _ = client.search_runs([experiment.experiment_id])
    history = client.get_metric_history(resumed.info.run_id, "epoch")
    assert {point.value for point in history} == {1}
    assert client.get_model_version_by_alias(MODEL_NAME, "champion").version == 1
    assert client.get_model_version_by_alias(MODEL_NAME, "challenger").version == 2

    served = mlflow.pyfunc.load_model(CHAMPION)
    (report,) = served.predict(pd.DataFrame({"record": [str(home / "records" / "one")]}))
    assert '"participant":"one"' in report


def test_more_people_than_rows_and_missing_files_are_refused(home):
    with pytest.raises(ModelError, match=r"room for 1 people, but there are 5"):
        train(CONFIG, STATISTICS, None, home / "twin", [*small(1), "--model.people=1"])
    with pytest.raises(TwinError, match=r"nope\.yaml: is not there"):
        train(home / "nope.yaml", STATISTICS, None, home / "twin", [])


SETTINGS = PersonalSettings(windows=40, rounds=2, horizon_min=60)


def test_fitting_leaves_the_population_alone_and_helps_or_is_dropped(records, tmp_path):
    twin = load_twin()
    before = {name: value.clone() for name, value in twin.model.state_dict().items()}
    fits = personalise(twin, records[:2], SETTINGS)
    for name, value in load_twin().model.state_dict().items():
        assert torch.equal(value, before[name]), name
    for fit in fits:
        moved = not torch.equal(fit.twin.person.embedding, twin.person.embedding)
        assert moved == fit.kept
        assert fit.kept == (fit.loss_after < fit.loss_before)
    assert any(fit.kept for fit in fits)

    home = save_twin(fits[0].twin, tmp_path / "one")
    assert sum(path.stat().st_size for path in home.iterdir()) < 10_000
    again = load_twin(home)
    assert torch.equal(again.person.embedding, fits[0].twin.person.embedding)
    assert again.config.fitted == fits[0].kept


def test_nobody_is_fitted_to_what_they_do_not_have(make_record):
    """Too short a record keeps the population twin, without a loss to show."""
    (fit,) = personalise(load_twin(), [make_record("brief", days=0.1)], SETTINGS)
    assert not fit.kept
    assert torch.equal(fit.twin.person.scores, load_twin().person.scores)


def test_a_personal_twin_refuses_another_base(records, tmp_path):
    twin = load_twin()
    config = twin.config.model_copy(update={"name": "one", "version": "another"})
    home = save_twin(replace(twin, config=config), tmp_path / "one")
    with pytest.raises(ModelError, match="fitted on version another"):
        load_twin(home)


def test_people_are_fitted_side_by_side_as_they_would_be_listed(records):
    part = learning_part(records, 1.0)
    fits = fit_people(load_twin(), part, SETTINGS.model_copy(update={"rounds": 1}))
    assert [fit.participant for fit in fits] == part.names
