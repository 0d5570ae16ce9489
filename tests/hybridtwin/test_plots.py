from io import BytesIO
from itertools import pairwise

import pandas as pd
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection

from hybridtwin.events import Activity, Dose, GlucoseReading, Meal, Profile
from hybridtwin.forecast import Forecast
from hybridtwin.plan import Plan
from hybridtwin.plots import comparison_chart, describe, fan_chart
from hybridtwin.record import Record, from_events
from hybridtwin.scenario import Scenario
from hybridtwin.trust import Trust
from hybridtwin.units import MG_DL_PER_MMOL_L, GlucoseUnit

NOW = pd.Timestamp("2026-11-22T20:30Z")
HOUR = pd.Timedelta(hours=1)


@pytest.fixture(scope="module")
def record() -> Record:
    times = pd.date_range(NOW - 8 * HOUR, NOW, freq="5min")
    return from_events(
        Profile(participant="ann", time_zone="Europe/Berlin"),
        glucose=[GlucoseReading(time=time, mg_dl=120) for time in times],
        insulin=[
            Dose(time=NOW - 7 * HOUR, dose_u=9),
            Dose(time=NOW - 2 * HOUR, dose_u=4),
            Dose(time=NOW - HOUR, dose_u=0.1, automatic=True),
            Dose(time=NOW - HOUR, dose_u=0.8, purpose="basal", duration_min=60),
        ],
        meals=[Meal(time=NOW - 2 * HOUR, carbs_g=45)],
    )


def forecast(plan: str = "as usual", change_mg_dl: float = 0, steps: int = 48) -> Forecast:
    noise = torch.randn(40, steps, generator=torch.Generator().manual_seed(0))
    expected = 120 + change_mg_dl * torch.linspace(0, 1, steps)
    return Forecast(
        participant="ann",
        plan=plan,
        issued=NOW,
        start=NOW,
        last_reading_mg_dl=120,
        last_reading_time=NOW,
        time_zone="Europe/Berlin",
        expected_mg_dl=expected,
        paths_mg_dl=expected + 15 * noise,
        trust=Trust(level="full"),
    )


def ticks(axes: Axes) -> list[str]:
    return [label.get_text() for label in axes.get_xticklabels()]


def words(axes: Axes) -> set[str]:
    return {text.get_text() for text in axes.texts}


def test_a_fan_shows_six_hours_of_readings_the_target_and_three_bands(record: Record) -> None:
    figure = fan_chart(forecast(), record)
    glucose, _ = figure.axes
    readings = next(line for line in glucose.lines if line.get_marker() == "o")
    assert len(readings.get_xdata()) == 6 * 12
    assert len([c for c in glucose.collections if isinstance(c, PolyCollection)]) == 3
    assert glucose.get_ylabel() == "glucose, mg/dL"
    assert glucose.get_title(loc="left") == "ann: as usual"
    assert {label.get_text() for label in glucose.get_yticklabels()} >= {"70", "180"}
    assert "54" in words(glucose)
    expected = next(line for line in glucose.lines if line.get_label() == "expected")
    assert len(expected.get_xdata()) == 49
    assert expected.get_ydata()[0] == 120


def test_the_time_axis_is_local(record: Record) -> None:
    _, events = fan_chart(forecast(), record).axes
    assert "20:00" in ticks(events)
    assert events.get_xlabel().startswith("now: Sun 22 Nov 21:30, Europe/Berlin")
    hours = dict(zip(ticks(events), events.get_xticks(), strict=True))
    assert hours["20:00"] == pytest.approx(-1.5)


