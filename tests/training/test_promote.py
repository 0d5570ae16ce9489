import json
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pytest
import typer
from mlflow import MlflowClient
from typer.testing import CliRunner

from hybridtwin.config import read_config
from hybridtwin.errors import ModelError, TwinError
from hybridtwin.registry import CHAMPION, MODEL_NAME, load_twin, save_twin
from training.cli import register
from training.gates import Gate, PromotionSettings, compare, read_reports
from training.metrics import MEAN
from training.tracking import experiment, log_twin

CONFIG = Path(__file__).parents[2] / "configs" / "promotion.yaml"
PEOPLE = np.array([18.0, 25.0, 40.0, 22.0, 31.0, 55.0])  # far apart, as people are


def _rows(metric, values, mean=None, cohort="toy", horizon=30):
    """Rows of several people and of their mean, or of a figure pooled over them."""
    value, half = (np.mean(values), 0.1) if mean is None else mean
    common = {"cohort": cohort, "split": "s", "model": "twin", "horizon_min": horizon}
    common |= {"metric": metric}
    rows = [
        common
        | {"participant": f"p{i}", "value": each, "participants": 1, "windows": 50}
        | {"ci_low": each - 1, "ci_high": each + 1}
        for i, each in enumerate(values)
    ]
    end = {"participant": MEAN, "value": value, "participants": len(values), "windows": 300}
    return [*rows, common | end | {"ci_low": value - half, "ci_high": value + half}]


def _write(path, rows, protocol="p", fingerprint="abc", version="new"):
    content = {
        "protocol": {"name": protocol, "split": "s"},
        "twin_version": version,
        "data_fingerprint": fingerprint,
        "code_version": "v1",
        "created": "2026-01-01T00:00:00+00:00",
        "skipped": [],
        "rows": rows,
    }
    path.write_text(json.dumps(content))
    return path


def _settings(*metrics, **gate):
    return PromotionSettings(gates=(Gate(name="g", protocol="p", metrics=metrics, **gate),))


@pytest.fixture
def held(tmp_path):
    """Compare rows of the champion with rows of the challenger."""

    def compared(champion, challenger, settings):
        paths = [
            _write(tmp_path / f"{name}.json", rows)
            for name, rows in (("champion", champion), ("challenger", challenger))
        ]
        return compare(*(read_reports([path]) for path in paths), settings)

    return compared


def test_the_committed_config_covers_all_kinds_of_gate():
    settings = read_config(CONFIG, PromotionSettings)
    assert {gate.name for gate in settings.gates} == {"accuracy", "calibration", "night", "cause"}


def test_a_gate_judges_every_model_that_it_names(held):
    def rows(values, model):
        return [row | {"model": model} for row in _rows("rmse", values)]

    champion = rows(PEOPLE, "twin") + rows(PEOPLE - 2, "twin-current")
    challenger = rows(PEOPLE - 1, "twin") + rows(PEOPLE + 2, "twin-current")
    findings = held(champion, challenger, _settings("rmse", models=("twin", "twin-current")))
    assert [(f.where.split(",")[0], f.verdict) for f in findings] == [
        ("twin", "better"),
        ("twin-current", "worse"),
    ]


def test_a_model_is_as_good_as_itself(held):
    rows = _rows("rmse", PEOPLE)
    (finding,) = held(rows, rows, _settings("rmse"))
    assert finding.verdict == "as good"
    assert finding.worse_by == finding.low == finding.high == 0


def test_a_small_loss_that_everybody_shares_is_seen_through_the_spread_of_people(held):
    """Paired: the interval holds the differences' spread, which is none here, not the people's."""
    (finding,) = held(_rows("rmse", PEOPLE), _rows("rmse", PEOPLE + 0.1), _settings("rmse"))
    assert finding.verdict == "worse"
    assert [finding.worse_by, finding.low, finding.high] == pytest.approx([0.1] * 3)


def test_a_loss_that_some_bear_and_others_gain_is_no_loss(held):
    changed = PEOPLE + np.array([1.0, -1.0, 1.2, -0.8, 0.9, -1.0])
    (finding,) = held(_rows("rmse", PEOPLE), _rows("rmse", changed), _settings("rmse"))
    assert finding.verdict == "as good"
    assert finding.low < 0 < finding.high


