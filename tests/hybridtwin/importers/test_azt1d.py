from pathlib import Path

import pandas as pd
import pytest

from hybridtwin.importers import azt1d, read
from hybridtwin.record import Record

HEADER = (
    "EventDateTime,DeviceMode,BolusType,Basal,CorrectionDelivered,"
    "TotalBolusInsulinDelivered,FoodDelivered,CarbSize,CGM"
)
TAIL = (
    "EventDateTime,Basal,BolusType,CarbSize,CorrectionDelivered,FoodDelivered,"
    "Readings (CGM / BGM),TotalBolusInsulinDelivered,DeviceMode"
)


def person(tmp_path: Path, *lines: str, header: str = HEADER, number: int = 1) -> Record:
    file = tmp_path / f"Subject {number}.csv"
    file.write_text("\n".join([header, *lines]) + "\n")
    (record,) = read(file, "azt1d")
    return record


def count(record: Record, action: str, why: str) -> int:
    notes = record.provenance.notes
    return sum(note.count for note in notes if note.action == action and why in note.why)


def at(clock: str) -> pd.Timestamp:
    return pd.Timestamp(f"2024-01-10 {clock}", tz="America/Phoenix").tz_convert("UTC")


def test_basal_before_its_first_row_is_missing_and_gaps_stay_unknown(tmp_path: Path) -> None:
    record = person(
        tmp_path,
        "2024-01-10 00:00:00,,,,,,,,150",
        "2024-01-10 00:05:00,,,1.2,,,,,151",
        "2024-01-10 00:10:00,,,0,,,,,152",
        "2024-01-10 00:15:00,,,0.6,,,,,153",
        "2024-01-10 03:00:00,,,0.6,,,,,154",
    )
    basal = record.insulin
    assert basal["time"].iloc[0] == at("00:05")
    assert basal["dose_u"].tolist() == pytest.approx([0.1, 0.0, 0.3, 0.05], abs=1e-3)
    assert basal["duration_min"].tolist() == [5, 5, 30, 5]
    assert count(record, "missing", "before the first recorded basal") == 1


def test_milli_units_are_divided_even_below_ten_on_their_day(tmp_path: Path) -> None:
    record = person(
        tmp_path,
        "2024-01-09 23:55:00,,,1.2,,,,,150",
        "2024-01-10 00:00:00,,,1200,,,,,150",
        "2024-01-10 00:05:00,,,900,,,,,151",
        "2024-01-10 00:10:00,,,9,,,,,152",
    )
    rate = 60 * record.insulin["dose_u"] / record.insulin["duration_min"]
    assert rate.tolist() == pytest.approx([1.2, 0.9, 0.009])
    assert count(record, "mended", "mU/h") == 3


def test_each_bolus_counts_once_and_knows_who_decided(tmp_path: Path) -> None:
    bolus = "2024-01-10 08:00:00,,Standard/Correction,1.2,0.5,4.5,4,40,150"
    record = person(
        tmp_path,
        bolus,
        bolus,
        "2024-01-10 08:00:00,,Standard/Correction,1.3,0.5,4.5,4,40,150",
        "2024-01-10 09:00:00,,Automatic Bolus/Correction,,1.1,1.1,0,0,200",
        "2024-01-10 10:00:00,,0,,0,0,0,0,190",
    )
    boluses = record.insulin[record.insulin["purpose"] == "bolus"]
    assert boluses["dose_u"].tolist() == [4.5, 1.1]
    assert boluses["automatic"].tolist() == [False, True]
    assert record.meals["carbs_g"].tolist() == [40.0]
    assert count(record, "dropped", "exact duplicate") == 1
    assert count(record, "dropped", "the same bolus") == 1


def test_the_extended_part_is_added_over_two_hours(tmp_path: Path) -> None:
    record = person(
        tmp_path,
        "2024-01-10 18:00:00,,Extended/Correction 65.00%/3.18,,0.17,2.24,2.07,35,150",
        "2024-01-10 20:00:00,,Standard,,0,1,1,10,150",
    )
    extended = record.insulin[record.insulin["duration_min"] == 120]
    assert extended["dose_u"].tolist() == pytest.approx([3.18 - 2.07], abs=0.01)
    assert extended["time"].tolist() == [at("18:00")]
    assert count(record, "mended", "extended part") == 1


def test_subject_14s_columns_and_no_carbs(tmp_path: Path) -> None:
    record = person(tmp_path, "2024-01-10 00:03:00,,,,,,128,,", header=TAIL, number=14)
    assert record.profile.participant == "azt1d-14"
    assert record.glucose["mg_dl"].tolist() == [128.0]
    assert not record.is_logged("meals")
    assert count(record, "missing", "no carbohydrates") == 1


@pytest.fixture(scope="module")
def real(data_root: Path) -> Path:
    return data_root / "azt1d"


@pytest.mark.parametrize("number", [1, 10, 14])
def test_real_people(real: Path, number: int) -> None:
    (record,) = azt1d.read(real / "CGM Records" / f"Subject {number}")
    assert record.profile.participant == f"azt1d-{number}"
    assert record.profile.age_years == {1: 65, 10: 71, 14: 32}[number]
    assert record.glucose["mg_dl"].between(40, 400).all()
    basal = record.insulin[record.insulin["purpose"] == "basal"]
    rates = 60 * basal["dose_u"] / basal["duration_min"]
    assert rates.max() < 7
    assert basal["time"].min() - record.glucose["time"].min() > pd.Timedelta(days=10)
    assert count(record, "missing", "before the first recorded basal") > 2000
    expected = {1: ("mU/h", 12), 10: ("mU/h", 3624), 14: ("extended part", 24)}[number]
    assert count(record, "mended", expected[0]) == pytest.approx(expected[1], abs=12)


def test_the_set_holds_21_people(real: Path) -> None:
    assert len(azt1d._files(real)) == 21
    assert len(azt1d._files(real / "CGM Records")) == 21
