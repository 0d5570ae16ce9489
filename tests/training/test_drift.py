import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import typer
from typer.testing import CliRunner

from hybridtwin.config import read_config
from hybridtwin.errors import HistoryError, ModelError
from hybridtwin.record import Record
from hybridtwin.record_files import save_record
from hybridtwin.registry import load_twin, save_twin
from hybridtwin.timeline import to_timeline
from training.batch import learning_part
from training.cli import register
from training.days import daily, windows_since
from training.drift import (
    DriftSettings,
    Reference,
    drift,
    read_reference,
    reference,
    write_reference,
)
from training.windows import WindowRule

CONFIG = Path(__file__).parents[2] / "configs" / "drift.yaml"
SETTINGS = DriftSettings(
    chance=0.05,
    min_days=3,
    held_back=0.3,
    windows=WindowRule(horizons_min=(30, 60), score_stride=24),
)


@pytest.fixture(scope="module")
def people(make_record):
    return [make_record(name, days=12, seed=seed) for seed, name in enumerate(("one", "two"))]


@pytest.fixture(scope="module")
def known(people):
    return reference(load_twin(), learning_part(people, 0.8), SETTINGS)


def _verdicts(findings, participant="all"):
    return {each.channel: each.verdict for each in findings if each.participant == participant}


def _days(record, twin=None):
    timeline = to_timeline(record)
    windows = windows_since(["one"], [timeline], [0], SETTINGS.windows)
    return daily(twin or load_twin(), windows)


def test_the_committed_settings_are_the_defaults():
    assert read_config(CONFIG, DriftSettings) == DriftSettings()


def test_a_day_holds_what_was_put_in(make_record):
    """Mean, SD, gaps and entries of days that are known by construction."""
    record = make_record(days=3, every_min=15)
    glucose = record.glucose.assign(mg_dl=np.where(np.arange(len(record.glucose)) % 2, 90.0, 110.0))
    start = glucose["time"].iloc[0]
    since = glucose["time"] - start
    gone = (since >= pd.Timedelta(hours=24)) & (since < pd.Timedelta(hours=36))
    times = [start + pd.Timedelta(hours=hour) for hour in (50, 55, 60)]
    record = replace(
        record,
        glucose=glucose[~gone],
        meals=pd.DataFrame({"time": times, "carbs_g": 30.0}),
        insulin=pd.DataFrame({"time": times[:2], "dose_u": 2.0}),
    )
    table = _days(record).set_index("day")
    last, before = table.loc[0], table.loc[1]
    assert last["glucose_mg_dl"] == pytest.approx(100)
    assert last["glucose_sd_mg_dl"] == pytest.approx(10)
    assert (last["gap_share"], before["gap_share"]) == (0, pytest.approx(0.5))
    assert (last["carbs_per_day"], last["boluses_per_day"]) == (3, 2)
    assert (before["carbs_per_day"], before["boluses_per_day"]) == (0, 0)
    assert np.isnan(last["basal_u_per_day"])  # nobody said anything of basal


def test_what_was_not_logged_is_not_zero(make_record):
    table = _days(make_record(days=3, logged=False))
    assert table[["carbs_per_day", "boluses_per_day"]].isna().all(axis=None)


def test_nothing_drifts_from_itself(people, known):
    findings = drift(load_twin(), known, people, 12, SETTINGS)
    found = _verdicts(findings)
    assert {found[name] for name in known.channels} == {"stable"}
    assert found["basal_u_per_day"] == "too few days"
    assert {each.participant for each in findings} == {"all", "one", "two"}


def test_a_shifted_sensor_drifts_in_glucose_and_in_nothing_logged(people, known):
    shifted = [
        replace(
            record,
            glucose=record.glucose.assign(mg_dl=(record.glucose["mg_dl"] + 80).clip(upper=500)),
        )
        for record in people
    ]
    findings = drift(load_twin(), known, shifted, 12, SETTINGS)
    for participant in ("all", "one", "two"):
        found = _verdicts(findings, participant)
        assert found["glucose_mg_dl"] == "drifting"
        assert found["carbs_per_day"] == found["boluses_per_day"] == "stable"


