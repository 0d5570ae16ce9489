import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hybridtwin.importers import read
from hybridtwin.record import Record
from hybridtwin.timeline import CHANNEL, to_timeline

START = pd.Timestamp("2024-05-01T00:00Z")


def iso(minutes: float) -> str:
    return (START + pd.Timedelta(minutes=minutes)).isoformat()


def entry(minutes: float, mg_dl: float, **more: Any) -> dict[str, Any]:
    date = int((START + pd.Timedelta(minutes=minutes)).timestamp() * 1000)
    return {"type": "sgv", "sgv": mg_dl, "date": date} | more


def schedule(*slots: tuple[str, float], zone: str = "UTC") -> dict[str, Any]:
    return {"timezone": zone, "basal": [{"time": at, "value": rate} for at, rate in slots]}


def profile(**stores: dict[str, Any]) -> dict[str, Any]:
    name = next(iter(stores))
    return {"startDate": iso(-9999), "defaultProfile": name, "store": stores}


def site(
    folder: Path,
    *treatments: dict[str, Any],
    entries: list[dict[str, Any]] | None = None,
    profiles: list[dict[str, Any]] | None = None,
) -> Record:
    entries = entries or [entry(5 * k, 120 + k % 9) for k in range(200)]
    (folder / "entries.json").write_text(json.dumps(entries))
    (folder / "treatments.json").write_text(json.dumps(treatments))
    if profiles is not None:
        (folder / "profile.json").write_text(json.dumps(profiles))
    (record,) = read(folder)
    return record


def temp(minutes: float, duration: float, **rate: float) -> dict[str, Any]:
    return {
        "eventType": "Temp Basal",
        "created_at": iso(minutes),
        "duration": duration,
    } | rate


def rates(record: Record) -> list[tuple[float, float, float]]:
    basal = record.insulin[record.insulin["purpose"] == "basal"]
    begin = (basal["time"] - START) / pd.Timedelta(minutes=1)
    per_hour = 60 * basal["dose_u"] / basal["duration_min"]
    return [
        (round(a), round(b), round(c, 6))
        for a, b, c in zip(begin, basal["duration_min"], per_hour, strict=True)
    ]


def count(record: Record, action: str, why: str) -> int:
    notes = record.provenance.notes
    return sum(note.count for note in notes if note.action == action and why in note.why)


def test_a_later_temporary_rate_cuts_the_former_and_the_profile_fills_between(
    tmp_path: Path,
) -> None:
    record = site(
        tmp_path,
        temp(0, 60, absolute=2),
        temp(30, 30, rate=0),
        temp(120, 60, percent=50),
        temp(150, 0),
        temp(240, 30, percent=-100),
        {"eventType": "Site Change", "created_at": iso(300)},
        profiles=[profile(day=schedule(("00:00", 1.0), ("03:30", 0.8)))],
    )
    assert rates(record) == [
        (0, 30, 2.0),
        (30, 30, 0.0),
        (60, 60, 1.0),
        (120, 30, 1.5),
        (150, 60, 1.0),
        (210, 30, 0.8),
        (240, 30, 0.0),
        (270, 30, 0.8),
    ]


def test_the_schedule_is_in_the_profiles_own_time(tmp_path: Path) -> None:
    record = site(
        tmp_path,
        temp(0, 1, absolute=1),
        {"eventType": "Site Change", "created_at": iso(120)},
        profiles=[profile(day=schedule(("00:00", 1.0), ("03:00", 0.5), zone="Europe/Madrid"))],
    )
    assert record.profile.time_zone == "Europe/Madrid"
    assert rates(record) == [(0, 60, 1.0), (60, 60, 0.5)]


def test_profile_switches_hold_for_their_time(tmp_path: Path) -> None:
    switch = {"eventType": "Profile Switch", "profile": "sport"}
    record = site(
        tmp_path,
        switch | {"created_at": iso(0), "profile": "day"},
        switch | {"created_at": iso(60), "duration": 30},
        switch | {"created_at": iso(120), "duration": 0, "percentage": 200},
        {"eventType": "Site Change", "created_at": iso(180)},
        profiles=[profile(day=schedule(("00:00", 1.0)), sport=schedule(("00:00", 0.4)))],
    )
    assert rates(record) == [(0, 60, 1.0), (60, 30, 0.4), (90, 30, 1.0), (120, 60, 0.8)]


def test_a_profile_without_a_pump_is_no_basal(tmp_path: Path) -> None:
    bolus = {"eventType": "Meal Bolus", "created_at": iso(60), "insulin": 4, "carbs": 50}
    record = site(tmp_path, bolus, profiles=[profile(day=schedule(("00:00", 1.0)))])
    assert rates(record) == []
    assert record.insulin["dose_u"].tolist() == [4.0]
    assert record.meals["carbs_g"].tolist() == [50.0]
    assert count(record, "missing", "no pump seen") == 1


