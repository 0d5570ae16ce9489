"""In which group a patient is listed, and that nobody is called well whose data do not say so."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridtwin.forecast import EventProbabilities
from hybridtwin.review.review import NightRisk
from hybridtwin.trust import STALE_MIN, Trust
from serving.clinic.attention import GROUPS, whys
from serving.clinic.panel import _is_snoozed
from serving.clinic.summary import Lately, Night, PastNight, Tonight
from serving.settings import Settings
from serving.store.follow_ups import Step

NOW = datetime(2026, 1, 31, 20, 30, tzinfo=UTC)


def _last(mg_dl=120.0, age_min=3.0, **more):
    values = {"rate_mg_dl_min": 0.0, "lows": 0, "very_lows": 0} | more
    return Lately(
        time=NOW - timedelta(minutes=age_min), mg_dl=mg_dl, origin=NOW, curve="", **values
    )


def _night(below_70=0.05, below_54=0.0, above_250=0.0, trust="full"):
    events = EventProbabilities(
        below_70=below_70, below_54=below_54, above_180=0, above_250=above_250
    )
    risk = NightRisk(participant="p", status="forecast", events=events, trust=Trust(level=trust))
    return _tonight(risk)


def _tonight(risk):
    """As the panel reads what the evening kept."""
    return Tonight.model_validate_json(Night(issued=NOW, risk=risk).model_dump_json())


def _morning(low, very_low=False):
    return PastNight(
        end=NOW, below_70=0.1, below_54=0, lowest_mg_dl=60, low=low, very_low=very_low, covered=1
    )


REFUSED = _tonight(NightRisk(participant="p", status="refused"))


@pytest.mark.parametrize(
    ("last", "night", "morning", "group"),
    [
        (_last(), _night(), None, "well"),
        (_last(), _night(), _morning(low=False), "well"),
        (_last(), None, None, "well"),
        (_last(mg_dl=53.9), _night(), None, "very_low"),
        (_last(mg_dl=69.9), _night(), None, "low"),
        (_last(), _night(below_70=0.5, below_54=0.2), None, "very_low"),
        (_last(), _night(below_70=0.5), None, "low"),
        (_last(), _night(below_70=0.49), None, "watch"),
        (_last(), _night(below_70=0.2), None, "watch"),
        (_last(), _night(trust="low"), None, "watch"),
        (_last(), REFUSED, None, "missing"),
        (None, None, None, "missing"),
        (_last(age_min=STALE_MIN + 1), _night(), None, "missing"),
        (_last(age_min=STALE_MIN + 1), _night(below_70=0.9), None, "low"),
        (_last(very_lows=1, lows=1), _night(), None, "lows"),
        (_last(lows=3), _night(), None, "well"),
        (_last(lows=4), _night(), None, "lows"),
        (_last(), None, _morning(low=True), "lows"),
        (_last(mg_dl=200, rate_mg_dl_min=1.0), _night(), None, "rising"),
        (_last(mg_dl=200, rate_mg_dl_min=0.9), _night(), None, "well"),
        (_last(mg_dl=200, rate_mg_dl_min=None), _night(), None, "well"),
        (_last(), _night(above_250=0.5), None, "rising"),
    ],
)
def test_each_is_listed_by_the_most_urgent_that_applies(last, night, morning, group):
    found = whys(last, night, morning, NOW, Settings())
    assert (found[0].group if found else "well") == group


@given(
    st.floats(40, 400),
    st.floats(0, 600),
    st.floats(0, 1),
    st.booleans(),
)
def test_nobody_is_well_without_fresh_readings_and_a_forecast(mg_dl, age_min, chance, refused):
    night = REFUSED if refused else _night(below_70=chance)
    found = whys(_last(mg_dl=mg_dl, age_min=age_min), night, None, NOW, Settings())
    if refused or age_min > STALE_MIN or chance >= Settings().watch or mg_dl < 70:
        assert found
    assert [GROUPS.index(why.group) for why in found] == sorted(
        GROUPS.index(why.group) for why in found
    )


@pytest.mark.parametrize(
    ("then", "until_h", "group", "snoozed"),
    [
        ("watch", 1, "watch", True),
        ("watch", 1, "well", True),
        ("watch", 1, "low", False),
        ("watch", 1, "missing", False),
        ("watch", 0, "watch", False),
        ("very_low", 1, "very_low", True),
    ],
)
def test_who_gets_worse_is_back_before_the_snooze_ends(then, until_h, group, snoozed):
    until = NOW + timedelta(hours=until_h)
    step = Step(kind="snooze", time=NOW, by="dr", until=until, group=then)
    assert _is_snoozed(step, group, NOW) == snoozed
