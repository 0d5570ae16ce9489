from pathlib import Path

import pandas as pd
import pytest

from hybridtwin.importers import read
from hybridtwin.record import Record


def write(folder: Path, kind: str, *lines: str, number: int = 2301, bom: bool = False) -> None:
    text = "\r\n".join(lines) + "\r\n"
    (folder / f"UoM{kind}{number}.csv").write_text(text, "utf-8-sig" if bom else "utf-8")


def glucose(folder: Path, *extra: str, number: int = 2301, day: str = "02/11/2023") -> None:
    lines = [f"{day} {hour:02}:{minute:02},7.5" for hour in range(9) for minute in range(0, 60, 5)]
    write(folder, "Glucose", "bg_ts,value", *lines, *extra, number=number)


def person(folder: Path) -> Record:
    (record,) = read(folder, "t1d_uom")
    return record


def count(record: Record, action: str, why: str) -> int:
    notes = record.provenance.notes
    return sum(note.count for note in notes if note.action == action and why in note.why)


def test_days_come_first_and_glucose_is_converted(tmp_path: Path) -> None:
    glucose(tmp_path, "02/11/2023 09:00,0.1")
    record = person(tmp_path)
    assert record.glucose["time"].iloc[0] == pd.Timestamp("2023-11-02T00:00Z")
    assert record.glucose["mg_dl"].iloc[0] == pytest.approx(7.5 * 18.0156)
    assert count(record, "dropped", "outside 20 to 600") == 1
    assert count(record, "missing", "no file") == 6
    assert record.logged.empty


def test_stray_columns_bom_and_years_of_the_bolus_file(tmp_path: Path) -> None:
    glucose(tmp_path)
    write(
        tmp_path,
        "Bolus",
        "bolus_ts,bolus_dose,,",
        "01/11/2023 18:00,4,,",
        "02/11/2022 08:00,5,,",
        "02/11/2023 12:00,,,",
        "03/11/2023 08:00,6,,",
        "03/02/2021 08:00,7,,",
        bom=True,
    )
    record = person(tmp_path)
    assert record.insulin["dose_u"].tolist() == [4.0, 5.0, 6.0]
    assert record.insulin["time"].iloc[1] == pd.Timestamp("2023-11-02T08:00Z")
    assert count(record, "mended", "wrong year") == 1
    assert count(record, "dropped", "wrong date") == 1
    assert count(record, "dropped", "no amount") == 1


def test_rates_and_injections(tmp_path: Path) -> None:
    glucose(tmp_path)
    glucose(tmp_path, number=2302)
    write(
        tmp_path,
        "Basal",
        "basal_ts,basal_dose,insulin_kind",
        "02/11/2023 00:00,0.6,R",
        "02/11/2023 06:00,1.2,R",
        "02/11/2023 08:00,0.6,R",
    )
    write(
        tmp_path,
        "Basal",
        "basal_ts,basal_dose,insulin_kind",
        "02/11/2023 08:00,20,L",
        "03/11/2023 08:00,20,L",
        number=2302,
    )
    write(tmp_path, "Bolus", "bolus_ts,bolus_dose", number=2303)
    (tmp_path / "UoMBolus2303.csv").unlink()
    pump, pens = read(tmp_path)
    assert pump.profile.therapy == "pump"
    assert pump.insulin["dose_u"].tolist()[:2] == pytest.approx([3.6, 2.4])
    assert set(pump.insulin["kind"]) == {"rapid"}
    assert pens.profile.therapy == "injections"
    assert pens.insulin["kind"].tolist() == ["long_acting"] * 2
    assert pens.insulin["duration_min"].tolist() == [0.0, 0.0]


def test_a_series_every_five_minutes_is_not_held_over_gaps(tmp_path: Path) -> None:
    glucose(tmp_path)
    rows = [f"02/11/2023 00:{minute:02},1.2,R" for minute in range(0, 30, 5)]
    write(tmp_path, "Basal", "basal_ts,basal_dose,insulin_kind", *rows, "02/11/2023 08:00,1.2,R")
    basal = person(tmp_path).insulin
    assert basal["duration_min"].tolist() == [55.0, 5.0]


