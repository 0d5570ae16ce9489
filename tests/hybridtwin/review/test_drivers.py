"""What is put in a driver's place is what is usual."""

import numpy as np
import pytest
import torch

from hybridtwin.ahead import since
from hybridtwin.record import Record
from hybridtwin.review.drivers import TAKEN_AWAY, Driver, Past
from hybridtwin.review.usual import DAY, usual
from hybridtwin.timeline import BOLUS, CARBS, CHANNEL, to_timeline
from tests.hybridtwin.review.evenings import evening, with_bolus, with_run, without_dinner


def _past(record: Record) -> Past:
    timeline = to_timeline(record)
    return Past(timeline, since(record, timeline.time(len(timeline) - 1)))


def _without(driver: Driver, record: Record) -> Past:
    past = _past(record)
    return TAKEN_AWAY[driver](past, usual(past.timeline))


def _total(past: Past, names: tuple[str, ...]) -> float:
    later = sum(dose.dose_u for dose in past.since.insulin if dose.purpose == "bolus")
    columns = [CHANNEL[name] for name in names]
    return float(past.timeline.values[:, columns].sum()) + (later if names is BOLUS else 0.0)


def test_usual_is_what_the_days_before_had() -> None:
    found = usual(_past(evening()).timeline)
    assert found.bolus_u_g == pytest.approx(4 / 45)
    by_now = found.carbs_g[:, :DAY].sum(1)
    np.testing.assert_allclose(by_now, 4 * 45)
    np.testing.assert_allclose(found.exertion, 0)


@pytest.mark.parametrize("driver", list(TAKEN_AWAY))
def test_of_a_usual_day_nothing_is_taken_away(driver: Driver) -> None:
    past = _past(evening())
    assert TAKEN_AWAY[driver](past, usual(past.timeline)) is past


@pytest.mark.parametrize("before_now_min", [1, 30, 90])
def test_what_was_too_much_is_taken_away_and_no_more(before_now_min: float) -> None:
    usual_day = _past(evening())
    found = _without(Driver.INSULIN, with_bolus(evening(), 3.0, before_now_min))
    assert _total(found, BOLUS) == pytest.approx(_total(usual_day, BOLUS), abs=1e-4)
    torch.testing.assert_close(found.timeline.values, usual_day.timeline.values)


def test_a_dinner_that_was_bolused_for_is_put_back_as_large_as_its_bolus() -> None:
    found = _without(Driver.MEAL, without_dinner(evening()))
    assert _total(found, CARBS) == pytest.approx(_total(_past(evening()), CARBS), rel=1e-3)
    past = _past(without_dinner(evening()))
    assert TAKEN_AWAY[Driver.INSULIN](past, usual(past.timeline)) is past


def test_without_the_run_nobody_ran() -> None:
    found = _without(Driver.EXERCISE, with_run(evening(), 60))
    assert not found.timeline.values[:, CHANNEL["stated_exertion"]].any()
