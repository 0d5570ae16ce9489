"""Days made by hand, of which everybody can say what is in them."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from hybridtwin import cli
from hybridtwin.config import read_config
from hybridtwin.errors import HistoryError
from hybridtwin.events import Profile
from hybridtwin.patterns.pattern import Pattern
from hybridtwin.patterns.registry import find_patterns
from hybridtwin.patterns.settings import PatternSettings
from hybridtwin.record import Record
from hybridtwin.record_files import save_record

SETTINGS = Path(__file__).parents[3] / "configs" / "patterns.yaml"
MIDNIGHT = pd.Timestamp("2026-05-04T00:00+02:00")
DAYS = 28
STEP = pd.Timedelta(minutes=5)


class Life:
    """Four weeks of a steady person, into which a test writes what happens."""

    def __init__(self) -> None:
        self.glucose = np.full((DAYS, 288), 120.0) + np.random.default_rng(0).normal(
            0, 4, (DAYS, 288)
        )
        self.bolus_u = np.zeros((DAYS, 288))
        self.carbs_g = np.zeros((DAYS, 288))
        self.basal_u_h = np.full((DAYS, 24), 1.0)
        self.exercise: list[tuple[int, int, str]] = []
        for clock in (7.5, 12.5, 19):
            self.bolus_u[:, at(clock)] = 6
            self.carbs_g[:, at(clock) + 1] = 60

    def record(self, logged: bool = True) -> Record:
        times = MIDNIGHT.tz_convert("UTC") + STEP * np.arange(DAYS * 288)
        hours = MIDNIGHT.tz_convert("UTC") + pd.Timedelta(hours=1) * np.arange(DAYS * 24)
        bolus, carbs = self.bolus_u.ravel(), self.carbs_g.ravel()
        doses = pd.concat(
            [
                pd.DataFrame({"time": times[bolus > 0], "dose_u": bolus[bolus > 0]}),
                pd.DataFrame(
                    {
                        "time": hours,
                        "dose_u": self.basal_u_h.ravel(),
                        "purpose": "basal",
                        "duration_min": 60.0,
                    }
                ),
            ]
        )
        doses = doses.assign(
            kind="rapid",
            purpose=doses["purpose"].fillna("bolus"),
            duration_min=doses["duration_min"].fillna(0.0),
        )
        spans = pd.DataFrame(
            {"channel": ["bolus", "meals"], "start": times[0], "end": times[-1] + STEP}
        )
        bouts = [
            {
                "time": times[day * 288 + begin],
                "duration_min": 45.0,
                "kind": kind,
                "intensity": "moderate",
            }
            for day, begin, kind in self.exercise
        ]
        glucose = pd.DataFrame({"time": times, "mg_dl": self.glucose.ravel()})
        parts = {"activity": pd.DataFrame(bouts)} if bouts else {}
        return Record(
            profile=Profile(participant="made-up", time_zone="Europe/Berlin", therapy="pump"),
            glucose=glucose.dropna(),
            insulin=doses.sort_values("time", kind="stable"),
            meals=pd.DataFrame({"time": times[carbs > 0], "carbs_g": carbs[carbs > 0]}),
            **parts,
            **({"logged": spans} if logged else {}),
        )


def at(hour: float) -> int:
    return round(12 * hour)


def look(record: Record) -> dict[tuple[str, str], Pattern]:
    return {(each.kind, each.part): each for each in find_patterns(record)}


def found(record: Record) -> set[tuple[str, str]]:
    return {name for name, each in look(record).items() if each.status == "found"}


def test_a_steady_life_has_no_pattern():
    patterns = look(Life().record())
    assert all(each.status != "found" for each in patterns.values())
    assert patterns["night lows", "late"].looked_at == DAYS
    assert patterns["late or missed boluses", "dinner"].count == 0
    assert patterns["exercise", ""].status == "unknown"


@pytest.mark.parametrize(("part", "hour"), [("early", 1.0), ("late", 4.0)])
def test_lows_of_every_third_night_are_found_where_they_are(part, hour):
    life = Life()
    life.glucose[::3, at(hour) : at(hour) + 5] = 60
    patterns = look(life.record())
    night = patterns["night lows", part]
    assert found(life.record()) == {("night lows", part)}
    assert (night.count, night.looked_at) == (10, DAYS)
    assert [time.strftime("%H:%M") for time in night.times] == [f"{int(hour):02d}:00"] * 10
    assert night.size == pytest.approx(10 / DAYS)


def test_nights_without_readings_are_not_nights_without_lows():
    life = Life()
    life.glucose[::3, at(4) : at(4) + 5] = 60
    life.glucose[1::3, at(3) : at(6)] = np.nan
    night = look(life.record())["night lows", "late"]
    assert (night.count, night.looked_at) == (10, DAYS - 9)


def test_a_rise_from_three_on_is_a_dawn_phenomenon():
    life = Life()
    rise = np.clip((np.arange(288) - at(3)) / (at(7) - at(3)), 0, 1) * 50
    life.glucose[:, : at(7.5)] += 20 + rise[: at(7.5)]
    patterns = look(life.record())
    assert patterns["dawn phenomenon", ""].status == "found"
    assert patterns["dawn phenomenon", ""].size == pytest.approx(50, abs=3)
    assert patterns["dawn phenomenon", "trend"].status == "not found"


def test_a_rise_hides_less_where_glucose_would_have_fallen():
    """The same rise, from a height that falls back by itself, is more of a dawn phenomenon."""
    sizes = []
    rise = np.clip((np.arange(288) - at(3)) / (at(7) - at(3)), 0, 1) * 15
    for level in (20, 100):
        life = Life()
        life.glucose += level
        life.glucose[:, : at(7.5)] += rise[: at(7.5)]
        dawn = look(life.record())["dawn phenomenon", ""]
        sizes.append(dawn.size)
        assert dawn.status == ("not found" if level == 20 else "found")
    share = PatternSettings().dawn.falls_back
    assert sizes[1] - sizes[0] == pytest.approx(share * 80, abs=3)


def test_a_rise_all_night_long_that_slows_down_is_none():
    """Basal insulin that is short: half of what is left to rise, every hour and a half."""
    life = Life()
    life.glucose[:, : at(7.5)] += 120 * (1 - 0.5 ** (np.arange(at(7.5)) / at(1.5)))
    dawn = look(life.record())["dawn phenomenon", ""]
    assert dawn.size > PatternSettings().dawn.rise_mg_dl
    assert dawn.status == "not found"


def test_a_low_or_a_bolus_before_two_says_nothing_of_the_dawn():
    life = Life()
    rise = np.clip((np.arange(288) - at(3)) / (at(7) - at(3)), 0, 1) * 50
    life.glucose[:, : at(7.5)] += 20 + rise[: at(7.5)]
    life.glucose[:, at(0.5) : at(1)] = 60
    life.bolus_u[:, at(1.5)] = 1
    assert look(life.record())["dawn phenomenon", ""].looked_at == DAYS
    life.bolus_u[::2, at(2.5)] = 1
    assert look(life.record())["dawn phenomenon", ""].looked_at == DAYS / 2


def test_a_rise_that_grows_has_a_trend():
    life = Life()
    rise = np.clip((np.arange(288) - at(3)) / (at(7) - at(3)), 0, 1)
    life.glucose[:, : at(7.5)] += (np.arange(DAYS)[:, None] * 2 * rise)[:, : at(7.5)]
    trend = look(life.record())["dawn phenomenon", "trend"]
    assert trend.status == "found"
    assert trend.size == pytest.approx(14, abs=1)  # mg/dL per week


@pytest.mark.parametrize(("part", "hour"), [("breakfast", 7.5), ("lunch", 12.5), ("dinner", 19)])
@pytest.mark.parametrize("later_min", [None, 50])
def test_boluses_that_are_missed_or_late_are_counted_by_meal(part, hour, later_min):
    life = Life()
    life.bolus_u[::2, at(hour)] = 0
    if later_min is not None:
        life.bolus_u[::2, at(hour) + later_min // 5] = 6
    patterns = look(life.record())
    meal = patterns["late or missed boluses", part]
    assert found(life.record()) == {("late or missed boluses", part)}
    assert (meal.count, meal.looked_at) == (14, DAYS)
    assert meal.details == {"missed" if later_min is None else "late": 14}


def test_where_boluses_were_not_logged_none_is_missed():
    life = Life()
    life.bolus_u[:] = 0
    patterns = look(life.record(logged=False))
    assert {
        each.status for name, each in patterns.items() if name[0] == "late or missed boluses"
    } == {"unknown"}


def test_a_meal_that_nobody_logged_is_seen_by_its_rise():
    life = Life()
    life.carbs_g[:, at(19) + 1] = 0
    life.bolus_u[::2, at(19)] = 0
    meal = 90 * np.sin(np.pi * np.arange(36) / 36)
    life.glucose[:, at(19) : at(22)] += meal
    assert look(life.record())["late or missed boluses", "dinner"].count == 14


@pytest.mark.parametrize(("peak", "rebounds"), [(220, True), (160, False)])
def test_highs_soon_after_lows_are_rebounds(peak, rebounds):
    life = Life()
    life.glucose[::2, at(15.5) : at(16)] = 60
    life.glucose[::2, at(16.5) : at(17)] = peak
    patterns = look(life.record())
    assert patterns["rebound highs", ""].looked_at == 14
    assert patterns["rebound highs", ""].count == (14 if rebounds else 0)
    assert (("rebound highs", "") in found(life.record())) is rebounds


def test_a_low_that_nobody_treated_says_nothing_of_treatment():
    life = Life()
    life.glucose[:21, at(15.5) : at(16)] = 60
    life.glucose[:14, at(16.5) : at(17)] = 220
    life.carbs_g[:14, at(15.75)] = 60
    rebound = look(life.record())["rebound highs", ""]
    assert (rebound.count, rebound.looked_at) == (14, 14)
    life.carbs_g[:7, at(15.75)] = 0  # few treatments are logged at all
    rebound = look(life.record())["rebound highs", ""]
    assert (rebound.count, rebound.looked_at) == (14, 21)


def test_insulin_that_does_less_is_falling_sensitivity():
    life = Life()
    life.glucose += np.random.default_rng(1).normal(0, 6, (DAYS, 1))
    life.glucose[-5:] *= 1.3
    life.basal_u_h[-5:] *= 1.5
    patterns = look(life.record())
    falling = patterns["falling sensitivity", ""]
    assert falling.status == "found"
    assert patterns["rising sensitivity", ""].status == "not found"
    assert falling.size is not None
    assert falling.size < -20
    assert falling.since == MIDNIGHT + pd.Timedelta(days=DAYS - 5)


def test_what_is_eaten_against_lows_does_not_hide_rising_sensitivity():
    """Insulin and mean glucose are as before: only the treatment tells."""
    life = Life()
    life.glucose += np.random.default_rng(1).normal(0, 6, (DAYS, 1))
    for day in range(DAYS - 5, DAYS):
        for hour in (10, 16, 22):
            life.glucose[day, at(hour) : at(hour) + 5] = 60
            life.glucose[day, at(hour) + 5 : at(hour) + 10] += 60
            life.carbs_g[day, at(hour) + 2] = 40
    patterns = look(life.record())
    assert patterns["rising sensitivity", ""].status == "found"
    assert patterns["falling sensitivity", ""].status == "not found"


def test_without_basal_insulin_sensitivity_is_unknown():
    record = Life().record()
    boluses = record.insulin[record.insulin["purpose"] == "bolus"]
    patterns = look(replace(record, insulin=boluses))
    assert patterns["falling sensitivity", ""].status == "unknown"


def test_boluses_that_do_not_end_a_high_are_a_site_problem():
    life = Life()
    for day in range(DAYS):
        life.glucose[day, at(13) : at(14.5)] = 260
    for day in (9, 20):
        life.glucose[day, at(8) : at(20)] = 320
        life.bolus_u[day, [at(10), at(14)]] = 4
    site = look(life.record())["site problems", ""]
    assert site.status == "found"
    assert site.count == 2
    assert site.size == pytest.approx(12, abs=0.2)
    injecting = replace(
        life.record(), profile=Profile(time_zone="Europe/Berlin", therapy="injections")
    )
    assert look(injecting)["site problems", ""].status == "unknown"


def test_a_site_problem_of_somebody_who_is_never_that_high_is_seen_too():
    life = Life()
    for day in range(DAYS):
        life.glucose[day, at(13) : at(14)] = 190
    for day in (9, 20):
        life.glucose[day, at(8) : at(20)] = 230
        life.bolus_u[day, [at(10), at(14)]] = 4
    site = look(life.record())["site problems", ""]
    assert (site.status, site.count) == ("found", 2)


def test_what_is_eaten_against_its_low_does_not_hide_what_exercise_does():
    life = Life()
    for day in range(0, DAYS, 3):
        life.exercise.append((day, at(17), "aerobic"))
        life.glucose[day, at(17.25) : at(17.5)] = 62
        life.carbs_g[day, at(17.5)] = 20
    response = look(life.record())["exercise", "aerobic, evening"]
    assert response.status == "found"
    assert response.size == pytest.approx(-50, abs=8)


@pytest.mark.parametrize(("kind", "change"), [("aerobic", -50), ("anaerobic", 50)])
def test_exercise_is_compared_with_the_days_without(kind, change):
    life = Life()
    for day in range(0, DAYS, 3):
        life.exercise.append((day, at(17), kind))
        life.glucose[day, at(17.75) : at(19)] += change
        life.glucose[day, at(17) : at(17.75)] += change * np.arange(9) / 9
    response = look(life.record())["exercise", f"{kind}, evening"]
    assert response.status == "found"
    assert response.count == 10
    assert response.size == pytest.approx(change, abs=6)


def test_dinner_soon_after_exercise_is_not_what_exercise_does():
    """All meals raise glucose; after exercise dinner is early, and falls into the hour after."""
    life = Life()
    rng = np.random.default_rng(3)
    shape = np.sin(np.pi * np.arange(36) / 36)
    life.bolus_u[:] = life.carbs_g[:] = 0
    for day in range(DAYS):
        exercised = day % 3 == 0
        for meal in (at(7.5), at(12.5), at(18) if exercised else at(19.5)):
            size = rng.uniform(0.5, 1.5)
            life.carbs_g[day, meal] = 60 * size
            life.bolus_u[day, meal] = 6 * size
            life.glucose[day, meal : meal + 36] += 60 * size * shape
        if exercised:
            life.exercise.append((day, at(17.25), "anaerobic"))
    begin = at(17.25)
    risen = life.glucose[::3, begin + at(1.75)] - life.glucose[::3, begin]
    assert risen.mean() > PatternSettings().exercise.change_mg_dl
    assert look(life.record())["exercise", "anaerobic, evening"].status == "not found"


def test_the_end_decides_what_is_seen():
    life = Life()
    life.glucose[14:, at(4) : at(4) + 5] = 60
    record = life.record()
    before = find_patterns(record, MIDNIGHT + pd.Timedelta(days=14))
    assert all(each.status != "found" for each in before)
    with pytest.raises(HistoryError, match="no reading before"):
        find_patterns(record, MIDNIGHT)


def test_the_command_says_what_was_found_and_what_is_unknown(tmp_path: Path) -> None:
    life = Life()
    life.glucose[::3, at(4) : at(4) + 5] = 60
    save_record(life.record(), tmp_path)
    written = tmp_path / "patterns.json"
    result = CliRunner().invoke(
        cli.app,
        ["patterns", str(tmp_path), "--config", str(SETTINGS), "--json", str(written)],
        env={"COLUMNS": "200"},
    )
    assert result.exit_code == 0, result.output
    assert "10 of 28 nights" in result.output
    assert "Unknown: exercise: no exercise was logged." in result.output
    statuses = {each["kind"]: each["status"] for each in json.loads(written.read_text())}
    assert statuses["exercise"] == "unknown"
    assert statuses["site problems"] == "not found"


def test_the_committed_settings_are_the_usual_ones() -> None:
    assert read_config(SETTINGS, PatternSettings) == PatternSettings()
