from dataclasses import replace

import pandas as pd
import pytest

from hybridtwin.events import InsulinKind
from hybridtwin.record import Record
from hybridtwin.timeline import to_timeline
from hybridtwin.trust import Trust, judge
from tests.hybridtwin.people import history


def judged(record: Record) -> Trust:
    now = record.glucose["time"].iloc[-1]
    return judge(record, to_timeline(record), now, personal=True)


def with_condition(kind: str, begin_min: float, duration_min: float = 60) -> Record:
    """A complete history with a condition that begins so long before now."""
    record = history()
    begin = record.glucose["time"].iloc[-1] - pd.Timedelta(minutes=begin_min)
    row = {"time": begin, "kind": kind, "duration_min": duration_min, "severity": 0.5}
    return replace(record, conditions=pd.DataFrame([row]))


@pytest.mark.parametrize(
    ("kind", "words"), [("illness", "Illness"), ("site failure", "change the site")]
)
def test_illness_and_a_failing_site_reduce_trust_while_they_last(kind: str, words: str) -> None:
    calm = judged(history())
    assert calm == Trust(level="full", notes=[])
    trust = judged(with_condition(kind, begin_min=30))
    assert trust.level == "reduced"
    (note,) = trust.notes
    assert words in note.text
    assert judged(with_condition(kind, begin_min=61)) == calm
    assert judged(with_condition(kind, begin_min=-10)) == calm


@pytest.mark.parametrize("kind", ["stress", "short sleep", "luteal phase"])
def test_daily_life_leaves_trust_as_it_is(kind: str) -> None:
    assert judged(with_condition(kind, begin_min=30)).level == "full"


@pytest.mark.parametrize("kind", InsulinKind)
def test_only_long_acting_insulin_without_a_name_is_taken_for_another(kind: InsulinKind) -> None:
    record = history()
    boluses = record.insulin["purpose"] == "bolus"
    insulin = record.insulin.assign(kind=record.insulin["kind"].mask(boluses, str(kind)))
    notes = judged(replace(record, insulin=insulin)).notes
    assumed = ["glargine U100" in note.text for note in notes]
    assert assumed == ([True] if kind == InsulinKind.LONG_ACTING else [])


def test_pregnancy_is_said() -> None:
    record = history()
    profile = record.profile.model_copy(update={"pregnancy_week": 20})
    trust = judged(replace(record, profile=profile))
    assert trust.level == "reduced"
    assert ["Pregnancy" in note.text for note in trust.notes] == [True]
