import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from hybridtwin import cli
from hybridtwin.events import Dose, GlucoseReading, Meal, Profile
from hybridtwin.record import Record, from_events
from hybridtwin.record_files import load_record, record_folders, save_record
from hybridtwin.registry import load_twin, save_twin, untrained_twin
from hybridtwin.units import MG_DL_PER_MMOL_L

NOW = pd.Timestamp("2026-11-22T20:30Z")
PEOPLE = 60
Fails = Callable[..., str]


def person(participant: str, last: pd.Timestamp = NOW, hours: float = 30) -> Record:
    times = pd.date_range(last - pd.Timedelta(hours=hours), last, freq="5min")
    wave = 130 + 40 * np.sin(np.arange(len(times)) / 30)
    insulin = [
        Dose(time=time, dose_u=0.8, purpose="basal", duration_min=60) for time in times[:-12:12]
    ]
    meal = last - pd.Timedelta(hours=2)
    insulin.append(Dose(time=meal, dose_u=4))
    return from_events(
        Profile(participant=participant, time_zone="Europe/Berlin", weight_kg=70),
        glucose=[
            GlucoseReading(time=time, mg_dl=mg_dl) for time, mg_dl in zip(times, wave, strict=True)
        ],
        insulin=sorted(insulin, key=lambda dose: dose.time),
        meals=[Meal(time=meal, carbs_g=40)],
        logged=("bolus", "meals"),
    )


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_twin(untrained_twin(), tmp_path_factory.mktemp("twin"))


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("records")
    for name, last in (
        ("ann", NOW),
        ("bob", NOW - pd.Timedelta(minutes=10)),
        ("cy", NOW - pd.Timedelta(hours=3)),
    ):
        save_record(person(name, last), folder)
    return folder


