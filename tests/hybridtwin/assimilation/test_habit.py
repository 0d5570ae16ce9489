"""When a meal without a log is likely: closed forms of the density over the clock."""

from datetime import timedelta

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hybridtwin.assimilation.habit import meal_odds
from hybridtwin.assimilation.settings import HabitSettings
from hybridtwin.events import GlucoseReading, Meal
from hybridtwin.record import from_events
from hybridtwin.timeline import Timeline, to_timeline
from hybridtwin.units import STEP_MIN, steps
from tests.hybridtwin.people import START, history

SETTINGS = HabitSettings()
DAY = steps(24 * 60)
LOOK = 10 * DAY
"""Where hours begin, with ten days before them."""
HOURS = steps(240)
BREAKFAST, DINNER = steps(90), steps(720)


def eaten(*meals: int) -> Timeline:
    """Twelve days in which 40 g were logged at these steps."""
    glucose = [GlucoseReading(time=START + timedelta(days=day), mg_dl=120) for day in range(13)]
    food = [Meal(time=START + timedelta(minutes=5 * at), carbs_g=40) for at in sorted(set(meals))]
    return to_timeline(from_events(history(6).profile, glucose, meals=food, logged=["meals"]))


def odds(timeline: Timeline, begins: Tensor, count: int = HOURS) -> Tensor:
    return meal_odds(timeline, torch.tensor([LOOK]), begins, count, SETTINGS)[0]


def test_who_has_logged_nothing_may_eat_at_any_time() -> None:
    assert (odds(eaten(), torch.arange(0, HOURS, 3)) == 1).all()


@given(st.lists(st.integers(0, LOOK - 1 - steps(90)), min_size=1, max_size=40))
def test_over_a_day_on_which_nothing_is_logged_the_odds_average_to_one(meals: list[int]) -> None:
    found = odds(eaten(*meals), torch.arange(DAY), DAY)
    assert float(found.mean()) == pytest.approx(1, abs=1e-6)
    assert (found > 0).all()


def test_a_usual_meal_is_likely_where_none_is_logged() -> None:
    usual = [day * DAY + at for day in range(10) for at in (BREAKFAST, DINNER)]
    rest = SETTINGS.anywhere / (SETTINGS.anywhere + len(usual))
    begins = torch.tensor([BREAKFAST, BREAKFAST + steps(60), DINNER])
    at, later, _ = odds(eaten(*usual), begins, DAY).tolist()
    peak = (1 - rest) / 2 * 24 * 60 / (60 * (2 * torch.pi) ** 0.5)
    assert at == pytest.approx(rest + peak, rel=1e-6)
    assert later == pytest.approx(rest + peak * torch.e**-0.5, rel=1e-6)


@pytest.mark.parametrize("apart_min", [-90, 0, 90])
def test_none_is_missing_beside_a_logged_one(apart_min: int) -> None:
    usual = [day * DAY + at for day in range(10) for at in (BREAKFAST, DINNER)]
    today = LOOK + BREAKFAST + round(apart_min / STEP_MIN)
    breakfast, dinner = odds(eaten(*usual, today), torch.tensor([BREAKFAST, DINNER]), DAY).tolist()
    assert breakfast == pytest.approx(SETTINGS.anywhere / (SETTINGS.anywhere + 20), rel=1e-3)
    assert dinner > 2


def test_what_is_logged_after_the_hours_is_not_looked_at() -> None:
    usual = [day * DAY + BREAKFAST for day in range(10)]
    begins = torch.arange(0, HOURS, 3)
    later = odds(eaten(*usual, LOOK + HOURS, LOOK + HOURS + 9), begins)
    torch.testing.assert_close(later, odds(eaten(*usual), begins))


def test_what_is_eaten_in_several_steps_is_one_meal() -> None:
    begins = torch.arange(0, HOURS, 3)
    once, slowly = (
        odds(eaten(*(day * DAY + BREAKFAST + late for day in range(10) for late in part)), begins)
        for part in ((0,), (0, 1, 2))
    )
    torch.testing.assert_close(once, slowly)
