"""What would help, and when nothing is said."""

from dataclasses import replace

import pandas as pd
import pytest
import torch

from hybridtwin.native import native_walk
from hybridtwin.record import Record
from hybridtwin.registry import load_twin
from hybridtwin.review.night import Night, forecast_night
from hybridtwin.review.settings import ReviewSettings
from hybridtwin.review.suggestions import (
    Advice,
    Measure,
    Silence,
    advise,
    lows_prevented,
    very_highs_caused,
)
from hybridtwin.twin import Twin
from hybridtwin.units import MG_DL_PER_MMOL_L
from tests.hybridtwin.people import history
from tests.hybridtwin.review.evenings import HOURS, NOW, evening, with_bolus

SETTINGS = ReviewSettings(
    explain_from=0.0, prevents_at_least=0.6, very_high_at_most=0.4, basals=((80, 2), (80, 4))
)
HEADING_FOR_A_LOW = with_bolus(evening(level_mg_dl=120), 2.0)


@pytest.fixture(scope="module")
def twin() -> Twin:
    return replace(load_twin(), walk=native_walk())


def _night(twin: Twin, record: Record, now: pd.Timestamp = NOW) -> Night:
    return forecast_night(twin, twin.believe(record, now, members=60))


def _advice(twin: Twin, record: Record, now: pd.Timestamp = NOW) -> Advice:
    return advise(twin, record, _night(twin, record, now), SETTINGS)


def test_a_suggestion_makes_the_low_it_names_unlikely_and_no_high_likely(twin: Twin) -> None:
    found = _advice(twin, HEADING_FOR_A_LOW)
    assert found.suggestions
    for one in found.suggestions:
        still_low = 1 - SETTINGS.prevents_at_least
        assert 0 <= one.following.below_70 <= still_low * one.without.below_70
        assert one.following.below_54 <= one.without.below_54
        assert one.following.above_250 <= 0.4
        assert one.rise_low <= one.rise <= one.rise_high
        assert one.rise > 0


def test_no_smaller_snack_would_do(twin: Twin) -> None:
    snack = next(
        one for one in _advice(twin, HEADING_FOR_A_LOW).suggestions if one.measure == Measure.SNACK
    )
    smaller = tuple(g for g in SETTINGS.snacks_g if g < (snack.carbs_g or 0))
    assert smaller
    less = SETTINGS.model_copy(update={"snacks_g": smaller, "basals": ()})
    tried = advise(twin, HEADING_FOR_A_LOW, _night(twin, HEADING_FOR_A_LOW), less)
    assert tried == Advice(silence=Silence.NOTHING_HELPS)


def test_nobody_is_to_eat_while_glucose_is_high(twin: Twin) -> None:
    night = _night(twin, HEADING_FOR_A_LOW)
    below = night.belief.last_reading_mg_dl - 1
    high = SETTINGS.model_copy(update={"corrected_above_mg_dl": below})
    found = advise(twin, HEADING_FOR_A_LOW, night, high)
    assert found == Advice(silence=Silence.NOTHING_HELPS)


def test_a_larger_bolus_wants_a_larger_snack(twin: Twin) -> None:
    sizes = []
    for dose_u in (1.5, 2.5):
        found = _advice(twin, with_bolus(evening(level_mg_dl=120), dose_u)).suggestions
        sizes.append(next(one.carbs_g or 0 for one in found if one.measure == Measure.SNACK))
    assert sizes[0] < sizes[1]


def test_only_paths_with_a_low_tell_what_is_prevented() -> None:
    level = torch.tensor([60.0, 60, 60, 60, 100, 100, 260, 100]).unsqueeze(1).repeat(1, 12)
    lift = torch.tensor([20.0, 200, 20, 5, 20, 160, 20, 20]).unsqueeze(1)
    often = torch.tensor([0, 1, 2, 3] * 3 + [4, 5, 6, 7])
    for these in (torch.arange(8), often):
        without, following = level[these], (level + lift)[these]
        assert lows_prevented(without, following) == 3 / 4
        assert very_highs_caused(without, following) == 1 / 4


def _without_insulin(record: Record, after: pd.Timestamp) -> Record:
    insulin, logged = record.insulin, record.logged
    return replace(
        record,
        insulin=insulin[insulin["time"] < after - pd.Timedelta(hours=6)],
        logged=logged.assign(end=logged["end"].clip(upper=max(after, logged["start"].min()))),
    )


def _with_last_reading(record: Record, mg_dl: float) -> Record:
    levels = record.glucose["mg_dl"].to_list()
    return replace(record, glucose=record.glucose.assign(mg_dl=[*levels[:-1], mg_dl]))


@pytest.mark.parametrize(
    ("record", "now", "silence"),
    [
        (HEADING_FOR_A_LOW, NOW + pd.Timedelta(minutes=25), Silence.STALE),
        (_without_insulin(evening(), NOW - pd.Timedelta(hours=4)), NOW, Silence.INSULIN),
        (history(hours=HOURS, basal_u_h=None, bolus=False), NOW, Silence.NO_INSULIN),
        (evening(level_mg_dl=75), NOW, Silence.TRUST),
        (_with_last_reading(evening(), 66), NOW, Silence.LOW_NOW),
    ],
)
def test_nothing_is_said_where_too_little_is_known(
    twin: Twin, record: Record, now: pd.Timestamp, silence: Silence
) -> None:
    assert _advice(twin, record, now) == Advice(silence=silence)


def test_of_a_low_that_is_not_likely_nothing_is_said(twin: Twin) -> None:
    night = _night(twin, evening())
    found = advise(twin, evening(), night, ReviewSettings(explain_from=1.0))
    assert found == Advice(silence=Silence.UNLIKELY)


def test_units(twin: Twin) -> None:
    found = _advice(twin, HEADING_FOR_A_LOW)
    for one, other in zip(found.suggestions, found.in_unit("mmol/L").suggestions, strict=True):
        assert other.rise == pytest.approx(one.rise / MG_DL_PER_MMOL_L, abs=0.006)
        assert other.without == one.without
