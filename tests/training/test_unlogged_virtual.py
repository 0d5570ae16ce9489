"""What is left out of logs, and what counts as told."""

import numpy as np
import pandas as pd
import pytest

from hybridtwin.assimilation.unlogged import Kind, Unlogged
from hybridtwin.units import STEP_MIN
from tests.hybridtwin.people import history
from training.unlogged_virtual import Life, Told, UnloggedRule, meal_lives, other_lives, scores

RULE = UnloggedRule(people=2, days=4, left_out=0.5)
START = pd.Timestamp("2026-03-01", tz="UTC")
NOW = np.arange(576, 1152, 6)
"""Two days' looks, every half an hour."""


def told(kind: Kind, step: float, amount: float = 40) -> Unlogged:
    return Unlogged(
        kind=kind,
        time=(START + pd.Timedelta(minutes=STEP_MIN * step)).to_pydatetime(),
        time_sd_min=10,
        amount=amount,
        amount_sd=10,
        unit="g",
        probability=0.9,
        readings=12,
        off_mg_dl=40,
        left_mg_dl=1,
    )


def scored(
    at: dict[int, Unlogged], kind: Kind, wanted: list[tuple[int, float]]
) -> dict[str, float]:
    events = np.array(wanted, dtype=float).reshape(-1, 2)
    life = Life(history(1), {kind: events}, {kind: events})
    looks = [[at[int(now)]] if int(now) in at else [] for now in NOW]
    return dict(scores(life, Told(NOW, looks, START), RULE))


def test_a_meal_counts_that_is_told_soon_and_near() -> None:
    found = scored(
        {612: told("meal", 604, 30), 618: told("meal", 602, 45), 624: told("meal", 602, 60)},
        "meal",
        [(600, 50), (800, 40)],
    )
    assert found["meal_told"] == 0.5
    assert found["meal_after_min"] == 60
    assert found["meal_error_g"] == 10  # as last told within two hours
    assert found["meal_bias_g"] == 10
    assert found["meal_error_min"] == 10
    assert found["meal_false_per_3_days"] == 0


@pytest.mark.parametrize(("now", "step"), [(630, 601), (612, 611)])
def test_one_that_is_late_or_far_off_does_not(now: int, step: int) -> None:
    assert scored({now: told("meal", step)}, "meal", [(600, 50)])["meal_told"] == 0


def test_what_is_told_again_and_again_is_false_once() -> None:
    again = {708: told("meal", 700), 714: told("meal", 702), 900: told("meal", 880)}
    found = scored(again, "meal", [(600, 50)])
    assert found["meal_false_per_3_days"] == 2 / (2 / 3)


def test_a_site_has_twice_the_time() -> None:
    found = scored({642: told("site failure", 615)}, "site failure", [(600, 0)])
    assert found["site_failure_told"] == 1


def test_meals_that_are_to_be_told_have_no_log_and_some_no_bolus() -> None:
    lives = meal_lives(RULE, 7)
    bare = []
    for life in lives:
        meals = life.wanted["meal"]
        assert (meals[:, 1] >= RULE.least_g).all()
        bolus = life.record.insulin.query("purpose == 'bolus'")["time"]
        start = life.record.logged["start"].iloc[0]
        for step, _ in meals:
            time = start + pd.Timedelta(minutes=STEP_MIN * float(step))
            assert (life.record.meals["time"] - time).abs().min() > pd.Timedelta(minutes=15)
            bare.append(not (bolus - time).abs().le(pd.Timedelta(minutes=60)).any())
    assert 0 < sum(bare) < len(bare)
    none = meal_lives(RULE.model_copy(update={"left_out": 1e-9}), 7)
    assert sum(len(life.wanted["meal"]) for life in none) < len(bare)


def test_boluses_that_are_to_be_told_are_missing_in_the_body_and_others_in_the_log_alone() -> None:
    lives, whole = (other_lives(rule, 7) for rule in (RULE, RULE.model_copy(update={"taken": 0.0})))
    for life, all_logged in zip(lives, whole, strict=True):
        np.testing.assert_array_equal(
            life.wanted["missed bolus"], all_logged.wanted["missed bolus"]
        )
        pd.testing.assert_frame_equal(life.record.glucose, all_logged.record.glucose)
    assert sum(len(life.record.insulin) for life in lives) < sum(
        len(life.record.insulin) for life in whole
    )
