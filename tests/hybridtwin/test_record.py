import hashlib
import json
import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hybridtwin.errors import RecordError
from hybridtwin.event_tables import TABLES, logged_spans, table
from hybridtwin.events import (
    Activity,
    Condition,
    Dose,
    Glucagon,
    GlucoseReading,
    InsulinKind,
    Meal,
    Profile,
)
from hybridtwin.record import Record, from_events
from hybridtwin.record_files import fingerprint, load_record, record_folders, save_record
from tests.hybridtwin.people import history

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


def with_all_kinds() -> Record:
    """A record with what version 0.1 did not know."""
    old = make()
    profile = Profile(
        participant="one",
        time_zone="Europe/Madrid",
        diabetes_years=12,
        egfr_ml_min=75,
        pregnancy_week=20,
        medications=("metformin", "beta_blocker"),
        features={"polygenic": -1.5},
    )
    drinks = [Meal(time=minutes(14), carbs_g=15, liquid=True), Meal(time=minutes(15), carbs_g=0)]
    return from_events(
        profile,
        [GlucoseReading(time=row.time, mg_dl=row.mg_dl) for row in old.glucose.itertuples()],
        meals=[drinks[0], drinks[1].model_copy(update={"alcohol_g": 24.0})],
        glucagon=[Glucagon(time=minutes(13), dose_ug=150)],
        conditions=[Condition(time=minutes(-60), kind="illness", duration_min=600, severity=0.5)],
    )


OLD_TABLES = ("glucose", "insulin", "meals", "activity")
OLD_MEAL = ["time", "carbs_g", "fat_g", "protein_g", "fibre_g", "glycaemic_index"]
OLD_PROFILE = {
    *("participant", "time_zone", "diabetes_type", "therapy"),
    *("age_years", "sex", "weight_kg", "hba1c_percent", "sensor"),
}


def aged(home: Path) -> Path:
    """The folder as version 0.1 would have written it."""
    for name in set(TABLES) - set(OLD_TABLES):
        (home / f"{name}.parquet").unlink()
    meals = pd.read_parquet(home / "meals.parquet")
    meals[OLD_MEAL].to_parquet(home / "meals.parquet", index=False)
    header = json.loads((home / "record.json").read_text())
    header["profile"] = {name: header["profile"][name] for name in OLD_PROFILE}
    (home / "record.json").write_text(json.dumps(header))
    return home


def test_a_record_stored_by_version_0_1_loads(tmp_path: Path) -> None:
    record = make()
    loaded = load_record(aged(save_record(record, tmp_path)))
    for name in (*TABLES, "logged"):
        pd.testing.assert_frame_equal(getattr(loaded, name), getattr(record, name))
    assert loaded.profile == record.profile
    (tmp_path / "one" / "insulin.parquet").unlink()
    with pytest.raises(RecordError, match="not a readable record folder"):
        load_record(tmp_path / "one")


def test_the_fingerprint_of_an_old_record_is_version_0_1s_own() -> None:
    record = make()
    digest = hashlib.sha256(record.profile.model_dump_json(include=OLD_PROFILE).encode())
    for rows in (
        *(record.glucose, record.insulin, record.meals[OLD_MEAL]),
        *(record.activity, record.logged),
    ):
        digest.update(pd.util.hash_pandas_object(rows, index=False).to_numpy().tobytes())
    assert fingerprint([record]) == hashlib.sha256(digest.hexdigest().encode()).hexdigest()


def test_the_fingerprint_sees_every_new_kind_of_entry() -> None:
    full = with_all_kinds()
    said = full.profile.model_dump()
    defaults = Profile().model_dump()
    changed = [
        *(
            replace(full, profile=Profile.model_validate(said | {name: defaults[name]}))
            for name in set(said) - OLD_PROFILE
        ),
        replace(full, profile=full.profile.model_copy(update={"diabetes_years": 0.0})),
        replace(full, glucagon=table("glucagon")),
        replace(full, conditions=table("conditions")),
        replace(full, meals=full.meals.assign(liquid=False)),
        replace(full, meals=full.meals.assign(alcohol_g=0.0)),
        replace(full, meals=full.meals.assign(alcohol_g=float("nan"))),
    ]
    assert len({fingerprint([record]) for record in (full, *changed)}) == 1 + len(changed)


@pytest.mark.parametrize("record", [make(), with_all_kinds()], ids=["old", "all kinds"])
def test_saved_record_comes_back_equal(record: Record, tmp_path: Path) -> None:
    loaded = load_record(save_record(record, tmp_path))
    for name in (*TABLES, "logged"):
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


EDGES = (-1.0, 0.0, 1.0, 10.0, 25.0, 150.0, 250.0, 600.0, 1440.0, 1e4, 1e6, math.nan, math.inf)
WORDS = ("cgm", "rapid", "basal", "bolus", "mixed", "light", "illness", "meals", "coffee", None)