def test_another_persons_stream_is_taken_out(tmp_path: Path) -> None:
    other = [f"02/11/2023 {h:02}:{m:02},{15 + h % 3}" for h in range(9) for m in range(1, 60, 5)]
    glucose(tmp_path, *other, number=2304)
    write(tmp_path, "Glucose", "bg_ts,value", *other, number=2303)
    (theirs, mixed) = read(tmp_path)
    assert theirs.profile.participant == "t1d_uom-2303"
    assert mixed.glucose["mg_dl"].max() == pytest.approx(7.5 * 18.0156)
    assert len(mixed.glucose) == 9 * 12
    assert count(mixed, "dropped", "another person's") == len(other)


def test_two_streams_that_cannot_be_told_apart_leave_no_glucose(tmp_path: Path) -> None:
    other = [f"02/11/2023 {h:02}:{m:02},15" for h in range(9) for m in range(1, 60, 5)]
    glucose(tmp_path, *other)
    record = person(tmp_path)
    assert record.glucose.empty
    assert count(record, "dropped", "two interleaved streams") == 2 * 9 * 12


def test_a_clock_that_shows_the_skipped_hour_was_never_changed(tmp_path: Path) -> None:
    glucose(tmp_path, day="31/03/2024")
    record = person(tmp_path)
    assert len(record.glucose) == 9 * 12
    assert record.glucose["time"].iloc[-1] == pd.Timestamp("2024-03-31T08:55Z")
    assert count(record, "mended", "one UTC offset throughout") == 9 * 12


def test_steps_are_summed_over_kinds_and_nights_are_utc(tmp_path: Path) -> None:
    glucose(tmp_path)
    start = int(pd.Timestamp("2023-11-02T01:00Z").timestamp())
    head = "activity_ts,activity_type,step_count,duration_s,start_time_s,start_time_offset_s"
    write(
        tmp_path,
        "Activity",
        head,
        f"02/11/2023 01:00,WALKING,120,900,{start},0",
        f"02/11/2023 01:00,WALKING,120,900,{start},0",
        f"02/11/2023 01:00,RUNNING,30,900,{start},0",
        f"01/11/2023 20:15,WALKING,500,900,{start + 900},-18000",
    )
    nights = "calendar_date,duration_in_sec,start_date_ts"
    (tmp_path / "UoM2301sleeptime.csv").write_text(f"{nights}\n02/11/2023,3600,02/11/2023 02:00\n")
    write(tmp_path, "sleep", "sleep_ts,step_count,heart_rate", "02/11/2023 00:00,9,80")
    record = person(tmp_path)
    assert record.activity["steps"].dropna().tolist() == [150.0]
    asleep = record.activity[record.activity["asleep"].fillna(False)]
    assert asleep["time"].tolist() == [pd.Timestamp("2023-11-02T02:00Z")]
    assert record.activity["heart_rate_bpm"].isna().all()
    assert count(record, "dropped", "exact duplicate") == 1
    assert count(record, "dropped", "another time zone") == 1
    assert count(record, "dropped", "times do not fit") == 1


def test_a_person_without_glucose_is_still_a_record(tmp_path: Path) -> None:
    write(tmp_path, "Bolus", "bolus_ts,bolus_dose", "02/11/2023 08:00,5")
    assert person(tmp_path).glucose.empty


def test_real_stream_of_2304_is_isolated(data_root: Path) -> None:
    records = {one.profile.participant: one for one in read(data_root / "t1d_uom" / "Glucose Data")}
    assert len(records) == 14
    mixed = records["t1d_uom-2304"]
    assert count(mixed, "dropped", "another person's") == 14125
    jumps = (
        mixed.glucose["mg_dl"].diff().abs()[mixed.glucose["time"].diff() <= pd.Timedelta(minutes=6)]
    )
    assert (jumps > 54).mean() < 0.005
    assert count(records["t1d_uom-2309"], "mended", "one UTC offset throughout") == 20665


def test_real_wrong_years_are_mended(data_root: Path, tmp_path: Path) -> None:
    root = data_root / "t1d_uom"
    for kind, folder in (("Glucose", "Glucose Data"), ("Bolus", "Insulin Data/Bolus Data")):
        for number in (2302, 2305, 2403):
            name = f"UoM{kind}{number}.csv"
            (tmp_path / name).symlink_to((root / folder / name).resolve())
    for record in read(tmp_path):
        assert count(record, "mended", "wrong year") in (1, 2)
        assert count(record, "dropped", "wrong date") == 0
        low = record.glucose["time"].iloc[0] - pd.Timedelta(days=45)
        assert (record.insulin["time"] > low).all()
