from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hybridtwin.importers import hupa_ucm, read
from hybridtwin.record import Record

ROWS = 12 * 24


def person(tmp_path: Path, start: str = "2018-06-13T00:00:00", **columns: object) -> Record:
    readings = 120 + 40 * np.sin(np.arange(ROWS // 3 + 1) / 3) + np.arange(ROWS // 3 + 1) % 2
    glucose = np.interp(np.arange(ROWS), 3 * np.arange(len(readings)), readings.round())
    beats = 70 + np.arange(ROWS) % 7 + (np.arange(ROWS) % 3) ** 2
    base: dict[str, object] = {
        "time": pd.date_range(start, periods=ROWS, freq="5min").strftime("%Y-%m-%dT%H:%M:%S"),
        "glucose": glucose,
        "calories": 5.0,
        "heart_rate": beats.astype(float),
        "steps": 0.0,
        "basal_rate": 0.0,
        "bolus_volume_delivered": 0.0,
        "carb_input": 0.0,
    }
    file = tmp_path / "HUPA0001P.csv"
    pd.DataFrame(base | columns).to_csv(file, sep=";", index=False)
    (record,) = read(file, "hupa_ucm")
    return record


def sparse(values: dict[int, float]) -> np.ndarray:
    row = np.zeros(ROWS)
    row[list(values)] = list(values.values())
    return row


def count(record: Record, action: str, why: str) -> int:
    notes = record.provenance.notes
    return sum(note.count for note in notes if note.action == action and why in note.why)


def test_only_the_readings_are_original(tmp_path: Path) -> None:
    record = person(tmp_path)
    original = ~record.glucose["interpolated"].to_numpy()
    assert original[: ROWS - 3 : 3].mean() > 0.95
    assert not original[1 : ROWS - 3 : 3].any()
    assert not original[2 : ROWS - 3 : 3].any()


def test_a_long_straight_stretch_is_a_filled_gap() -> None:
    readings = [100, 112, 109, 130, 126, 150]
    series = np.interp(np.arange(0, 70), [0, 3, 6, 9, 12, 60], readings)
    found = np.flatnonzero(hupa_ucm.originals(series)).tolist()
    assert found[:5] == [0, 3, 6, 9, 12]
    assert not [one for one in found if 12 < one < 60]


def test_a_reading_on_the_line_and_the_floor_of_the_sensor_are_readings() -> None:
    series = np.interp(np.arange(31), [0, 3, 6, 9, 12, 27, 30], [90, 80, 70, 75, 40, 40, 61])
    assert np.flatnonzero(hupa_ucm.originals(series)).tolist() == list(range(0, 31, 3))


def test_basal_is_units_per_five_minutes_and_absent_channels_are_missing(tmp_path: Path) -> None:
    record = person(tmp_path, basal_rate=np.full(ROWS, 0.05))
    assert record.insulin["dose_u"].sum() == pytest.approx(0.05 * ROWS)
    assert len(record.insulin) <= 3
    bare = person(tmp_path)
    assert bare.insulin.empty
    assert bare.logged.empty
    assert count(bare, "missing", "none in the file") == 3


def test_a_short_zero_is_a_suspension_a_long_one_is_no_log(tmp_path: Path) -> None:
    rate = np.full(ROWS, 0.05)
    rate[24:36] = 0
    rate[100:200] = 0
    record = person(tmp_path, basal_rate=rate)
    covered = record.insulin["duration_min"].sum() / 5
    assert covered == ROWS - 100
    assert count(record, "missing", "zero for more than 4 h") == 100


def test_servings_become_grams_and_grams_stay(tmp_path: Path) -> None:
    servings = person(tmp_path, carb_input=sparse({90: 3, 160: 4.5}))
    assert servings.meals["carbs_g"].tolist() == [30.0, 45.0]
    assert count(servings, "mended", "servings") == 2
    grams = person(tmp_path, carb_input=sparse({90: 10, 160: 60, 200: 15}))
    assert grams.meals["carbs_g"].tolist() == [10.0, 60.0, 15.0]


def test_marks_are_no_amounts(tmp_path: Path) -> None:
    marks = sparse({90: 1, 160: 1})
    record = person(tmp_path, bolus_volume_delivered=marks, carb_input=marks)
    assert record.insulin.empty
    assert record.meals.empty
    assert count(record, "dropped", "a mark") == 4


def test_heart_rate_on_a_straight_line_is_missing(tmp_path: Path) -> None:
    beats = 70 + np.arange(ROWS) % 7 + (np.arange(ROWS) % 3) ** 2.0
    beats[100:140] = np.linspace(70, 90, 40)
    record = person(tmp_path, heart_rate=beats)
    heart = record.activity["heart_rate_bpm"]
    assert heart[100:140].isna().all()
    assert heart.isna().sum() <= 44


def test_a_band_not_worn_is_missing(tmp_path: Path) -> None:
    calories = np.full(ROWS, 5.0)
    calories[:50] = 0
    record = person(tmp_path, calories=calories)
    assert len(record.activity) == ROWS - 50
    assert count(record, "missing", "not worn") == 50


def test_spring_with_a_filler_hour_and_with_a_clock_left_alone(tmp_path: Path) -> None:
    unchanged = person(tmp_path, start="2019-03-31T00:00:00")
    assert len(unchanged.glucose) == ROWS
    assert count(unchanged, "mended", "one UTC offset throughout") == ROWS
    filled = np.interp(np.arange(ROWS), [0, 12, 40, ROWS - 1], [100, 130, 110, 200])
    changed = person(tmp_path, start="2019-03-31T00:00:00", glucose=filled)
    assert len(changed.glucose) == ROWS - 12
    assert changed.glucose["time"].diff().dropna().eq(pd.Timedelta(minutes=5)).all()
    assert count(changed, "dropped", "filler in the hour") == 12


@pytest.mark.parametrize(
    ("number", "action", "why", "least"),
    [
        ("0001", "dropped", "second sensor", 1300),
        ("0004", "read", "entries are grams", 20),
        ("0016", "mended", "one UTC offset", 3000),
        ("0019", "dropped", "a mark", 100),
        ("0028", "dropped", "filler in the hour", 12),
    ],
)
def test_real_traps(data_root: Path, number: str, action: str, why: str, least: int) -> None:
    (record,) = hupa_ucm.read(data_root / "hupa_ucm" / f"HUPA{number}P.csv")
    assert record.profile.participant == f"hupa-{number}"
    assert count(record, action, why) >= least
    if number in ("0004", "0016", "0019"):
        share = 1 - record.glucose["interpolated"].mean()
        assert 0.27 < share < 1 / 3 + 0.01