def any_of(dtype: object) -> st.SearchStrategy[object]:
    if dtype in (float,):
        return st.sampled_from(EDGES) | st.floats()
    if dtype in (bool, "boolean"):
        return st.booleans()
    if isinstance(dtype, pd.DatetimeTZDtype):
        return st.just(START)
    return st.sampled_from(WORDS)


@given(st.data())
def test_values_of_the_right_type_pass_as_those_do_that_are_converted_first(
    data: st.DataObject,
) -> None:
    name = data.draw(st.sampled_from([*TABLES, "logged"]))
    dtypes = table(name).dtypes
    count = data.draw(st.integers(1, 3))
    typed = pd.DataFrame(
        {
            column: pd.Series([data.draw(any_of(dtype)) for _ in range(count)], dtype=dtype)
            for column, dtype in dtypes.items()
        }
    )

    def refusal(rows: pd.DataFrame) -> str:
        try:
            pd.testing.assert_frame_equal(table(name, rows), typed)
        except RecordError as error:
            return str(error)
        return ""

    assert refusal(typed) == refusal(typed.astype(object))


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


def test_before_and_since_part_the_events() -> None:
    full = with_all_kinds()
    for name in ("meals", "glucagon", "conditions"):
        for now in (minutes(-60), minutes(13), minutes(14), minutes(20)):
            earlier, later = (getattr(part, name) for part in (full.before(now), full.since(now)))
            rows = pd.concat([earlier, later], ignore_index=True)
            pd.testing.assert_frame_equal(rows, getattr(full, name))
            assert (earlier["time"] < now).all()
            assert (later["time"] >= now).all()


@pytest.mark.parametrize(
    ("name", "row", "where"),
    [
        ("glucagon", {"dose_ug": 3001.0}, "glucagon[0].dose_ug"),
        ("conditions", {"kind": "love", "duration_min": 60.0}, "conditions[0].kind"),
        ("conditions", {"kind": "stress", "duration_min": 0.0}, "conditions[0].duration_min"),
        ("conditions", {"kind": "stress", "duration_min": 87_000.0}, "conditions[0].duration_min"),
        (
            "conditions",
            {"kind": "stress", "duration_min": 60.0, "severity": 1.1},
            "conditions[0].severity",
        ),
        ("meals", {"carbs_g": 0.0, "alcohol_g": 201.0}, "meals[0].alcohol_g"),
    ],
)
def test_impossible_events_are_refused_with_their_place(
    name: str, row: dict[str, object], where: str
) -> None:
    with pytest.raises(RecordError) as caught:
        table(name, pd.DataFrame([{"time": minutes(0)} | row]))
    assert where in [problem.where for problem in caught.value.problems]


@pytest.mark.parametrize(
    "wrong",
    [
        {"diabetes_years": 101},
        {"egfr_ml_min": 0},
        {"pregnancy_week": 43},
        {"medications": ["aspirin"]},
        {"features": {"polygenic": 5.1}},
    ],
)
def test_impossible_profiles_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Profile.model_validate(wrong)


def test_broken_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="holds no records"):
        record_folders(tmp_path)
    home = save_record(make(), tmp_path)
    (home / "insulin.parquet").write_bytes(b"PAR1")
    with pytest.raises(RecordError, match="Import it again"):
        load_record(home)


@pytest.mark.parametrize("part", ["before", "since"])
def test_a_part_of_a_record_is_what_its_rows_make(part: str) -> None:
    """Parts are not checked again: checking must find nothing, and change nothing."""
    whole = history(hours=30)
    time = whole.glucose["time"].iloc[200]
    found = getattr(whole, part)(time)
    assert 0 < len(found.glucose) < len(whole.glucose)
    for name in (*TABLES, "logged"):
        rows = getattr(found, name)
        pd.testing.assert_frame_equal(rows, table(name, rows))


def test_a_record_of_events_is_what_its_rows_make() -> None:
    """Events are not checked again: checking must find nothing, and change nothing."""
    found = from_events(
        Profile(),
        [GlucoseReading(time=minutes(5 * k), mg_dl=120, source="fingerstick") for k in range(3)],
        [
            Dose(time=minutes(0), kind=InsulinKind.DEGLUDEC, purpose="basal", dose_u=12),
            Dose(time=minutes(1).tz_convert("Asia/Tokyo"), dose_u=0.05),
        ],
        [Meal(time=minutes(2), carbs_g=30), Meal(time=minutes(2), carbs_g=30, fat_g=5)],
        [
            Activity(time=minutes(3), duration_min=30, kind="mixed", asleep=False),
            Activity(time=minutes(90), duration_min=5, steps=300),
        ],
        [Glucagon(time=minutes(13), dose_ug=150)],
        [Condition(time=minutes(-60), kind="illness", duration_min=600, severity=0.5)],
        logged=["bolus", "meals"],
    )
    for name in (*TABLES, "logged"):
        rows = getattr(found, name)
        assert not rows.empty
        pd.testing.assert_frame_equal(rows, table(name, rows))
