"""Shares of drivers in the night's lowest point."""

from dataclasses import replace

import pytest

from hybridtwin.native import native_walk
from hybridtwin.record import Record
from hybridtwin.registry import load_twin
from hybridtwin.review.drivers import Driver
from hybridtwin.review.effects import effects
from hybridtwin.review.night import forecast_night
from hybridtwin.review.reasons import Explanation, explain
from hybridtwin.twin import Twin
from hybridtwin.units import MG_DL_PER_MMOL_L
from tests.hybridtwin.review.evenings import evening, with_bolus, with_run, without_dinner


@pytest.fixture(scope="module")
def twin() -> Twin:
    return replace(load_twin(), walk=native_walk())


def _explained(twin: Twin, record: Record) -> Explanation:
    return explain(twin, forecast_night(twin, twin.believe(record, members=40)))


def _share(found: Explanation, driver: Driver) -> float:
    return sum(reason.nadir for reason in found.reasons if reason.driver == driver)


def test_what_was_not_there_has_no_share(twin: Twin) -> None:
    drivers = {reason.driver for reason in _explained(twin, evening()).reasons}
    assert not drivers & {Driver.INSULIN, Driver.MEAL, Driver.EXERCISE, Driver.ALCOHOL}


def test_the_larger_an_extra_bolus_the_larger_its_share(twin: Twin) -> None:
    found = [
        _share(_explained(twin, with_bolus(evening(), dose_u)), Driver.INSULIN)
        for dose_u in (1.0, 2.0, 4.0)
    ]
    assert 0 > found[0] > found[1] > found[2]


@pytest.mark.parametrize(
    ("record", "driver"),
    [
        (with_bolus(evening(), 4.0), Driver.INSULIN),
        (without_dinner(evening()), Driver.MEAL),
        (with_run(evening(), 90), Driver.EXERCISE),
    ],
)
def test_what_is_other_than_usual_comes_first(twin: Twin, record: Record, driver: Driver) -> None:
    found = _explained(twin, record)
    assert found.reasons[0].driver == driver
    assert found.reasons == sorted(found.reasons, key=lambda reason: reason.nadir)


def test_effects_of_one_driver_alone_are_those_of_all(twin: Twin) -> None:
    """A level as usual, no fortnight and a sensitivity as ever leave the bolus alone."""
    record = with_bolus(evening(), 3.0)
    belief = twin.believe(record, members=2)
    found = effects(twin, belief, 480)
    assert (found[Driver.INSULIN][24:] < 0).all()
    alone = {Driver.INSULIN, Driver.SENSITIVITY, Driver.LEVEL, Driver.HABIT, None}
    assert set(found) == alone


def test_units(twin: Twin) -> None:
    found = _explained(twin, with_bolus(evening(), 4.0))
    in_mmol = found.in_unit("mmol/L")
    for one, other in zip(found.reasons, in_mmol.reasons, strict=True):
        assert other.nadir == pytest.approx(one.nadir / MG_DL_PER_MMOL_L, abs=0.006)
        assert other.below_70 == one.below_70