def test_kinds_of_boluses_and_meals(tmp_path: Path) -> None:
    smb = {"eventType": "SMB", "created_at": iso(10), "insulin": 0.3, "_id": "a"}
    record = site(
        tmp_path,
        smb,
        smb | {"_id": "b"},
        {
            "eventType": "Combo Bolus",
            "created_at": iso(60),
            "insulin": 3,
            "relative": 1,
            "duration": 120,
            "carbs": 60,
            "fat": 20,
            "protein": 30,
        },
        {"eventType": "Carb Correction", "created_at": iso(90), "carbs": 12},
        {"eventType": "Carb Correction", "created_at": iso(95), "carbs": 7, "isFPU": True},
        {"eventType": "Exercise", "created_at": iso(200), "duration": 45},
        {"eventType": "Correction Bolus", "created_at": "not a time", "insulin": 1},
    )
    boluses = record.insulin[record.insulin["purpose"] == "bolus"]
    assert boluses["dose_u"].tolist() == [0.3, 3.0, 2.0]
    assert boluses["duration_min"].tolist() == [0, 0, 120]
    assert boluses["automatic"].tolist() == [True, False, False]
    assert record.meals["carbs_g"].tolist() == [60.0, 12.0]
    assert record.meals["fat_g"].iloc[0] == 20
    assert record.activity["duration_min"].tolist() == [45.0]
    assert count(record, "dropped", "uploaded again") == 1
    assert count(record, "dropped", "fat and protein") == 1
    assert count(record, "dropped", "no readable time") == 1


def test_a_second_uploader_and_error_codes_and_fingersticks(tmp_path: Path) -> None:
    ours = [entry(5 * k, 120 + k % 9, device="xDrip") for k in range(100)]
    theirs = [entry(5 * k + 0.5, 120 + k % 9, device="share") for k in range(20)]
    finger = {"type": "mbg", "mbg": 133, "date": ours[0]["date"] + 61_000}
    check = {"eventType": "BG Check", "created_at": iso(42), "glucose": 7.0, "units": "mmol/l"}
    record = site(tmp_path, check, entries=[*ours, *theirs, entry(3, 10), finger])
    cgm = record.glucose[record.glucose["source"] == "cgm"]
    assert len(cgm) == 100
    sticks = record.glucose.loc[record.glucose["source"] == "fingerstick", "mg_dl"]
    assert sticks.tolist() == pytest.approx([133, 7 * 18.0156])
    assert count(record, "dropped", "second uploader") == 20 + 1
    assert record.profile.participant == tmp_path.name.strip("-._")


def test_the_entries_file_alone_finds_its_siblings(data_root: Path) -> None:
    folder = data_root / "formats" / "nightscout" / "glupredkit"
    (by_file,) = read(folder / "nightscout_entries.json")
    (by_folder,) = read(folder)
    pd.testing.assert_frame_equal(by_file.insulin, by_folder.insulin)
    assert by_file.profile == by_folder.profile


def test_glupredkit_expects_the_same(data_root: Path, tmp_path: Path) -> None:
    folder = data_root / "formats" / "nightscout" / "glupredkit"
    expected = pd.read_csv(folder / "nightscout_expected_output.csv", parse_dates=["date"])
    # The oracle reads the schedule as UTC, so its basal is compared with the zone set to UTC.
    for kind in ("entries", "treatments", "profiles"):
        text = (folder / f"nightscout_{kind}.json").read_text()
        (tmp_path / f"{kind}.json").write_text(text.replace("Europe/Helsinki", "UTC"))
    (record,) = read(tmp_path)
    times = pd.to_datetime(expected["date"], utc=True)
    timeline = to_timeline(record)
    assert timeline.start == times.iloc[0]

    def channel(name: str) -> np.ndarray:
        return timeline.values[:, CHANNEL[name]].numpy()

    np.testing.assert_allclose(channel("glucose_mg_dl"), expected["CGM"], atol=0.01)
    np.testing.assert_allclose(channel("bolus_u"), expected["bolus"], atol=1e-4)
    np.testing.assert_allclose(channel("carbs_g"), expected["carbs"], atol=1e-4)
    # Left out: percent rates, which the oracle takes as zero, and the end of a timed switch,
    # after which it falls back to the default profile instead of the one before.
    comparable = (times >= "2024-10-26T07:30Z") & (times < "2024-10-27T22:30Z")
    for low, high in (
        ("2024-10-26T09:00Z", "2024-10-26T10:00Z"),
        ("2024-10-27T01:30Z", "2024-10-27T03:00Z"),
        ("2024-10-27T14:00Z", "2024-10-27T16:00Z"),
        ("2024-10-27T20:00Z", "2024-10-27T21:00Z"),
    ):
        comparable &= ~((times >= low) & (times < high))
    assert comparable.sum() > 350
    np.testing.assert_allclose(
        channel("basal_u")[comparable], expected.loc[comparable, "basal"], atol=1e-4
    )


def test_a_real_site(data_root: Path) -> None:
    (record,) = read(data_root / "formats" / "nightscout" / "cgm_format")
    boluses = record.insulin[record.insulin["purpose"] == "bolus"]
    assert len(record.glucose) == 1000
    assert boluses["automatic"].sum() == 155
    assert (~boluses["automatic"]).sum() == 18
    assert len(record.meals) == 9
    basal = record.insulin[record.insulin["purpose"] == "basal"]
    span = (record.insulin["time"].max() - pd.Timestamp("2026-04-02T14:10Z")).total_seconds()
    assert basal["duration_min"].sum() == pytest.approx(span / 60, rel=0.01)