@pytest.mark.parametrize(
    ("metric", "before", "after", "verdict"),
    [
        ("crps", 0.50, 0.55, "worse"),
        ("brier_below_70", 0.55, 0.50, "better"),
        ("auroc_below_70", 0.80, 0.75, "worse"),
        ("sign_right", 0.90, 0.95, "better"),
        ("sign_right_bolus", 0.90, 0.85, "worse"),
        ("sensitivity_at_1_below_70", 0.40, 0.50, "better"),
        ("coverage_80", 0.80, 0.75, "worse"),
        ("coverage_80", 0.70, 0.75, "better"),
        ("coverage_80", 0.90, 0.75, "better"),
        ("me", -1.0, 2.0, "worse"),
    ],
)
def test_every_metric_knows_which_way_is_worse(held, metric, before, after, verdict):
    spread = np.array([-0.01, 0.0, 0.01])
    rows = [_rows(metric, value + spread) for value in (before, after)]
    (finding,) = held(*rows, _settings(metric))
    assert finding.verdict == verdict


def test_pooled_figures_are_held_against_each_other_by_their_own_intervals(held):
    """The variance of a difference is the sum of the two: 0.03 sqrt(2) wide to each side."""
    champion, near, far = (
        _rows("auroc_below_70", [], mean=(value, 0.03)) for value in (0.84, 0.82, 0.70)
    )
    settings = _settings("auroc_below_70").model_copy(update={"bootstrap_samples": 100_000})
    (finding,) = held(champion, near, settings)
    assert finding.verdict == "as good"
    assert finding.high - finding.low == pytest.approx(2 * 0.03 * np.sqrt(2), rel=0.02)
    assert held(champion, far, settings)[0].verdict == "worse"


def test_one_persons_value_has_its_own_interval(held):
    (finding,) = held(_rows("rmse", [20.0]), _rows("rmse", [20.05]), _settings("rmse"))
    assert finding.verdict == "as good"


def test_what_is_missing_is_no_pass(held, tmp_path):
    rows = _rows("rmse", PEOPLE)
    assert [f.verdict for f in held(rows, rows, _settings("rmse", horizons_min=(30, 60)))] == [
        "as good",
        "missing",
    ]
    assert [f.passed for f in held(rows, rows, _settings("rmse", cohorts=("elsewhere",)))] == [
        False
    ]
    others = _rows("crps", PEOPLE)
    assert [f.verdict for f in held(rows, others, _settings("rmse"))] == ["missing"]
    assert [f.verdict for f in held(rows, rows, _settings("crps"))] == ["missing"]
    report = read_reports([_write(tmp_path / "one.json", rows)])
    assert not any(finding.passed for finding in compare(report, {}, _settings("rmse", "crps")))


def test_all_means_everybody_of_every_cohort(held):
    champion = [
        *_rows("rmse", PEOPLE[:3], cohort="a"),
        *_rows("rmse", PEOPLE[3:], cohort="b"),
    ]
    for i, row in enumerate(champion):
        row["participant"] = row["participant"].replace("p", f"p{i}")
    everybody = _rows("rmse", PEOPLE, cohort="all")[-1]
    worse = [row | {"value": row["value"] + 0.1} for row in [*champion, everybody]]
    (finding,) = held([*champion, everybody], worse, _settings("rmse", cohorts=("all",)))
    assert [finding.low, finding.high] == pytest.approx([0.1, 0.1])


def test_every_split_of_a_report_is_held_by_itself(held):
    first = _rows("rmse", PEOPLE)
    second = [row | {"split": "t", "value": row["value"] + 3} for row in first]
    worse = [row | {"value": row["value"] + 0.1} for row in second]
    findings = held([*first, *second], [*first, *worse], _settings("rmse"))
    assert [finding.verdict for finding in findings] == ["as good", "worse"]


