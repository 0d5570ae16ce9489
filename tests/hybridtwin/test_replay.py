"""A record replayed as a stream: what was known when, and what is drawn of it."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from hybridtwin import cli
from hybridtwin.assimilation.assimilated import assimilate
from hybridtwin.assimilation.path import path
from hybridtwin.assimilation.settings import AssimilationSettings
from hybridtwin.config import read_config
from hybridtwin.errors import HistoryError, TwinError
from hybridtwin.native import native_walk
from hybridtwin.record import Record
from hybridtwin.record_files import save_record
from hybridtwin.registry import load_twin
from hybridtwin.replay import AHEAD_MIN, SENSITIVITY, Moment, replay, replay_chart
from hybridtwin.twin import Twin
from hybridtwin.units import MG_DL_PER_MMOL_L
from tests.hybridtwin.people import history

SETTINGS = AssimilationSettings(members=20)
CONFIG = Path(__file__).parents[2] / "configs" / "assimilation.yaml"


@pytest.fixture(scope="module")
def twin() -> Twin:
    return replace(load_twin(), walk=native_walk())


@pytest.fixture(scope="module")
def record() -> Record:
    """Eight hours, the sensor silent for the last but one and a half."""
    made = history(8)
    minutes = (made.glucose["time"] - made.glucose["time"].iloc[0]) / pd.Timedelta(minutes=1)
    return replace(made, glucose=made.glucose[~minutes.between(356, 455)])


@pytest.fixture(scope="module")
def moments(twin: Twin, record: Record) -> list[Moment]:
    return list(replay(twin, record, SETTINGS))


def test_every_hour_is_seen_and_none_before_its_time(
    twin: Twin, record: Record, moments: list[Moment]
) -> None:
    gaps = {after.time - before.time for before, after in pairwise(moments)}
    assert gaps == {pd.Timedelta(hours=1)}
    first = moments[0]
    known = assimilate(twin, None, record.before(first.time), SETTINGS)
    assert torch.equal(first.held.checkpoints[-1].members, known.checkpoints[-1].members)


def test_the_end_is_that_of_the_whole_record_at_once(
    twin: Twin, record: Record, moments: list[Moment]
) -> None:
    whole = assimilate(twin, None, record, SETTINGS)
    assert torch.equal(whole.checkpoints[-1].members, moments[-1].held.checkpoints[-1].members)


def test_a_stale_sensor_gives_no_forecast(moments: list[Moment]) -> None:
    stale = [moment.ahead_mg_dl is None for moment in moments]
    assert stale == [False, True, False]


def test_the_chart_shows_readings_and_forecasts_at_their_times(
    record: Record, moments: list[Moment]
) -> None:
    found = path(moments[-1].held, SENSITIVITY, widening=1.0)
    for unit, factor in (("mg/dL", 1.0), ("mmol/L", MG_DL_PER_MMOL_L)):
        glucose, slow = replay_chart(record, moments, found, unit).axes  # type: ignore[arg-type]
        lines = {line.get_label(): line for line in glucose.lines}
        readings, ahead = lines["readings"], lines[f"forecast {AHEAD_MIN} min before"]
        # The made-up level steps by 30 mg/dL within 5 minutes.
        doubted = lines["sensor in doubt as it arrived"]
        assert 0 < len(doubted.get_ydata()) < len(readings.get_ydata())
        assert [factor * y for y in readings.get_ydata()] == pytest.approx(
            record.glucose["mg_dl"].tolist()
        )
        expected = [moment.ahead_mg_dl[1] for moment in moments if moment.ahead_mg_dl is not None]
        assert [factor * y for y in ahead.get_ydata()] == pytest.approx(expected)
        assert len(slow.lines[0].get_ydata()) == 1  # a day, in Madrid


def test_too_little_is_refused(twin: Twin) -> None:
    for hours in (0, 1):
        with pytest.raises(HistoryError):
            list(replay(twin, history(hours), SETTINGS))


def test_the_file_of_settings_says_what_holds_without_it() -> None:
    assert read_config(CONFIG, AssimilationSettings) == AssimilationSettings()
    with pytest.raises(TwinError, match="cannot be read"):
        read_config(Path("no-such-file.yaml"), AssimilationSettings)


def test_the_command_draws_a_picture(record: Record, tmp_path: Path) -> None:
    save_record(record, tmp_path)
    config = tmp_path / "few.yaml"
    config.write_text("members: 20\n")
    picture = tmp_path / "replay.png"
    arguments = ["replay", str(tmp_path), "--png", str(picture), "--config", str(config)]
    result = CliRunner().invoke(cli.app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert "made-up: 3 hours replayed" in result.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")