def test_only_the_last_days_count(make_record, people, known):
    record = people[0]
    early = record.glucose["time"] < record.glucose["time"].iloc[-1] - pd.Timedelta(days=5)
    raised = record.glucose["mg_dl"].where(~early, 390.0)
    changed = replace(record, glucose=record.glucose.assign(mg_dl=raised))
    assert _verdicts(drift(load_twin(), known, [changed], 4, SETTINGS))["glucose_mg_dl"] == "stable"
    drifted = drift(load_twin(), known, [changed], 12, SETTINGS)
    assert _verdicts(drifted)["glucose_mg_dl"] == "drifting"


def test_a_twin_that_got_worse_drifts_in_its_errors_alone(people, known):
    twin = load_twin()

    def walk(*given):
        return twin.walk(*given) + 100

    findings = _verdicts(drift(replace(twin, walk=walk), known, people, 12, SETTINGS))
    assert findings["rmse_30_mg_dl"] == findings["coverage_80_30"] == "drifting"
    assert findings["glucose_mg_dl"] == "stable"


def test_errors_are_those_of_the_windows(people):
    """A day's squared errors, weighted by windows, add up to those of all windows."""
    twin = load_twin()
    timeline = to_timeline(people[0])
    windows = windows_since(["one"], [timeline], [0], SETTINGS.windows)
    from training.forecasters import population

    error = population(twin)(windows)(windows).mean - windows.targets_mg_dl
    day = (len(timeline) - 1 - windows.anchor) // 288
    table = _days(people[0], twin).set_index("day")
    for one in day.unique().tolist():
        expected = error[day == one, 0].square().nanmean().sqrt()
        if one in table.index:
            assert table.loc[one, "rmse_30_mg_dl"] == pytest.approx(float(expected), rel=1e-4)
    assert torch.isfinite(error).any()


def test_without_reference_and_without_days_nothing_is_claimed(people, make_record):
    findings = drift(load_twin(), None, people, 12, SETTINGS)
    assert set(_verdicts(findings).values()) == {"no reference", "too few days"}
    with pytest.raises(HistoryError, match="none spans a day"):
        drift(load_twin(), None, [make_record(days=0.5)], 14, SETTINGS)
    empty = Record(profile=people[0].profile, glucose=people[0].glucose.iloc[:0])
    with pytest.raises(HistoryError, match="none spans a day"):
        drift(load_twin(), None, [empty], 14, SETTINGS)


def test_a_reference_comes_back_as_it_went(tmp_path, known):
    folder = save_twin(load_twin(), tmp_path / "twin")
    assert read_reference(folder) is None
    write_reference(known, folder)
    assert read_reference(folder) == known
    (folder / "reference.json").write_text("{}")
    with pytest.raises(ModelError, match="no reference"):
        read_reference(folder)


def test_the_command_learns_a_reference_and_holds_records_against_it(tmp_path, people):
    save_record(people[0], tmp_path / "records")
    twin = save_twin(load_twin(), tmp_path / "twin")
    settings = tmp_path / "drift.yaml"
    settings.write_text("min_days: 3\nheld_back: 0.3\nwindows: {score_stride: 24}\n")
    app = typer.Typer()
    register(app)
    given = ["drift", "--records", tmp_path / "records", "--model", twin, "--config", settings]
    out = tmp_path / "out" / "drift.json"
    for more in (["--learn"], ["--days", "9", "--out", out]):
        result = CliRunner().invoke(app, [str(word) for word in [*given, *more]])
        assert result.exit_code == 0, result.output
    assert Reference.model_validate_json((twin / "reference.json").read_text()).participants == 1
    findings = json.loads(out.read_text())
    assert {each["participant"] for each in findings} == {"all", "one"}
    assert "stable" in result.output
