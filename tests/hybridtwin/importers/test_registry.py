import json
from pathlib import Path

import pytest

from hybridtwin.errors import ImportFormatError
from hybridtwin.importers import IMPORTERS, find, read

AZT1D = (
    "EventDateTime,DeviceMode,BolusType,Basal,CorrectionDelivered,"
    "TotalBolusInsulinDelivered,FoodDelivered,CarbSize,CGM\n"
)
SAMPLES = {
    "azt1d": ("Subject 1.csv", AZT1D + "2024-01-10 00:00:00,,,,,,,,150\n"),
    "t1d_uom": ("UoMGlucose2301.csv", "bg_ts,value\n01/10/2023 00:04,7.5\n"),
    "hupa_ucm": (
        "HUPA0001P.csv",
        "time;glucose;calories;heart_rate;steps;basal_rate;bolus_volume_delivered;carb_input\n"
        "2018-06-13T18:40:00;132;6;82;34;0;0;0\n2018-06-13T18:45:00;133;6;83;34;0;0;0\n",
    ),
    "nightscout": (
        "entries.json",
        json.dumps([{"type": "sgv", "sgv": 120, "date": 1_700_000_000_000}]),
    ),
}


@pytest.fixture(params=sorted(SAMPLES))
def sample(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    name, text = SAMPLES[request.param]
    folder = tmp_path / request.param
    folder.mkdir()
    (folder / name).write_text(text)
    return folder / name


def refusal(path: Path, format: str | None = None) -> str:  # noqa: A002
    with pytest.raises(ImportFormatError) as caught:
        list(read(path, format))
    (problem,) = caught.value.problems
    assert problem.where
    assert problem.advice
    return str(problem)


def test_every_format_has_a_sample() -> None:
    assert set(SAMPLES) == set(IMPORTERS)


def test_a_file_and_its_folder_are_found_by_content(sample: Path) -> None:
    assert find(sample).name == sample.parent.name
    assert find(sample.parent).name == sample.parent.name
    (record,) = read(sample)
    assert (
        len(record.glucose) == len(sample.read_text().splitlines()) - 1 or len(record.glucose) == 1
    )
    assert list(record.provenance.files) == [sample.name]


def test_missing_and_empty_paths(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "nothing")
    assert "folder is empty" in refusal(tmp_path)
    (tmp_path / "empty.csv").touch()
    assert "file is empty" in refusal(tmp_path / "empty.csv")
    assert "file is empty" in refusal(tmp_path / "empty.csv", "azt1d")


@pytest.mark.parametrize("name", sorted(IMPORTERS))
def test_other_files_are_refused_by_each_format(tmp_path: Path, name: str) -> None:
    png = tmp_path / "Subject 1.csv"
    png.write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\xff")
    assert "not text" in refusal(png, name)
    other = tmp_path / "budget.csv"
    other.write_text("date,amount\n2024-01-01,5\n")
    assert "'date,amount'" in refusal(other, name)


def test_an_unknown_file_names_the_known_formats(tmp_path: Path) -> None:
    other = tmp_path / "budget.csv"
    other.write_text("date,amount\n2024-01-01,5\n")
    assert "azt1d, t1d_uom, hupa_ucm, nightscout" in refusal(other)
    assert "1 CSV and 0 JSON" in refusal(tmp_path)
    assert "no known format" in refusal(other, "glooko")


def test_several_formats_at_one_path(tmp_path: Path) -> None:
    for name, text in (SAMPLES["azt1d"], SAMPLES["hupa_ucm"]):
        (tmp_path / name).write_text(text)
    assert "several formats (azt1d, hupa_ucm)" in refusal(tmp_path)


def test_a_heading_alone_is_refused(sample: Path) -> None:
    if sample.suffix == ".csv":
        sample.write_text(sample.read_text().splitlines()[0] + "\n")
        assert "no rows" in refusal(sample)


def test_words_where_numbers_and_times_belong_are_placed(sample: Path) -> None:
    text = sample.read_text()
    broken = {
        "azt1d": text.replace(",150", ",High"),
        "t1d_uom": text.replace("7.5", "High"),
        "hupa_ucm": text.replace(";133;", ";High;"),
    }
    if sample.parent.name in broken:
        sample.write_text(broken[sample.parent.name])
        assert "'High' is not a number" in refusal(sample)
        sample.write_text(text.replace("2023", "20x3").replace("2018", "20x8").replace("2024", "x"))
        assert "is not a date and time" in refusal(sample)


def test_lacking_columns_are_named(tmp_path: Path) -> None:
    file = tmp_path / "HUPA0001P.csv"
    file.write_text("time;glucose;basal_rate\n2018-06-13T18:40:00;132;0\n")
    assert "lacks the columns bolus_volume_delivered, calories" in refusal(file)


def test_truncated_json_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "entries.json"
    documents = [{"type": "sgv", "sgv": 120, "date": 1_700_000_000_000 + k} for k in range(9)]
    file.write_text(json.dumps(documents)[:-40])
    message = refusal(file)
    assert "not complete JSON" in message
    assert "to its end" in message
