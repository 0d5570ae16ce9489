"""How restless a person is: exact for what noise makes, and blind to what comes later."""

from dataclasses import replace

import pandas as pd
import pytest
import torch

from hybridtwin.assimilation.restless import beside_expected, restless
from hybridtwin.assimilation.settings import HindcastNoise, OwnNoise, UnloggedSettings
from hybridtwin.assimilation.supposed import drift, sensor_error
from hybridtwin.native import native_walk
from hybridtwin.record import Record
from hybridtwin.registry import load_twin
from hybridtwin.timeline import to_timeline
from hybridtwin.twin import Twin
from tests.hybridtwin.people import history

HOURS = 48
COUNT = 48


@pytest.fixture(scope="module")
def twin() -> Twin:
    return replace(load_twin(), walk=native_walk())


def found(twin: Twin, record: Record, own: OwnNoise, hours: float = HOURS) -> float:
    timeline = to_timeline(record)
    now = torch.tensor([round(hours * 12) - 1])
    with torch.inference_mode():
        settings = UnloggedSettings(own=own)
        return float(restless(twin, twin.person_for(record.profile), timeline, now, settings))


def shaken(record: Record, by_mg_dl: float, from_hour: float = 0) -> Record:
    """The record with glucose that swings every other hour."""
    glucose = record.glucose.copy()
    hours = (glucose["time"] - glucose["time"].iloc[0]) / pd.Timedelta(hours=1)
    swings = by_mg_dl * ((hours // 2) % 2) * (hours >= from_hour)
    return replace(record, glucose=glucose.assign(mg_dl=glucose["mg_dl"] + swings))


def test_what_the_noise_itself_makes_is_as_expected() -> None:
    noise = HindcastNoise()
    root = torch.linalg.cholesky(drift(COUNT, noise) + sensor_error(COUNT, noise))
    normal = torch.randn(4000, COUNT, generator=torch.Generator().manual_seed(0)).double()
    beside = beside_expected(normal @ root.T, noise)
    assert float(beside.mean()) == pytest.approx(1, abs=0.05)
    torch.testing.assert_close(beside_expected(2 * normal @ root.T, noise), 4 * beside)


def test_a_shift_that_stays_is_no_change() -> None:
    missed = torch.full((3, COUNT), 40.0).double()
    missed[0, 5] = torch.nan
    assert beside_expected(missed, HindcastNoise()).nan_to_num().abs().max() == 0


def test_who_swings_is_more_restless(twin: Twin) -> None:
    own = OwnNoise(within=(1e-3, 1e3))
    calm = found(twin, history(HOURS), own)
    assert calm < found(twin, shaken(history(HOURS), 40), own)


def test_what_comes_later_is_not_looked_at(twin: Twin) -> None:
    own = OwnNoise(within=(1e-3, 1e3), least=5)
    later = shaken(history(HOURS), 60, from_hour=36)
    assert found(twin, later, own, hours=36) == found(twin, history(HOURS), own, hours=36)


def test_of_whom_little_is_known_is_like_everybody(twin: Twin) -> None:
    assert found(twin, shaken(history(HOURS), 60), OwnNoise(least=500)) == 1
