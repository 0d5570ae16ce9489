"""Faults put into recordings: counted right, and only where they were put."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from rich.progress import Progress

from hybridtwin.errors import HistoryError
from hybridtwin.registry import load_twin
from hybridtwin.sensor_faults.settings import FaultSettings
from hybridtwin.virtual.faults import FaultKind
from training.fault_alarms import AS_IT_IS, IN_DOUBT, AlarmRule, alarm_rates
from training.faulted import BEFORE_STEPS, PartRule, draw, scored_parts
from training.metrics import ALL, ROW
from training.personalise import PersonalSettings
from training.rates import Rate, rate_rows
from training.sensor_faults import SensorFaultsProtocol, evaluate_sensor_faults
from training.twins import Twins

RULE = PartRule(folds=1, score_fold=0, virtual_people=0)


@pytest.fixture(scope="module")
def parts(make_record):
    people = [make_record(str(seed), "toy", days=15, seed=seed) for seed in range(1)]
    return scored_parts(people, RULE)[0]


def test_the_last_fifth_is_scored_with_days_before_it(parts):
    for part in parts:
        assert part.begin == BEFORE_STEPS
        assert part.scored.sum() == pytest.approx(15 * 288 / 5, abs=2)
        assert not part.covered[: part.begin].any()


def test_people_on_whom_settings_were_chosen_are_not_scored(make_record):
    people = [make_record(str(seed), "toy", days=16, seed=seed) for seed in range(4)]
    halves = [
        {part.participant for part in scored_parts(people, rule)[0]}
        for rule in (PartRule(score_fold=0), PartRule(score_fold=1))
    ]
    assert not halves[0] & halves[1]
    assert len(halves[0] | halves[1]) == 4


@pytest.mark.parametrize("kind", [FaultKind.COMPRESSION_LOW, FaultKind.JUMP, FaultKind.DRIFT])
def test_readings_are_wrong_where_a_fault_is_and_nowhere_else(parts, kind):
    shown, faults = draw(parts[0], kind, 2.0, np.random.default_rng(0))
    assert faults
    wrong = np.zeros(len(shown), dtype=bool)
    for fault in faults:
        assert fault.start >= parts[0].begin
        wrong[fault.span] = True
    np.testing.assert_array_equal(shown[~wrong], parts[0].reading_mg_dl[~wrong])
    assert (shown[wrong] != parts[0].reading_mg_dl[wrong]).mean() > 0.5
    timeline = parts[0].showing(shown)
    np.testing.assert_allclose(timeline.values[:, 0], np.nan_to_num(shown), rtol=1e-6)
    assert torch.equal(timeline.values[:, 1:], parts[0].timeline.values[:, 1:])


def test_rates_are_pooled_over_people():
    rates = [
        Rate("a", "1", "m", "x", 3, 4),
        Rate("a", "2", "m", "x", 0, 2),
        Rate("b", "3", "m", "x", 1, 1),
    ]
    rows = rate_rows(rates, "s", 50, 0).set_index("cohort")
    assert tuple(rows.reset_index().columns[:1]) == ("cohort",)
    assert rows["value"].to_dict() == {"a": 0.5, "b": 1.0, ALL: pytest.approx(4 / 7)}
    assert rows["participants"].to_dict() == {"a": 2, "b": 1, ALL: 3}
    assert (rows["ci_low"] <= rows["value"]).all()
    assert (rows["value"] <= rows["ci_high"]).all()
    assert set(rate_rows(rates, "s", 50, 0).columns) == set(ROW)


def _alarms(part, shown, pressed):
    rule = AlarmRule(every_min=30, members=10)
    progress = Progress(disable=True)
    rates = alarm_rates(
        load_twin(), [part], [shown], [pressed], "x", rule, FaultSettings(), progress
    )
    return {(rate.model, rate.metric): rate.count for rate in rates}


def test_a_low_that_is_not_there_is_a_false_alarm_and_none_in_doubt(parts):
    minute = parts[0].timeline.minute_of_day.numpy()
    flat, pressed = np.full(len(minute), 120.0), np.zeros(len(minute))
    part, shown = replace(parts[0], timeline=parts[0].showing(flat)), flat.copy()
    asleep = (minute >= 120) & (minute < 170) & part.scored
    shown[asleep], pressed[asleep] = 50.0, 1.0
    counts = _alarms(part, shown, pressed)
    assert counts[AS_IT_IS, "false_alarms_per_week_x"] > 0
    assert counts[IN_DOUBT, "false_alarms_per_week_x"] == 0
    assert counts[AS_IT_IS, "lows_lost_x"] == 0


def test_without_doubt_nothing_changes(parts):
    counts = _alarms(parts[0], parts[0].reading_mg_dl, np.zeros(len(parts[0].timeline)))
    for (model, metric), count in counts.items():
        assert counts[AS_IT_IS, metric] == count, model


def test_the_protocol_counts_every_kind(make_record):
    people = [make_record("one", "toy", days=15)]
    protocol = SensorFaultsProtocol(
        name="x",
        split="y",
        folds=1,
        score_fold=0,
        copies=1,
        virtual_people=1,
        virtual_days=8,
        alarm=AlarmRule(every_min=60, members=10),
        bootstrap_samples=10,
    )
    twins = Twins(load_twin(), PersonalSettings())
    results = evaluate_sensor_faults(people, protocol, twins, Progress(disable=True))
    assert set(results.rows["cohort"]) == {"toy", "virtual"}
    metrics = set(results.rows["metric"])
    for kind in (FaultKind.COMPRESSION_LOW, FaultKind.JUMP, FaultKind.DRIFT):
        assert f"recognised_{kind}" in metrics
    assert "false_faults_per_week" in metrics
    assert "false_alarms_per_week_untouched" in metrics
    with pytest.raises(HistoryError):
        evaluate_sensor_faults([], protocol, twins, Progress(disable=True))