def test_reports_that_cannot_be_compared_are_refused(tmp_path, held):
    rows = _rows("rmse", PEOPLE)
    settings = _settings("rmse")
    one = read_reports([_write(tmp_path / "one.json", rows)])
    other = read_reports([_write(tmp_path / "other.json", rows, fingerprint="def")])
    with pytest.raises(ModelError, match="other records"):
        compare(one, other, settings)
    rules = {"p": replace(one["p"], protocol={"name": "p", "score_stride": 2})}
    with pytest.raises(ModelError, match="other rules"):
        compare(one, rules, settings)
    with pytest.raises(ModelError, match="other windows or other people"):
        held(rows, [row | {"windows": 49} for row in rows], settings)
    with pytest.raises(ModelError, match="other windows or other people"):
        held(rows, rows[1:], settings)


def test_wrong_files_and_settings_say_what_is_wrong(tmp_path):
    path = _write(tmp_path / "one.json", _rows("rmse", PEOPLE))
    with pytest.raises(ModelError, match="a second report of p"):
        read_reports([path, path])
    for content in ("{", "[]", "{}"):
        path.write_text(content)
        with pytest.raises(ModelError, match=r"one\.json: no report"):
            read_reports([path])
    with pytest.raises(ModelError, match="no report"):
        read_reports([tmp_path / "absent.json"])
    path.write_text("gates: [{name: g, protocol: p, metrics: [beauty]}]")
    with pytest.raises(TwinError, match="no metric 'beauty'"):
        read_config(path, PromotionSettings)


@pytest.fixture
def uri(tmp_path, monkeypatch):
    """A tracking store of its own: MLflow keeps open what it knows by a relative name."""
    uri = f"sqlite:///{tmp_path / 'mlruns' / 'mlflow.db'}"
    for module in ("hybridtwin.registry", "training.promote"):
        monkeypatch.setattr(f"{module}.TRACKING_URI", uri)
    monkeypatch.chdir(tmp_path)
    yield uri
    mlflow.set_tracking_uri(None)


@pytest.mark.filterwarnings("default")
def test_the_command_moves_the_alias_only_on_a_pass(tmp_path, uri):
    home, client = tmp_path, MlflowClient(uri)
    for version in ("old", "new"):
        twin = load_twin()
        config = twin.config.model_copy(update={"version": version})
        folder = save_twin(replace(twin, config=config), home / version)
        run = client.create_run(experiment("population", uri))
        log_twin(run.info.run_id, folder, uri)
    _write(home / "champion.json", _rows("rmse", PEOPLE))
    _write(home / "worse.json", _rows("rmse", PEOPLE + 1))
    _write(home / "better.json", _rows("rmse", PEOPLE - 1))
    (home / "gates.yaml").write_text("gates: [{name: accuracy, protocol: p, metrics: [rmse]}]")

    app = typer.Typer()
    register(app)

    def promote(challenger, *more):
        reports = ["--champion", "champion.json", "--challenger", challenger]
        return CliRunner().invoke(app, ["promote", *reports, "--config", "gates.yaml", *more])

    def aliases():
        return client.get_registered_model(MODEL_NAME).aliases

    before = {"champion": 1, "challenger": 2}
    refused = promote("worse.json")
    assert refused.exit_code == 1
    assert "Refused: 1 of 1" in refused.output
    assert promote("better.json", "--dry-run").exit_code == 0
    _write(home / "anothers.json", _rows("rmse", PEOPLE - 1), version="a third")
    assert "scored twin a third, but the challenger is new" in str(
        promote("anothers.json").exception
    )
    assert aliases() == before

    assert promote("better.json", "--box", "box").exit_code == 0
    assert aliases() == {"champion": 2, "previous": 1}
    assert load_twin(CHAMPION).config.version == load_twin("box").config.version == "new"
    card = (home / "box" / "MODEL_CARD.md").read_text()
    assert "Version new." in card
    assert f"{PEOPLE.mean() - 1:.2f}" in card
    assert f"{(PEOPLE.mean() - 1) / PEOPLE.mean():.3f}" in card
    logged = client.list_artifacts(client.get_model_version(MODEL_NAME, "2").run_id)
    assert {"MODEL_CARD.md", "reports"} <= {each.path for each in logged}

    again = promote("better.json")
    assert isinstance(again.exception, ModelError)
    assert "challenger" in str(again.exception)
