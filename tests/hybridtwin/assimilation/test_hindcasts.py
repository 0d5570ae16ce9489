"""What a twin would have forecast before, and what follows for what it forecasts now."""

from dataclasses import replace

import pandas as pd
import pytest
import torch

from hybridtwin.assimilation.hindcasts import kept_current, missed, starts
from hybridtwin.assimilation.misses import Misses, nothing_missed
from hybridtwin.assimilation.settings import MissesSettings
from hybridtwin.native import native_walk
from hybridtwin.neural.spread import KNOTS_MIN
from hybridtwin.plan import Plan
from hybridtwin.record import Record
from hybridtwin.registry import load_twin
from hybridtwin.timeline import CHANNEL, to_timeline
from hybridtwin.trust import LOOK_BACK_MIN
from hybridtwin.twin import AS_USUAL, Twin
from hybridtwin.units import steps
from tests.hybridtwin.people import history

SETTINGS = MissesSettings()


@pytest.fixture(scope="module")
def twin() -> Twin:
    return replace(load_twin(), walk=native_walk())


@pytest.fixture(scope="module")
def record() -> Record:
    return history(40)


def test_forecasts_are_made_again_once_an_hour_from_readings_with_hours_before(
    record: Record,
) -> None:
    timeline = to_timeline(record)
    anchors = starts(timeline, 60)
    assert (anchors.diff() == 12).all()
    assert timeline.original[anchors].all()
    assert anchors[0] >= steps(LOOK_BACK_MIN)


def test_a_forecast_is_moved_by_what_is_missed_and_by_nothing_else(
    twin: Twin, record: Record
) -> None:
    plain = expected(twin, record)
    assert torch.equal(plain, expected(replace(twin, misses=nothing_missed()), record))
    always = nothing_missed().coefficients_mg_dl
    always[..., 0] = 10
    up = Misses(always, torch.ones(1, len(KNOTS_MIN)))
    moved = expected(replace(twin, misses=up), record) - plain
    assert moved[23] == pytest.approx(10, abs=1e-3)
    assert moved[5] == pytest.approx(5, abs=1e-3)  # half as far in a quarter of the time
    complete = Plan(name="nothing", mode="complete")
    assert torch.equal(
        expected(twin, record, complete), expected(replace(twin, misses=up), record, complete)
    )


def expected(twin: Twin, record: Record, plan: Plan = AS_USUAL) -> torch.Tensor:
    return twin.forecast(twin.believe(record, members=5), plan, 120).expected_mg_dl


def test_what_comes_later_is_not_looked_at(twin: Twin, record: Record) -> None:
    now = record.glucose["time"].iloc[0] + pd.Timedelta(hours=30)
    known = kept_current(twin, record.before(now), SETTINGS).misses
    whole = to_timeline(record)
    then = torch.tensor([len(to_timeline(record.before(now))) - 1])
    values = whole.values.clone()
    values[then + 1 :, CHANNEL["glucose_mg_dl"]] = 300.0
    for each in (whole, replace(whole, values=values)):
        found = missed(twin, each, twin.person_for(record.profile), "made-up", then, SETTINGS)
        assert known is not None
        torch.testing.assert_close(found.coefficients_mg_dl, known.coefficients_mg_dl)
        torch.testing.assert_close(found.widening, known.widening)


def test_of_days_that_it_learnt_from_a_twin_cannot_tell_its_spread(
    twin: Twin, record: Record
) -> None:
    name = record.profile.participant
    known = replace(twin, config=twin.config.model_copy(update={"learnt_from": (name,)}))
    strange, own = (kept_current(each, record, SETTINGS).misses for each in (twin, known))
    assert strange is not None
    assert own is not None
    assert torch.equal(own.coefficients_mg_dl, strange.coefficients_mg_dl)
    assert torch.equal(own.widening, torch.ones_like(own.widening))
    assert not torch.equal(strange.widening, own.widening)


def test_of_somebody_new_nothing_is_missed(twin: Twin) -> None:
    new = kept_current(twin, history(5), SETTINGS).misses
    assert new is not None
    assert torch.equal(new.coefficients_mg_dl, nothing_missed().coefficients_mg_dl)
