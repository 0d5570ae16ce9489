import json
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hybridtwin import cli
from hybridtwin.record_files import load_record

AZT1D = (
    "EventDateTime,DeviceMode,BolusType,Basal,CorrectionDelivered,"
    "TotalBolusInsulinDelivered,FoodDelivered,CarbSize,CGM\n"
)


@pytest.fixture
def people(tmp_path: Path) -> Path:
    folder = tmp_path / "people"
    folder.mkdir()
    for number in (1, 2):
        rows = "".join(f"2024-01-10 0{hour}:00:00,,,,,,,,150\n" for hour in range(9))
        (folder / f"Subject {number}.csv").write_text(AZT1D + rows + rows[: len(rows) // 9])
    return folder


def run(*arguments: str | Path) -> str:
    result = CliRunner().invoke(cli.app, ["import", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str | Path
) -> str:
    monkeypatch.setattr(cli, "entry_points", lambda group: [])
    monkeypatch.setattr("sys.argv", ["hybridtwin", "import", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    return capsys.readouterr().err


def test_records_and_report_are_written_and_shown(people: Path, tmp_path: Path) -> None:
    out = tmp_path / "records"
    shown = run("azt1d", people, "--out", out)
    assert "2 records" in shown
    assert "exact duplicate" in shown
    record = load_record(out / "azt1d-1")
    assert len(record.glucose) == 9
    report = json.loads((out / cli.REPORT_FILE).read_text())
    assert set(report) == {"azt1d-1", "azt1d-2"}
    assert report["azt1d-1"]["saved"]
    dropped = [note for note in report["azt1d-2"]["notes"] if note["action"] == "dropped"]
    assert [note["count"] for note in dropped] == [1]


def test_auto_and_a_choice_of_participants(people: Path, tmp_path: Path) -> None:
    run("auto", people, "--out", tmp_path / "one", "--participant", "azt1d-2")
    assert [home.name for home in (tmp_path / "one").iterdir() if home.is_dir()] == ["azt1d-2"]


def test_a_person_without_glucose_is_skipped_with_a_line(tmp_path: Path) -> None:
    folder = tmp_path / "uom"
    folder.mkdir()
    (folder / "UoMGlucose2301.csv").write_text("bg_ts,value\n01/10/2023 00:04,7.5\n")
    (folder / "UoMBolus2302.csv").write_text("bolus_ts,bolus_dose\n01/10/2023 00:04,5\n")
    out = tmp_path / "records"
    shown = run("auto", folder, "--out", out)
    assert "skipped" in shown
    assert not (out / "t1d_uom-2302").exists()
    assert not json.loads((out / cli.REPORT_FILE).read_text())["t1d_uom-2302"]["saved"]


def test_errors_are_plain_words(
    people: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "records"
    error = fails(monkeypatch, capsys, "auto", tmp_path / "nothing", "--out", out)
    assert error.startswith("error: ")
    assert "does not exist. Check the path." in error
    assert "Traceback" not in error
    error = fails(monkeypatch, capsys, "azt1d", people, "--out", out, "--participant", "nobody")
    assert "holds no participant nobody" in error
    (people / "Subject 1.csv").write_text(AZT1D)
    assert "no rows" in fails(monkeypatch, capsys, "azt1d", people, "--out", out)


def test_a_command_that_cannot_be_loaded_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = EntryPoint("broken", "no_such_module:register", cli.COMMAND_GROUP)
    monkeypatch.setattr(cli, "entry_points", lambda group: [broken])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 2
    assert "the commands of broken: cannot be loaded" in capsys.readouterr().err
