from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from typer.testing import CliRunner

from hybridtwin import cli
from hybridtwin.plot_agp import agp_chart
from hybridtwin.record_files import save_record
from tests.hybridtwin.traces import record_of, wave

SHARES = {"Very low": 5, "Low": 5, "Target": 46, "High": 24, "Very high": 20}


def day() -> np.ndarray:
    return np.repeat([50.0, 60.0, 120.0, 200.0, 300.0], list(SHARES.values()))


def words(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def bar_of(figure: Figure) -> Axes:
    return next(axes for axes in figure.axes if axes.get_title(loc="left") == "Time in ranges")


def test_the_bar_is_the_time_in_ranges_and_lows_stand_below():
    bar = bar_of(agp_chart(record_of(np.tile(day(), 40))))
    heights = [patch.get_height() for patch in bar.patches]
    assert heights == pytest.approx(list(SHARES.values()))
    bottoms = [patch.get_y() for patch in bar.patches]
    assert bottoms == pytest.approx([0, 5, 10, 56, 80])
    for name, share in SHARES.items():
        assert any(said.startswith(name) for said in words(bar))
        assert any(said in {f"{share} %", f"{share:.1f} %"} for said in words(bar))


def test_there_are_fourteen_days_and_five_curves():
    figure = agp_chart(record_of(wave(16)))
    curves = next(axes for axes in figure.axes if axes.get_title(loc="left").startswith("Median"))
    assert {"5 %", "25 %", "50 %", "75 %", "95 %"} <= set(words(curves))
    median = max(curves.lines, key=lambda line: line.get_linewidth())
    assert np.asarray(median.get_ydata())[:288] == pytest.approx(wave(1), abs=2)
    days = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert len(days) == 14
    assert days[-1] == "Tue 19 May"


def test_units_and_goals_are_those_asked_for():
    record = record_of(wave(14, mean_mg_dl=110, depth_mg_dl=40))
    profile = record.profile.model_copy(update={"pregnancy_week": 20})
    said = words(bar_of(agp_chart(replace(record, profile=profile), unit="mmol/L")))
    assert "Target  3.5-7.8 mmol/L" in said
    assert not any(each.startswith("Very high") for each in said)


def test_too_few_days_are_marked():
    figure = agp_chart(record_of(wave(9)))
    said = [text for axes in figure.axes for text in words(axes)]
    assert any(text.startswith("Not to be trusted") and "9.0 days" in text for text in said)


def test_the_command_draws(tmp_path: Path):
    save_record(record_of(wave(14)), tmp_path)
    picture = tmp_path / "agp.png"
    result = CliRunner().invoke(cli.app, ["agp", str(tmp_path), "--out", str(picture)])
    assert result.exit_code == 0, result.output
    assert picture.read_bytes().startswith(b"\x89PNG")
