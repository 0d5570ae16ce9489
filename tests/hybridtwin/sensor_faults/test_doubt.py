"""What a belief makes of readings in doubt."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridtwin.record import Record
from hybridtwin.registry import load_twin
from hybridtwin.review.review import review_night
from hybridtwin.sensor_faults.doubt import doubt, doubtful, said, told, trusted
from hybridtwin.sensor_faults.settings import FaultSettings
from hybridtwin.units import MG_DL_PER_MMOL_L, to_mg_dl
from hybridtwin.virtual.faults import Fault, FaultKind, corrupt
from tests.hybridtwin.people import history

SETTINGS = FaultSettings()
COUNT = 300


def night(depth_mg_dl: float = 0, steps: int = 4, hours: float = COUNT / 12) -> Record:
    """Steady readings until 03:00, the last of them under pressure."""
    record = history(hours=hours)
    times = record.glucose["time"]
    reading = np.full(len(times) + 24, 110.0)
    start = len(times) - steps
    if depth_mg_dl:
        reading = corrupt(reading, [Fault(FaultKind.COMPRESSION_LOW, start, 12, depth_mg_dl)])
    to_three = pd.Timestamp("2026-03-03 02:00", tz="UTC") - times.iloc[-1]
    glucose = record.glucose.assign(mg_dl=reading[: len(times)], time=times + to_three)
    return Record(profile=record.profile, glucose=glucose)


def test_sound_readings_are_believed():
    record = night()
    found = doubt(record, SETTINGS)
    assert not found.doubtful.any()
    assert trusted(record, found, record.glucose["time"].iloc[-1]) is record
    assert said(found, SETTINGS, left_out=False) == []


def test_readings_under_pressure_are_unknown_to_the_belief_and_stay_in_the_record():
    record = night(45)
    now = record.glucose["time"].iloc[-1]
    found = doubt(record, SETTINGS)
    assert found.compression > 0.9
    np.testing.assert_array_equal(
        np.flatnonzero(found.doubtful)[-4:], COUNT + 1 - np.arange(4, 0, -1)
    )
    believed = trusted(record, found, now)
    assert believed.glucose["mg_dl"].min() == 110
    assert len(record.glucose) == COUNT + 1
    (note,) = said(found, SETTINGS, left_out=True)
    assert f"{100 * found.compression:.0f} %" in note.text
    assert note.kind == "fault"


def test_the_unit_in_which_readings_arrive_does_not_matter():
    record = night(45)
    mmol = record.glucose["mg_dl"] / MG_DL_PER_MMOL_L
    glucose = record.glucose.assign(mg_dl=[to_mg_dl(value, "mmol/L") for value in mmol])
    one, other = (doubt(each, SETTINGS) for each in (record, replace(record, glucose=glucose)))
    assert one.compression == pytest.approx(other.compression, abs=1e-6)
    np.testing.assert_array_equal(one.doubtful, other.doubtful)


def test_a_history_that_is_all_in_doubt_is_used_all_the_same():
    record = night(45, hours=3)
    found = replace(doubt(record, SETTINGS), doubtful=np.ones(len(record.glucose), dtype=bool))
    assert trusted(record, found, record.glucose["time"].iloc[-1]) is record


def test_a_fault_is_told_while_it_lasts_and_not_before():
    found = told(night(45), SETTINGS)
    assert not found[:-4].any()
    assert found[-2:].all()


def test_what_is_told_late_casts_doubt_on_the_two_readings_before():
    told = np.zeros((1, 10))
    told[0, 5:7] = 1
    assert np.flatnonzero(doubtful(told, SETTINGS)[0]).tolist() == [3, 4, 5, 6]


def test_a_forecast_through_a_compression_leans_on_what_went_before_and_says_so():
    record, plain = night(45), load_twin()
    careful = replace(plain, faults=SETTINGS)
    beliefs = [twin.believe(record, members=20) for twin in (plain, careful)]
    assert [belief.last_reading_mg_dl < 80 for belief in beliefs] == [True, False]
    assert beliefs[1].time < beliefs[0].time
    assert beliefs[1].now == beliefs[0].now
    lows = [
        twin.forecast(each, horizon_min=60).events().below_70
        for twin, each in zip((plain, careful), beliefs, strict=True)
    ]
    assert lows[1] < lows[0]
    kinds = [{note.kind for note in belief.trust.notes} for belief in beliefs]
    assert ["fault" in each for each in kinds] == [False, True]
    assert beliefs[1].trust.level != "full"


def test_without_a_fault_a_careful_twin_believes_the_same():
    record, plain = night(), load_twin()
    one, other = (
        twin.believe(record, members=5) for twin in (plain, replace(plain, faults=SETTINGS))
    )
    assert one.trust == other.trust
    assert one.time == other.time
    assert (one.present.body == other.present.body).all()


def test_a_very_low_reading_is_urgent_even_in_doubt():
    record = night(65)
    belief = replace(load_twin(), faults=SETTINGS).believe(record, members=5)
    assert belief.last_reading_mg_dl == 110
    assert {"urgent", "fault"} <= {note.kind for note in belief.trust.notes}


@given(st.lists(st.tuples(st.integers(30, 2400), st.integers(40, 400)), min_size=1, max_size=60))
@settings(max_examples=20)
def test_any_record_can_be_doubted(rows):
    """Readings seconds or half an hour apart, several in one step of the grid."""
    times = pd.Timestamp("2026-03-01", tz="UTC") + pd.to_timedelta(
        np.cumsum([gap for gap, _ in rows]), unit="s"
    )
    glucose = pd.DataFrame({"time": times, "mg_dl": [float(value) for _, value in rows]})
    record = Record(profile=night().profile, glucose=glucose.assign(mg_dl=glucose["mg_dl"] + 20))
    found = doubt(record, SETTINGS)
    assert 0 <= found.compression <= 1
    assert 0 <= found.jump <= 1
    assert found.doubtful.shape == (len(rows),)


def test_the_list_of_the_night_leans_on_what_went_before():
    plain = load_twin()
    risks = [
        review_night(twin, night(45)).risk for twin in (plain, replace(plain, faults=SETTINGS))
    ]
    assert risks[1].events.below_70 < risks[0].events.below_70
    assert "fault" in {note.kind for note in risks[1].trust.notes}
