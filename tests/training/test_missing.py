"""Missing inputs: the same windows, with less known."""

import pytest
from rich.progress import Progress

from hybridtwin.registry import load_twin
from training.metrics import MEAN
from training.missing import MissingProtocol, evaluate_missing, named
from training.personalise import PersonalSettings
from training.twins import Twins


def test_rows_say_what_was_withheld():
    assert named("last-fifth", ()) == "last-fifth"
    assert named("last-fifth", ("carbs", "insulin")) == "last-fifth without carbs and insulin"
    assert named("x", ("carbs", "insulin", "heart-rate")) == "x without all"


@pytest.fixture(scope="module")
def means(records):
    protocol = MissingProtocol(
        name="x",
        split="all",
        withheld=((), ("carbs", "insulin")),
        peers=("persistence", "ridge"),
        learn_stride=2,
        score_stride=2,
        bootstrap_samples=20,
    )
    twins = Twins(load_twin(), PersonalSettings())
    rows = evaluate_missing(records, protocol, twins, Progress(disable=True)).rows
    rows = rows[(rows["participant"] == MEAN) & (rows["metric"] == "rmse")]
    return rows.pivot_table("value", ["cohort", "model"], ["split", "horizon_min"])


def test_who_reads_no_drivers_loses_nothing(means):
    lost = means["all without carbs and insulin"] - means["all"]
    assert (lost.loc[(slice(None), "persistence"), :].abs() < 1e-9).all(axis=None)
    # The bare cohort logs none.
    assert (lost.loc[("bare", "twin")].abs() < 1e-4).all()


def test_who_reads_them_loses_where_meals_drive_glucose(means):
    lost = means["all without carbs and insulin"] - means["all"]
    assert lost.loc[("toy", "ridge"), 60] > 0.2
    assert lost.loc[("toy", "twin"), 60] != 0
