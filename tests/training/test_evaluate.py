import json
from pathlib import Path

import pytest
import torch
from mlflow import MlflowClient

from hybridtwin.errors import HistoryError, ModelError, TwinError
from hybridtwin.record_files import fingerprint
from training.config import read_config
from training.evaluate import (
    EXPERIMENT,
    Protocol,
    evaluate,
    log_report,
    write_report,
)
from training.metrics import ROW
from training.personalise import PersonalSettings
from training.windows import Prediction

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs" / "protocols" / "last-fifth.yaml"
QUICK = Protocol(
    name="quick", split="last-fifth", peers=("persistence", "ridge"), bootstrap_samples=50
)


def _oracle(_):
    """Knows the future: its error is zero."""
    return lambda asked: Prediction(torch.nan_to_num(asked.targets_mg_dl, nan=100.0))


@pytest.fixture(scope="module")
def report(records, make_record):
    everyone = [*records, make_record("short", days=0.4)]
    return evaluate(everyone, QUICK, {"oracle": _oracle})


def test_the_committed_protocol_is_readable():
    protocol = read_config(CONFIG, Protocol)
    assert protocol.horizons_min == (30, 60, 120)
    assert protocol.peers == ("persistence", "ridge", "trees")


def test_the_committed_personal_settings_are_the_defaults():
    assert read_config(ROOT / "configs" / "personal.yaml", PersonalSettings) == PersonalSettings()


def test_wrong_protocols_say_where(tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text("name: x\nsplit: y\nhorizons: [30]\n")
    with pytest.raises(TwinError, match="horizons"):
        read_config(path, Protocol)
    path.write_text("name: [")
    with pytest.raises(TwinError, match=r"wrong\.yaml: cannot be read"):
        read_config(path, Protocol)
    with pytest.raises(TwinError, match="absent"):
        read_config(tmp_path / "absent.yaml", Protocol)


def test_every_model_is_scored_on_the_same_windows(report):
    assert set(report.rows["model"]) == {"persistence", "ridge", "oracle"}
    common = report.rows[report.rows["metric"] == "rmse"]
    counts = common.groupby(["cohort", "participant", "horizon_min"])["windows"].nunique()
    assert (counts == 1).all()


def test_a_perfect_model_has_no_error(report):
    perfect = report.rows[report.rows["model"] == "oracle"]
    assert (perfect["value"] == 0).all()


def test_skipped_are_listed(report):
    assert [each.participant for each in report.skipped] == ["short"]


def test_written_reports_hold_everything(report, tmp_path, records):
    path = tmp_path / "deep" / "report.json"
    write_report(report, path)
    content = json.loads(path.read_text())
    assert set(content) >= {"protocol", "data_fingerprint", "code_version", "created", "rows"}
    assert tuple(content["rows"][0]) == ROW
    assert len(content["rows"]) == len(report.rows)
    assert content["skipped"][0]["participant"] == "short"
    assert content["data_fingerprint"] != fingerprint(records)
    assert content["code_version"]
    assert Protocol.model_validate(content["protocol"]) == QUICK


def test_a_single_person_is_enough(make_record):
    report = evaluate([make_record()], QUICK, {})
    means = report.rows[report.rows["participant"] == "mean"]
    assert (means["participants"] == 1).all()
    assert (means["ci_low"] <= means["value"]).all()


def test_trees_bear_a_single_short_record_without_doses(make_record):
    protocol = QUICK.model_copy(update={"peers": ("trees",)})
    assert len(evaluate([make_record(days=2, logged=False)], protocol, {}).rows)


def test_repeating_gives_the_same_rows(report, records, make_record):
    again = evaluate([*records, make_record("short", days=0.4)], QUICK, {"oracle": _oracle})
    assert again.rows.equals(report.rows)
    assert again.data_fingerprint == report.data_fingerprint


def test_no_windows_at_all_is_an_error(make_record):
    with pytest.raises(HistoryError, match="short"):
        evaluate([make_record("short", days=0.4)], QUICK, {})
    with pytest.raises(HistoryError, match="none"):
        evaluate([], QUICK, {})


@pytest.mark.parametrize(
    ("predict", "message"),
    [
        (lambda asked: Prediction(asked.last_mg_dl), "one mean per window"),
        (lambda asked: Prediction(torch.full((len(asked), 3), torch.nan)), "not finite"),
    ],
)
def test_models_that_break_the_contract_are_named(make_record, predict, message):
    with pytest.raises(ModelError, match=f"broken.*{message}"):
        evaluate([make_record()], QUICK, {"broken": lambda _: predict})


def test_unknown_peers_are_refused(make_record):
    protocol = QUICK.model_copy(update={"peers": ("forest",)})
    with pytest.raises(ModelError, match="forest"):
        evaluate([make_record()], protocol, {})


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_logged_reports_can_be_found_in_mlflow(report, tmp_path):
    path = tmp_path / "report.json"
    write_report(report, path)
    uri = f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}"
    run_id = log_report(report, path, uri)
    client = MlflowClient(tracking_uri=uri)
    run = client.get_run(run_id)
    assert client.get_experiment(run.info.experiment_id).name == EXPERIMENT
    assert run.data.metrics["oracle.rmse.60.toy"] == 0
    assert run.data.metrics["ridge.rmse.30.all"] > 0
    assert run.data.params["learn_fraction"] == "0.8"
    assert {each.path for each in client.list_artifacts(run_id)} == {"report.json", "rmse.png"}
    assert (tmp_path / "runs" / "artifacts").is_dir()
