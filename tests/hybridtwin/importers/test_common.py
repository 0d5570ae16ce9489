import pandas as pd
import pytest

from hybridtwin.event_tables import table
from hybridtwin.events import Profile
from hybridtwin.importers import _clock as clock
from hybridtwin.importers import _common as common

MADRID = "Europe/Madrid"


def walls(*texts: str) -> pd.Series:
    return pd.Series(pd.to_datetime(list(texts)).astype("datetime64[ns]"))


def counts(notes: common.Notes, action: str) -> dict[str, int]:
    return {note.why: note.count for note in notes.as_list() if note.action == action}


def test_a_skipped_wall_time_is_an_hour_later_and_counted() -> None:
    notes = common.Notes()
    utc = clock.to_utc(walls("2024-03-31 01:55", "2024-03-31 02:30"), MADRID, notes, "x")
    assert utc.dt.strftime("%H:%M").tolist() == ["00:55", "01:30"]
    assert counts(notes, "mended") == {"wall time skipped by the spring clock change": 1}


def test_a_repeated_hour_is_summer_time_until_the_file_steps_back() -> None:
    notes = common.Notes()
    wall = walls(*(f"2024-10-27 {t}" for t in ("01:55", "02:30", "02:50", "02:10", "02:55")))
    utc = clock.to_utc(wall, MADRID, notes, "x")
    assert utc.dt.strftime("%H:%M").tolist() == ["23:55", "00:30", "00:50", "01:10", "01:55"]
    assert utc.is_monotonic_increasing
    assert counts(notes, "mended") == {"wall time repeated by the autumn clock change": 4}


def test_an_unadjusted_clock_keeps_its_offset() -> None:
    wall = walls("2024-03-30 12:00", "2024-03-31 02:30", "2024-04-01 12:00")
    utc = clock.unadjusted_to_utc(wall, MADRID, common.Notes(), "x")
    assert utc.dt.hour.tolist() == [11, 1, 11]


def test_readings_are_sorted_deduplicated_and_bounded_with_counts() -> None:
    rows = pd.DataFrame(
        {
            "time": walls(
                "2024-01-01 00:10", "2024-01-01 00:00", *["2024-01-01 00:05"] * 2
            ).tolist()
            + walls("2024-01-01 00:15", "2024-01-01 00:15", "2024-01-01 00:20").tolist(),
            "mg_dl": [110.0, 100.0, 104.0, 106.0, 90.0, 200.0, 5.0],
            "source": "cgm",
        }
    )
    rows["time"] = rows["time"].dt.tz_localize("UTC")
    notes = common.Notes()
    tidy = common.tidy_glucose(rows, notes)
    assert tidy["mg_dl"].tolist() == [100.0, 105.0, 110.0]
    assert counts(notes, "dropped") == {
        "outside 20 to 600 mg/dL": 1,
        "readings at one time that contradict each other": 2,
    }
    assert counts(notes, "mended") == {
        "stood after a later row: sorted": 1,
        "several like readings at one time, averaged": 2,
    }


def test_rates_hold_until_the_next_or_the_cap_and_conserve_units() -> None:
    times = pd.Series(
        pd.to_datetime(["2024-01-01T00:00Z", "2024-01-01T00:05Z", "2024-01-01T06:00Z"])
    )
    doses = common.rates_to_doses(times, pd.Series([1.2, 1.2, 0.6]), 30, common.Notes())
    assert doses["duration_min"].tolist() == [35.0, 30.0]
    assert doses["dose_u"].tolist() == pytest.approx([0.7, 0.3])


def test_an_impossible_rate_is_unknown_and_still_ends_the_one_before() -> None:
    times = pd.Series(pd.to_datetime([f"2024-01-01T0{hour}:00Z" for hour in (0, 1, 2)]))
    notes = common.Notes()
    doses = common.rates_to_doses(times, pd.Series([1.0, 900.0, 2.0]), 1440, notes)
    assert doses["dose_u"].tolist() == [1.0, 2.0]
    assert doses["duration_min"].tolist() == [60.0, 60.0]
    assert counts(notes, "dropped") == {"rate outside 0 to 35 U/h": 1}


def test_a_lone_event_is_no_log() -> None:
    times = pd.Series(pd.to_datetime(["2024-01-01T08:00Z", "2024-01-05T08:00Z"]))
    assert common.logged("meals", times).empty
    times = pd.Series(pd.to_datetime(["2024-01-01T08:00Z", "2024-01-01T20:00Z"]))
    assert len(common.logged("meals", times)) == 1


def test_an_impossible_detail_does_not_cost_the_meal() -> None:
    time = pd.Timestamp("2024-01-01T12:00", tz="UTC")
    meals = pd.DataFrame({"time": [time], "carbs_g": [40.0], "fat_g": [-5.0], "protein_g": [900.0]})
    notes = common.Notes()
    record = common.build(Profile(), "toy", [], notes, table("glucose"), [], meals)
    assert record.meals["carbs_g"].tolist() == [40.0]
    assert record.meals[["fat_g", "protein_g"]].isna().all(axis=None)
    dropped = {note.what: note.count for note in notes.as_list() if note.action == "dropped"}
    assert dropped == {"meals fat_g": 1, "meals protein_g": 1}
