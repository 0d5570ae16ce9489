"""Both futures are as physiology has them, the same where nothing differs, drawn as they are."""

import math
import re
from datetime import UTC, datetime, timedelta

import pytest

from hybridtwin.events import Dose, GlucoseReading, Meal, Profile
from hybridtwin.record import from_events
from hybridtwin.registry import load_twin
from serving.clinic import drawing
from serving.clinic.scenario_comparison import Comparison, Refusal, answer
from serving.clinic.scenario_form import Form
from serving.clinic.scenario_picture import draw, rows, signed
from serving.reader import Reader

NOW = datetime(2026, 1, 31, 20, 2, tzinfo=UTC)
ZONE = "Europe/Berlin"
_NUMBER = re.compile(r"-?\d+")


def _record(basal_u_h=0.8, last_min=2, level=140.0, hours=26, logged=("bolus", "meals")):
    begin = NOW - timedelta(hours=26)
    glucose = [
        GlucoseReading(
            time=NOW - timedelta(minutes=last_min + 5 * back),
            mg_dl=level + level / 6 * math.sin(back / 20),
        )
        for back in reversed(range(round(12 * hours) - 1))
    ]
    times = [begin + timedelta(hours=hour) for hour in range(26)]
    insulin = [
        Dose(time=time, purpose="basal", dose_u=basal_u_h, duration_min=60) for time in times
    ]
    insulin.insert(-3, Dose(time=times[-3], dose_u=4))
    meals = [Meal(time=times[-3], carbs_g=45)]
    profile = Profile(participant="p", time_zone=ZONE, weight_kg=70)
    return from_events(profile, glucose, insulin=insulin, meals=meals, logged=logged)


@pytest.fixture(scope="module")
def ask():
    """What the bench answers to what is typed."""
    twin = load_twin()

    def asked(record=None, **typed):
        question, faults = Form(typed, NOW, ZONE).read()
        assert question, faults
        return answer(twin, record or _record(), NOW, question)

    return asked


def _edges(comparison):
    """The highest and the lowest of where nine tenths of the differences lie."""
    (difference,) = comparison.report.differences
    return max(difference.quantiles[-1]), min(difference.quantiles[0])


@pytest.mark.parametrize(
    ("typed", "sign"),
    [
        ({"usual_meal1_g": "30", "if_meal1_g": "60"}, 1),
        ({"usual_bolus1_u": "4", "if_bolus1_u": "0"}, 1),
        ({"if_basal_percent": "0", "mode": "complete"}, 1),
        ({"usual_meal1_g": "60", "if_bolus1_u": "3"}, -1),
        ({"if_exercise_min": "45", "mode": "complete"}, -1),
    ],
)
def test_what_is_changed_acts_as_it_does_in_a_body(ask, typed, sign):
    found = ask(horizon_h="4", **typed)
    highest, lowest = _edges(found)
    if sign > 0:
        assert lowest >= -0.5
        assert highest > 5
    else:
        assert highest <= 0.5
        assert lowest < -5
    (difference,) = found.report.differences
    assert difference.mean_low <= difference.mean <= difference.mean_high


def test_more_of_it_does_more(ask):
    means = [ask(if_bolus1_u=dose, horizon_h="4").report.differences[0].mean for dose in "124"]
    assert means == sorted(means, reverse=True)


@pytest.mark.parametrize("typed", [{}, {"usual_meal1_g": "50", "usual_bolus1_u": "5"}])
def test_the_same_plan_differs_by_nothing_at_all(ask, typed):
    found = ask(**typed)
    (difference,) = found.report.differences
    assert {value for row in difference.quantiles for value in row} == {0}
    assert (difference.mean_low, difference.mean_high) == (0, 0)
    usual, changed = found.report.forecasts
    assert usual.quantiles == changed.quantiles
    drawn = draw(found, ZONE, Reader()).difference
    depths = {depth for path in (drawn.outer, drawn.median) for depth in _depths(path)}
    assert len(depths) == 1, "a band without width"


def _depths(path):
    """The second of every two numbers."""
    return [int(number) for number in _NUMBER.findall(path)][1::2]


def _values(path, bottom, top):
    """What a path shows on a scale."""
    return [top - depth * (top - bottom) / drawing.HEIGHT for depth in _depths(path)]


def _row(said, level):
    return said.quantiles[said.levels.index(level)]


def test_the_picture_is_of_the_numbers(ask):
    found = ask(if_meal1_g="20", horizon_h="2")
    picture = draw(found, ZONE, Reader(unit="mmol/L"))
    usual, changed = found.report.forecasts
    for fan, forecast in zip(picture.fans, (usual, changed), strict=True):
        assert _values(fan.median, 40, 300) == pytest.approx(_row(forecast, 0.5), abs=0.5)
        outline = (*_row(forecast, 0.95), *reversed(_row(forecast, 0.05)))
        assert _values(fan.outer, 40, 300) == pytest.approx(outline, abs=0.5)
    (difference,) = found.report.differences
    middle = _row(difference, 0.5)
    reach = float(picture.difference_marks[0].text) * 2 * 18.0156
    drawn = _values(picture.difference.median, -reach, reach)
    assert drawn == pytest.approx(middle, abs=1)
    assert [mark.text for mark in picture.limits] == ["3.0", "3.9", "10.0", "13.9"]
    assert abs(picture.ends[0] - picture.ends[1]) >= 7
    table = rows(found)
    assert all(row.time.minute in (0, 30) for row in table)
    for row in table:
        index = usual.times.index(row.time)
        assert row.difference[0] == middle[index]
        for middle_of, low_of, high_of in (row.usual, row.changed, row.difference):
            assert low_of <= middle_of <= high_of


def test_what_is_kept_opens_as_it_was(ask):
    found = ask(if_bolus1_u="2")
    assert Comparison.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    ("kind", "known"),
    [
        ("stale", {"last_min": 20}),
        ("stale", {"last_min": 90}),
        ("short", {"hours": 0.5}),
        ("insulin", {"logged": ["meals"]}),
        ("trust", {"level": 50.0}),
    ],
)
def test_what_would_not_be_true_is_not_shown(ask, kind, known):
    found = ask(_record(**known), if_meal1_g="20")
    assert isinstance(found, Refusal)
    assert found.kind == kind


def test_no_percent_of_no_basal(ask):
    found = ask(_record(basal_u_h=0.0), if_basal_percent="50")
    assert isinstance(found, Refusal)
    assert {name: fault.kind for name, fault in found.faults.items()} == {
        "if_basal_percent": "no pump"
    }
    assert isinstance(ask(_record(basal_u_h=0.0), if_meal1_g="50"), Comparison)


@pytest.mark.parametrize(
    ("mg_dl", "unit", "said"),
    [
        (0.4, "mg/dL", "0"),
        (-0.4, "mg/dL", "0"),
        (-12.3, "mg/dL", "\N{MINUS SIGN}12"),
        (18.0156, "mmol/L", "+1.0"),
        (-0.5, "mmol/L", "0.0"),
    ],
)
def test_a_difference_has_a_sign_where_there_is_one(mg_dl, unit, said):
    assert signed(mg_dl, Reader(unit=unit)) == said