def test_mmol_l_scales_everything_but_the_shape(record: Record) -> None:
    def drawn(unit: GlucoseUnit) -> list[float]:
        glucose, _ = fan_chart(forecast(change_mg_dl=40), record, unit).axes
        return [y for line in glucose.lines if len(line.get_ydata()) > 2 for y in line.get_ydata()]

    in_mmol_l = [value * MG_DL_PER_MMOL_L for value in drawn("mmol/L")]
    assert in_mmol_l == pytest.approx(drawn("mg/dL"))
    glucose, _ = fan_chart(forecast(), record, "mmol/L").axes
    assert glucose.get_ylabel() == "glucose, mmol/L"
    assert {label.get_text() for label in glucose.get_yticklabels()} >= {"3.9", "10.0"}
    assert "3.0" in words(glucose)


def test_boluses_meals_and_exercise_are_marked_those_of_the_plan_too(record: Record) -> None:
    plan = Plan(
        insulin=[Dose(time=NOW + HOUR, dose_u=3)],
        meals=[Meal(time=NOW + HOUR, carbs_g=60)],
        activity=[Activity(time=NOW + 2 * HOUR, duration_min=45, intensity="moderate")],
    )
    _, events = fan_chart(forecast(), record, plan=plan).axes
    assert words(events) == {"4 U", "45 g", "3 U", "60 g"}
    assert [label.get_text() for label in events.get_yticklabels()] == [
        "carbs",
        "insulin",
        "exercise",
    ]
    (bar,) = events.patches
    assert (bar.get_x(), bar.get_width()) == (pytest.approx(2), pytest.approx(0.75))
    _, without = fan_chart(forecast(), record).axes
    assert words(without) == {"4 U", "45 g"}


def test_labels_of_events_close_together_do_not_run_into_each_other(record: Record) -> None:
    meals = [Meal(time=NOW + pd.Timedelta(minutes=10 * k), carbs_g=10 + k) for k in range(12)]
    _, events = fan_chart(forecast(), record, plan=Plan(meals=meals)).axes
    at = sorted(text.xy[0] for text in events.texts if text.get_text().endswith("g"))
    assert len([line for line in events.lines if line.get_marker() == "o"]) == 13
    assert all(later - earlier > 0.8 for earlier, later in pairwise(at))


def test_a_night_is_shaded(record: Record) -> None:
    begin = pd.Timestamp("2026-11-23T00:00", tz="Europe/Berlin")
    glucose, _ = fan_chart(forecast(steps=108), record, night=(begin, begin + 6 * HOUR)).axes
    shade = glucose.patches[-1]
    assert (shade.get_x(), shade.get_width()) == (pytest.approx(2.5), pytest.approx(6))


def test_a_comparison_draws_each_plan_and_each_difference(record: Record) -> None:
    plans = [forecast(), forecast("bolus 3 now", -40), forecast("carbs 40 now; " * 5, 60)]
    figure = comparison_chart(Scenario(plans), record, "mmol/L")
    glucose, change = figure.axes
    legend = glucose.get_legend()
    assert legend is not None
    names = [text.get_text() for text in legend.get_texts()]
    assert names[:2] == ["as usual", "bolus 3 now"]
    assert names[2].endswith("…")
    assert change.get_ylabel() == "change, mmol/L"
    ends = sorted(line.get_ydata()[-1] for line in change.lines if len(line.get_ydata()) == 49)
    assert ends == pytest.approx([-40 / MG_DL_PER_MMOL_L, 60 / MG_DL_PER_MMOL_L], abs=0.01)
    colors = {line.get_color() for line in legend.get_lines()}
    assert len(colors) == 3


def test_a_figure_becomes_a_png_without_pyplot(record: Record) -> None:
    picture = BytesIO()
    fan_chart(forecast(), record).savefig(picture, format="png")
    assert picture.getvalue().startswith(b"\x89PNG")


def test_the_text_alternative_is_one_sentence_with_units_and_local_times() -> None:
    said = describe(forecast(change_mg_dl=36.0312), "mmol/L")
    assert said.startswith("ann, plan 'as usual': from 6.7 mmol/L at 21:30")
    assert "is expected at 8.7 mmol/L by 01:30" in said
    assert "below 3.9 mmol/L" in said
    assert said.endswith("trust is full.")
