import json
from pathlib import Path

import pytest
import torch
from mlflow import MlflowClient
from pydantic import ValidationError
from rich.progress import Progress

from hybridtwin.config import read_config
from hybridtwin.errors import HistoryError, ModelError, TwinError
from hybridtwin.record_files import fingerprint
from hybridtwin.registry import untrained_twin
from training.evaluate import (
    EXPERIMENT,
    Protocol,
    evaluate,
    log_report,
    summary,
    write_report,
)
from training.metrics import ROW
from training.personalise import PersonalSettings
from training.scoring import WindowsProtocol, contest, scorable
from training.twins import Twins
from training.windows import Prediction, split_by_time

ROOT = Path(__file__).parents[2]
PROTOCOLS = sorted((ROOT / "configs" / "protocols").glob("*.yaml"))
QUICK = WindowsProtocol(
    name="quick", split="last-fifth", peers=("persistence", "ridge"), twins=(), bootstrap_samples=50
)
NO_TWINS = Twins(untrained_twin(), PersonalSettings())
SILENT = Progress(disable=True)


def _oracle(_):
    """Knows the future: its error is zero."""
    return lambda asked: Prediction(torch.nan_to_num(asked.targets_mg_dl, nan=100.0))


@pytest.fixture(scope="module")
def everyone(records, make_record):
    return [*records, make_record("short", days=0.4)]


@pytest.fixture(scope="module")
def report(everyone):
    return evaluate(everyone, QUICK, NO_TWINS)


@pytest.mark.parametrize("path", PROTOCOLS, ids=lambda path: path.stem)
def test_the_committed_protocols_are_readable_and_named_as_their_files(path):
    assert read_config(path, Protocol).root.name == path.stem


def test_peers_and_twins_are_scored_on_the_same_windows_in_all_protocols_of_the_last_fifth():
    def read(name: str):
        protocol = read_config(ROOT / "configs" / "protocols" / f"{name}.yaml", Protocol).root
        rule = ("learn_fraction", "history_min", "min_history_known", "score_stride")
        return {key: getattr(protocol, key) for key in rule}

    same = [read(name) for name in ("last-fifth", "unseen", "ablation", "cold-start")]
    assert all(each == same[0] for each in same)


def test_the_committed_personal_settings_are_the_defaults():
    assert read_config(ROOT / "configs" / "personal.yaml", PersonalSettings) == PersonalSettings()


def test_wrong_protocols_say_where(tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text("kind: windows\nname: x\nsplit: y\nhorizons: [30]\n")
    with pytest.raises(TwinError, match="horizons"):
        read_config(path, Protocol)
    path.write_text("kind: day\nname: x\n")
    with pytest.raises(TwinError, match="kind"):
        read_config(path, Protocol)
    path.write_text("name: [")
    with pytest.raises(TwinError, match=r"wrong\.yaml: cannot be read"):
        read_config(path, Protocol)
    with pytest.raises(TwinError, match="absent"):
        read_config(tmp_path / "absent.yaml", Protocol)


def test_every_model_is_scored_on_the_same_windows(everyone):
    split = scorable(split_by_time(everyone, QUICK))
    rows = contest(split, QUICK.peer_fits() | {"oracle": _oracle}, QUICK, SILENT).rows
    assert set(rows["model"]) == {"persistence", "ridge", "oracle"}
    common = rows[rows["metric"] == "rmse"]
    counts = common.groupby(["cohort", "participant", "horizon_min"])["windows"].nunique()
    assert (counts == 1).all()
    assert (rows.loc[rows["model"] == "oracle", "value"] == 0).all()


def test_skipped_are_listed(report):
    assert [each.participant for each in report.results.skipped] == ["short"]


def test_written_reports_hold_everything(report, tmp_path, records):
    path = tmp_path / "deep" / "report.json"
    write_report(report, path)
    content = json.loads(path.read_text())
    assert set(content) >= {"protocol", "data_fingerprint", "code_version", "created", "rows"}
    assert tuple(content["rows"][0]) == ROW
    assert len(content["rows"]) == len(report.results.rows)
    assert content["skipped"][0]["participant"] == "short"
    assert content["data_fingerprint"] != fingerprint(records)
    assert content["code_version"]
    assert Protocol.model_validate(content["protocol"]).root == QUICK


def test_a_single_person_is_enough(make_record):
    report = evaluate([make_record()], QUICK, NO_TWINS)
    means = report.results.rows[report.results.rows["participant"] == "mean"]
    assert (means["participants"] == 1).all()
    assert (means["ci_low"] <= means["value"]).all()


def test_trees_bear_a_single_short_record_without_doses(make_record):
    protocol = QUICK.model_copy(update={"peers": ("trees",)})
    assert len(evaluate([make_record(days=2, logged=False)], protocol, NO_TWINS).results.rows)


def test_repeating_gives_the_same_rows(report, everyone):
    again = evaluate(everyone, QUICK, NO_TWINS)
    assert again.results.rows.equals(report.results.rows)
    assert again.data_fingerprint == report.data_fingerprint


def test_no_windows_at_all_is_an_error(make_record):
    with pytest.raises(HistoryError, match="short"):
        evaluate([make_record("short", days=0.4)], QUICK, NO_TWINS)
    with pytest.raises(HistoryError, match="none"):
        evaluate([], QUICK, NO_TWINS)


@pytest.mark.parametrize(
    ("predict", "message"),
    [
        (lambda asked: Prediction(asked.last_mg_dl), "one mean per window"),
        (lambda asked: Prediction(torch.full((len(asked), 3), torch.nan)), "not finite"),
    ],
)
def test_models_that_break_the_contract_are_named(make_record, predict, message):
    with pytest.raises(ModelError, match=f"broken.*{message}"):
        contest(split_by_time([make_record()], QUICK), {"broken": lambda _: predict}, QUICK, SILENT)


@pytest.mark.parametrize("wrong", [{"peers": ("forest",)}, {"twins": ("forest",)}])
def test_unknown_models_are_refused(wrong):
    with pytest.raises(ValidationError, match=r"forest.*choose of"):
        WindowsProtocol(name="x", split="y", **wrong)


def test_summaries_show_every_model_of_every_cohort(report):
    tables = summary(report)
    titles = [f"{cohort}, last-fifth" for cohort in ("toy", "bare", "all")]
    assert [table.title for table in tables] == titles
    for table in tables:
        assert {column.header for column in table.columns} == {"metric", "min", *QUICK.peers}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_logged_reports_can_be_found_in_mlflow(report, tmp_path):
    path = tmp_path / "report.json"
    write_report(report, path)
    uri = f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}"
    run_id = log_report(report, path, uri)
    client = MlflowClient(tracking_uri=uri)
    run = client.get_run(run_id)
    assert client.get_experiment(run.info.experiment_id).name == EXPERIMENT
    assert run.data.metrics["last-fifth.persistence.rmse.60.toy"] > 0
    assert run.data.metrics["last-fifth.ridge.rmse.30.all"] > 0
    assert run.data.params["learn_fraction"] == "0.8"
    assert {each.path for each in client.list_artifacts(run_id)} == {"report.json", "rmse.png"}
    assert (tmp_path / "runs" / "artifacts").is_dir()
