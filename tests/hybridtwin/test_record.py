from pathlib import Path

import pandas as pd
import pytest

from hybridtwin.errors import RecordError
from hybridtwin.events import Dose, GlucoseReading, Meal, Profile
from hybridtwin.record import Record, from_events, logged_spans, table
from hybridtwin.record_files import fingerprint, load_record, record_folders, save_record

START = pd.Timestamp("2024-05-01T08:00Z")


def minutes(count: float) -> pd.Timestamp:
    return START + pd.Timedelta(minutes=count)


def make(participant: str = "one", shift: float = 0.0) -> Record:
    return from_events(
        Profile(participant=participant, time_zone="Europe/Madrid"),
        [GlucoseReading(time=minutes(5 * k), mg_dl=120 + shift + k) for k in range(24)],
        [Dose(time=minutes(12), dose_u=3.5)],
        [Meal(time=minutes(14), carbs_g=45, fat_g=10)],
        logged=("bolus", "meals"),
    )


def test_saved_record_comes_back_equal(tmp_path: Path) -> None:
    record = make()
    loaded = load_record(save_record(record, tmp_path))
    for name in ("glucose", "insulin", "meals", "activity", "logged"):
        pd.testing.assert_frame_equal(getattr(loaded, name), getattr(record, name))
    assert loaded.profile == record.profile
    assert loaded.provenance == record.provenance
    assert fingerprint([loaded]) == fingerprint([record])


def test_fingerprint_ignores_order_and_sees_every_value() -> None:
    one, two = make("one"), make("two")
    assert fingerprint([one, two]) == fingerprint([two, one])
    assert fingerprint([one, two]) != fingerprint([one, make("two", shift=0.1)])
    assert fingerprint([one]) != fingerprint([two])


@pytest.mark.parametrize(
    ("rows", "where"),
    [
        ({"time": [minutes(5), minutes(0)], "mg_dl": [100.0, 101.0]}, "glucose[1].time"),
        ({"time": [minutes(0), minutes(0)], "mg_dl": [100.0, 101.0]}, "glucose[1]"),
        ({"time": [minutes(0)], "mg_dl": [700.0]}, "glucose[0].mg_dl"),
        ({"time": [minutes(0), minutes(5)], "mg_dl": [100.0, None]}, "glucose[1].mg_dl"),
    ],
)
def test_impossible_glucose_is_refused_with_its_place(rows: dict[str, list], where: str) -> None:
    with pytest.raises(RecordError) as caught:
        Record(Profile(), glucose=table("glucose", pd.DataFrame(rows)))
    assert where in [problem.where for problem in caught.value.problems]


def test_millimoles_posing_as_milligrams_are_refused() -> None:
    rows = pd.DataFrame({"time": [minutes(5 * k) for k in range(9)], "mg_dl": 24.5})
    with pytest.raises(RecordError, match="mmol/L"):
        Record(Profile(), glucose=rows)


def test_logged_spans_break_at_long_silences() -> None:
    times = pd.Series([minutes(0), minutes(300), minutes(300 + 49 * 60)])
    spans = logged_spans("meals", times, pd.Timedelta(hours=48), pd.Timedelta(hours=1))
    assert spans["start"].tolist() == [minutes(-60), minutes(240 + 49 * 60)]
    assert spans["end"].tolist() == [minutes(360), minutes(360 + 49 * 60)]
    assert logged_spans("meals", times[:0], pd.Timedelta(hours=48)).empty


def test_before_knows_the_reading_of_now_but_no_event_of_now() -> None:
    known = make().before(minutes(12))
    assert known.glucose["time"].max() == minutes(10)
    assert known.insulin.empty
    assert make().before(minutes(15)).glucose["time"].max() == minutes(15)
    assert known.logged["end"].max() == minutes(12)


def test_broken_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="holds no records"):
        record_folders(tmp_path)
    home = save_record(make(), tmp_path)
    (home / "insulin.parquet").write_bytes(b"PAR1")
    with pytest.raises(RecordError, match="Import it again"):
        load_record(home)