def run(*arguments: str | Path) -> str:
    result = CliRunner().invoke(cli.app, [*map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Fails:
    """Runs a command that must end with exit code 2; returns what it says."""

    def run_failing(*arguments: str | Path) -> str:
        monkeypatch.setattr(cli, "entry_points", lambda group: [])
        monkeypatch.setattr(sys, "argv", ["hybridtwin", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        assert caught.value.code == 2
        said = capsys.readouterr().err
        assert said.startswith("error: ")
        assert "Traceback" not in said
        return said

    return run_failing


def written(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_forecast_shows_and_writes_the_same_numbers(
    records: Path, twin: Path, tmp_path: Path
) -> None:
    shown = run(
        *("forecast", records / "ann", "--model", twin, "--horizon-min", "60", "--unit", "mmol/L"),
        *("--plan", "carbs 30 at +15min"),
        *("--json", tmp_path / "f.json", "--png", tmp_path / "f.png"),
    )
    report = json.loads((tmp_path / "f.json").read_text())
    assert report["plan"] == "carbs 30 at +15min"
    assert report["unit"] == "mmol/L"
    assert len(report["times"]) == 12
    assert f"22:30  {report['expected'][-1]:.1f} (" in shown
    assert "the last reading's time; --now changes it" in shown
    assert "below 3.9" in shown
    assert "Trust: reduced" in shown
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")


def test_the_past_can_be_asked(records: Path, twin: Path) -> None:
    shown = run(
        *("forecast", records, "--participant", "ann", "--model", twin, "--horizon-min", "30"),
        *("--now", "2026-11-22T12:02+01:00"),
    )
    assert "at Sun 22 Nov 12:00 CET" in shown
    assert "Now: Sun 22 Nov 12:02 CET (as asked)" in shown


def test_a_forecast_from_an_export(twin: Path, tmp_path: Path) -> None:
    times = pd.date_range(NOW - pd.Timedelta(hours=8), NOW, freq="5min")
    entries = [
        {"type": "sgv", "sgv": 120 + k % 7, "date": int(time.timestamp() * 1000)}
        for k, time in enumerate(times)
    ]
    export = written(tmp_path / "entries.json", entries)
    assert "Trust: " in run("forecast", export, "--model", twin, "--horizon-min", "30")


def test_scenario_compares_with_as_usual_or_with_another_plan(
    records: Path, twin: Path, tmp_path: Path
) -> None:
    plan = written(
        tmp_path / "supper.json",
        {"meals": [{"time": "2026-11-22T21:45:00+01:00", "carbs_g": 60}]},
    )
    common = ("scenario", records / "ann", "--model", twin, "--horizon-min", "120")
    files = ("--json", tmp_path / "s.json", "--png", tmp_path / "s.png")
    shown = run(*common, "--plan", plan, "--plan", "bolus 2 now", *files)
    report = json.loads((tmp_path / "s.json").read_text())
    assert [one["plan"] for one in report["forecasts"]] == ["as usual", "supper", "bolus 2 now"]
    supper, bolus = report["differences"]
    assert supper["mean"] > 0 > bolus["mean"]
    assert "Change against 'as usual', mg/dL" in shown
    assert (tmp_path / "s.png").read_bytes().startswith(b"\x89PNG")
    shown = run(*common, "--plan", "bolus 2 now", "--against", "bolus 1 now")
    assert "Change against 'bolus 1 now', mg/dL" in shown


def test_nightly_lists_first_who_cannot_be_forecast(
    records: Path, twin: Path, tmp_path: Path
) -> None:
    shown = run(
        *("nightly", records, "--model", twin),
        *("--json", tmp_path / "n.json", "--csv", tmp_path / "n.csv"),
    )
    assert "No forecast for 1 of 3, which does not mean that they are safe" in shown
    assert "cy: glucose: the last reading is 180 minutes old" in shown
    review = json.loads((tmp_path / "n.json").read_text())
    assert review["now"] == NOW.isoformat()
    first, *others = review["participants"]
    assert (first["participant"], first["status"], first["events"]) == ("cy", "refused", None)
    risks = [line["events"]["below_70"] for line in others]
    assert risks == sorted(risks, reverse=True)
    table = pd.read_csv(tmp_path / "n.csv")
    assert list(table["participant"]) == [line["participant"] for line in review["participants"]]
    assert table["below_70"][1:].tolist() == pytest.approx(risks)
    assert table["reason"][0].startswith("glucose: the last reading")


def test_nightly_takes_personal_twins_and_refuses_broken_twins_and_records(
    twin: Path, tmp_path: Path
) -> None:
    records, twins = tmp_path / "records", tmp_path / "twins"
    for name in ("ann", "bob", "dee"):
        save_record(person(name), records)
    (records / "dee" / "glucose.parquet").write_bytes(b"")
    own = load_twin()
    config = own.config.model_copy(update={"name": "ann", "fitted": True})
    save_twin(replace(own, config=config), twins / "ann")
    (twins / "bob").mkdir()
    run("nightly", records, "--twins", twins, "--model", twin, "--json", tmp_path / "n.json")
    lines = {
        line["participant"]: line
        for line in json.loads((tmp_path / "n.json").read_text())["participants"]
    }
    assert lines["ann"]["trust"]["level"] == "full"
    assert "no twin can be read here" in lines["bob"]["reason"]
    assert "not a readable record folder" in lines["dee"]["reason"]


def test_nightly_reviews_nobody_twice(twin: Path, tmp_path: Path) -> None:
    records, kept = tmp_path / "records", tmp_path / "kept.jsonl"
    common = ("nightly", records, "--model", twin, "--now", NOW.isoformat(), "--resume", kept)
    for name in ("ann", "bob"):
        save_record(person(name), records)
        run(*common, "--json", tmp_path / f"{name}.json")
    lines = [
        json.loads(line)["risk"]["participant"] for line in kept.read_text().split("\n") if line
    ]
    assert lines == ["ann", "bob"]
    both = json.loads((tmp_path / "bob.json").read_text())["participants"]
    ann = json.loads((tmp_path / "ann.json").read_text())["participants"][0]
    assert ann in both
    assert len(both) == 2


def test_a_nightly_that_is_killed_goes_on_where_it_was(twin: Path, tmp_path: Path) -> None:
    """In two processes, and of people some of whom have one name in two places."""
    records, kept, night = (tmp_path / name for name in ("records", "kept.jsonl", "night.json"))
    for number in range(PEOPLE // 2):
        for place in ("north", "south"):
            save_record(person(f"p{number}"), records / place)
    command = [sys.executable, "-c", "from hybridtwin.cli import main; main()", "nightly"]
    command += map(str, (records, "--model", twin, "--now", NOW.isoformat(), "--resume", kept))
    command += map(str, ("--json", night))
    two = os.environ | {"OMP_NUM_THREADS": "2"}
    with subprocess.Popen(command, env=two, stdout=subprocess.DEVNULL) as broken_off:
        while len(finished(kept)) < PEOPLE // 3:
            time.sleep(0.02)
            assert broken_off.poll() is None
        broken_off.kill()
    assert len(finished(kept)) < PEOPLE
    subprocess.run(command, env=two, stdout=subprocess.DEVNULL, check=True)
    everybody = [str(home.relative_to(records)) for home in record_folders(records)]
    assert sorted(finished(kept)) == everybody
    lines = json.loads(night.read_text())["participants"]
    assert len(lines) == PEOPLE
    # Before or after, in this process or that one: the same history gives the same night.
    assert len({json.dumps(line | {"participant": ""}) for line in lines}) == 1


def finished(kept: Path) -> list[str]:
    """Who is kept, as often as they are."""
    lines = kept.read_text().split("\n") if kept.exists() else []
    return [json.loads(line)["name"] for line in lines if line.endswith("}}")]


def test_clinic_writes_records_that_end_when_asked(tmp_path: Path) -> None:
    end = "2026-11-22T21:30+01:00"
    shown = run("clinic", "--out", tmp_path, "--count", "2", "--days", "1", "--end", end)
    homes = record_folders(tmp_path / "records")
    assert len(homes) == 2
    assert "up to Sun 22 Nov" in shown
    for home in homes:
        last = load_record(home).glucose["time"].iloc[-1]
        assert pd.Timedelta(0) <= pd.Timestamp(end) - last <= pd.Timedelta(minutes=30)


def test_the_help_has_an_example_and_says_what_this_is_not() -> None:
    assert "not a certified medical device" in run("--help")
    for command in ("forecast", "scenario", "nightly", "clinic"):
        assert f"Example: hybridtwin {command} " in run(command, "--help")


def test_files_that_hold_nobody(fails: Fails, tmp_path: Path) -> None:
    empty = tmp_path / "empty.csv"
    empty.touch()
    assert "empty.csv: the file is empty" in fails("forecast", empty)
    wrong = tmp_path / "letter.txt"
    wrong.write_text("Dear doctor\n")
    assert "is of no known format" in fails("forecast", wrong)
    assert "does not exist" in fails("forecast", tmp_path / "nowhere")
    assert "holds no records" in fails("nightly", tmp_path)


def test_the_choice_of_a_person(records: Path, fails: Fails) -> None:
    said = fails("forecast", records)
    assert "holds 3 people. Choose with --participant: ann, bob, cy." in said
    assert "holds no participant 'eve'" in fails("forecast", records, "--participant", "eve")


def test_times_and_horizons_that_cannot_be(records: Path, twin: Path, fails: Fails) -> None:
    common = ("forecast", records / "ann", "--model", twin)
    assert "'soon' is no time" in fails(*common, "--now", "soon")
    assert "has no time zone" in fails(*common, "--now", "2026-11-22T21:30")
    stale = fails(*common, "--now", "2026-11-22T23:30+01:00")
    assert "the last reading is 120 minutes old" in stale
    assert "at most 12 hours" in fails(*common, "--horizon-min", "900")
    no_zone = fails("clinic", "--out", records, "--end", "2026-11-22T21:30")
    assert "--end: '2026-11-22T21:30' has no time zone" in no_zone


def test_histories_that_carry_no_forecast(twin: Path, tmp_path: Path, fails: Fails) -> None:
    short = save_record(person("short", hours=0.5), tmp_path)
    assert "too short a history: 7 readings" in fails("forecast", short, "--model", twin)
    nobody = Record(Profile(participant="nobody"))
    empty = save_record(nobody, tmp_path)
    assert "the history holds no readings" in fails("forecast", empty, "--model", twin)
    posing = save_record(person("posing"), tmp_path)
    glucose = pd.read_parquet(posing / "glucose.parquet")
    glucose["mg_dl"] = (glucose["mg_dl"] / MG_DL_PER_MMOL_L).clip(lower=20)
    glucose.to_parquet(posing / "glucose.parquet")
    assert "this looks like mmol/L" in fails("forecast", posing, "--model", twin)


@pytest.mark.parametrize(
    ("insulin", "said"),
    [
        ([{"time": "2026-11-22T22:00:00", "dose_u": 3}], r"insulin\[0\].time: .*Add the zone"),
        ([{"time": "2026-11-22T20:00:00+01:00", "dose_u": 3}], "is before now"),
        ([{"time": "2026-11-23T20:00:00+01:00", "dose_u": 3}], "is beyond the horizon"),
        (
            [{"time": "2026-11-22T22:00:00+01:00", "dose_u": 3, "kind": "humalog"}],
            r"insulin\[0\].kind: 'humalog' is not known. Use one of 'rapid'",
        ),
        (
            [
                {
                    "time": f"2026-11-22T22:{minute}:00+01:00",
                    "dose_u": 0.5,
                    "purpose": "basal",
                    "duration_min": 60,
                }
                for minute in ("00", "30")
            ],
            "basal: the entry at .* begins before the one at .* ends",
        ),
    ],
)
def test_plan_files_that_contradict_themselves_or_the_clock(
    records: Path, twin: Path, tmp_path: Path, fails: Fails, insulin: object, said: str
) -> None:
    plan = written(tmp_path / "plan.json", {"insulin": insulin})
    error = fails("forecast", records / "ann", "--model", twin, "--plan", plan)
    assert len(error.splitlines()) == 1
    assert re.search(said, error)


def test_plan_files_that_are_none(records: Path, twin: Path, tmp_path: Path, fails: Fails) -> None:
    common = ("forecast", records / "ann", "--model", twin, "--plan")
    plan = tmp_path / "plan.json"
    assert "plan.json: cannot be read" in fails(*common, plan)
    plan.write_text('{"insulin": [{"time": "2026-11-2')
    said = fails(*common, plan)
    assert "is not JSON: EOF" in said
    assert "write it whole" in said
    plan.write_text('{"doses": []}')
    assert "doses: is not a known field. Check its spelling, or leave it out" in fails(
        *common, plan
    )


def test_a_record_without_readings_is_refused(twin: Path, tmp_path: Path, fails: Fails) -> None:
    home = save_record(Record(profile=Profile(participant="empty")), tmp_path)
    said = fails("forecast", home, "--model", twin)
    assert "glucose: the history holds no readings. Send three hours of them" in said


def test_plans_of_one_name_cannot_be_told_apart(records: Path, twin: Path, fails: Fails) -> None:
    said = fails("scenario", records / "ann", "--model", twin, "--plan", "as usual")
    assert "the name 'as usual' is used twice" in said


def test_twins_and_outputs_that_are_not_there(
    records: Path, twin: Path, tmp_path: Path, fails: Fails
) -> None:
    nowhere = tmp_path / "nowhere"
    assert "no twin can be read here" in fails("forecast", records / "ann", "--model", nowhere)
    assert "is no folder of twins" in fails("nightly", records, "--twins", nowhere)
    common = ("forecast", records / "ann", "--model", twin, "--horizon-min", "30")
    for option in ("--json", "--png"):
        said = fails(*common, option, nowhere / "file")
        assert "cannot be written" in said
