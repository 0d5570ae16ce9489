"""Nights: which evenings count, what happened, and who foresaw it."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from rich.progress import Progress

from hybridtwin.climatology import joined
from hybridtwin.errors import HistoryError
from hybridtwin.events import Profile
from hybridtwin.record import Record
from hybridtwin.registry import load_twin
from hybridtwin.review.review import review_night
from hybridtwin.timeline import to_timeline
from hybridtwin.twin import Twin
from training.metrics import ROW
from training.night import NightProtocol, evaluate_night, night_contest
from training.night_models import (
    NIGHT_PEERS,
    NightForecaster,
    base_rate,
    path_shares,
    personal,
    population,
)
from training.nights import LOWS, NightRule, nearest, split_nights
from training.nights import anchors as evening_anchors
from training.personalise import PersonalSettings
from training.twins import Twins
from training.windows import Windows

RULE = NightRule(learn_stride=6)
PROTOCOL = NightProtocol(name="x", split="y", learn_stride=6, bootstrap_samples=20)
SETTINGS = PersonalSettings(windows=8, rounds=1, horizon_min=30)
ZONE = "Europe/Madrid"


def _record(mg_dl: np.ndarray, every_min: int = 5, zone: str = "UTC") -> Record:
    time = pd.date_range("2024-03-04", periods=len(mg_dl), freq="5min", tz="UTC")
    table = pd.DataFrame({"time": time, "mg_dl": mg_dl})[:: every_min // 5]
    return Record(Profile(participant="one", time_zone=zone), glucose=table)


def _lows(first: int, last: int, every_min: int = 5, level: float = 60.0) -> dict[str, bool]:
    """What happened where readings are low from one grid point after midnight to another."""
    mg_dl = np.full(6 * 288, 120.0)
    mg_dl[5 * 288 + first : 5 * 288 + last] = level
    split = split_nights([_record(mg_dl, every_min)], RULE)
    assert len(split.score) == 1
    return {name: bool(each[0]) for name, each in split.score.happened.items()}


@pytest.fixture(scope="module")
def split(make_record):
    everyone = [make_record(str(seed), "toy", days=11, seed=seed) for seed in range(3)]
    return split_nights(everyone, RULE)


def test_evenings_lie_in_the_three_hours_before_local_midnight():
    timeline = to_timeline(_record(np.full(4 * 288, 120.0), zone=ZONE))
    local = timeline.minute_of_day[evening_anchors(timeline, RULE)]
    assert local.min() == 21 * 60
    assert local.max() == 23 * 60 + 55
    # Those of the last evening lack the end of their night.
    assert len(local) == 3 * 36


def test_scored_is_one_reading_a_night_the_nearest_to_the_stated_time():
    timeline = to_timeline(_record(np.full(5 * 288, 120.0), zone=ZONE))
    evenings = evening_anchors(timeline, RULE)
    assert timeline.minute_of_day[nearest(timeline, evenings, 1350)].tolist() == [1350] * 4
    early = evenings[timeline.minute_of_day[evenings] < 1300]
    assert timeline.minute_of_day[nearest(timeline, early, 1350)].tolist() == [1295] * 4


def test_nights_learnt_from_end_before_the_border(split):
    for person, timeline in enumerate(split.learn.windows.timelines):
        mine = split.learn.windows.of(person)
        end = split.learn.windows.anchor[mine] + (split.learn.to_midnight_min[mine] + 360) // 5
        known = torch.from_numpy(joined(timeline)).isnan().logical_not().sum()
        assert end.max() <= known + 0.2 * 36


@pytest.mark.parametrize(
    ("first", "last", "every_min", "happens"),
    [
        (10, 13, 5, {"below_70", "below_70_before_3"}),
        (10, 12, 5, set()),
        (-3, 0, 5, set()),
        (34, 38, 5, {"below_70"}),
        (50, 60, 5, {"below_70", "below_70_after_3"}),
        (70, 80, 5, set()),
        # Two readings of a slow sensor, 15 minutes apart.
        (9, 15, 15, {"below_70", "below_70_before_3"}),
    ],
)
def test_a_low_lasts_fifteen_minutes_and_lies_within_its_part(first, last, every_min, happens):
    assert {name for name, is_so in _lows(first, last, every_min).items() if is_so} == happens


def test_a_deep_low_is_a_low_too():
    found = _lows(50, 56, level=50.0)
    names = {"below_70", "below_70_after_3", "below_54", "below_54_after_3"}
    assert {name for name, is_so in found.items() if is_so} == names


def test_nights_with_too_few_readings_in_a_half_do_not_count():
    record = _record(np.full(6 * 288, 120.0))
    gap = slice(5 * 288 + 40, 5 * 288 + 50)
    sparse = replace(record, glucose=record.glucose.drop(index=record.glucose.index[gap]))
    found = split_nights([sparse], RULE)
    assert not len(found.score)
    assert "none to score" in found.skipped[0].reason


def test_readings_far_apart_are_not_joined():
    record = _record(np.linspace(100, 200, 288))
    some = record.glucose.drop(index=[11, 12, *range(21, 24)])
    trace = joined(to_timeline(replace(record, glucose=some)))
    assert np.isnan(trace[21:24]).all()
    np.testing.assert_allclose(trace[:21], np.linspace(100, 200, 288)[:21], rtol=1e-5)


MODELS = NIGHT_PEERS | {
    "twin": population(load_twin()),
    "twin-personal": personal(load_twin(), SETTINGS),
}


@pytest.fixture(scope="module", params=MODELS)
def model(request, split):
    return MODELS[request.param](split.learn)


def test_contract_probabilities_of_every_low(model, split):
    found = model(split.score)
    assert set(found) == {low.name for low in LOWS}
    for each in found.values():
        assert each.shape == (len(split.score),)
        assert ((each >= 0) & (each <= 1)).all()
    assert (found["below_54"] <= found["below_70"] + 0.5).all()


def test_contract_windows_independent(model, split):
    every, last = model(split.score), model(split.score.take(torch.tensor([len(split.score) - 1])))
    for name, each in last.items():
        torch.testing.assert_close(each[0], every[name][-1])


def test_contract_knows_nothing_after_the_anchor(model, split, forget_future):
    every = model(split.score)
    for at in range(0, len(split.score), 3):
        one = split.score.take(torch.tensor([at]))
        forgot = replace(one, windows=forget_future(split.score.windows, at))
        for name, each in model(forgot).items():
            torch.testing.assert_close(each[0], every[name][at])


def test_contract_people_not_learnt_from(model, make_record):
    stranger = split_nights([make_record("stranger", "elsewhere", days=6, seed=9)], RULE).score
    assert all(each.isfinite().all() for each in model(stranger).values())


def test_the_twin_says_of_a_night_what_a_review_of_it_says(make_record):
    record = make_record(days=6, seed=4)
    nights = split_nights([record], replace_rule(21 * 60)).score
    windows: Windows = nights.windows
    twin = load_twin()
    at = windows.timelines[0].time(int(windows.anchor[0]))
    reviewed = review_night(twin, record, at).risk.events
    assert reviewed is not None
    midnight = at.normalize() + pd.Timedelta(days=1)
    forecast = twin.forecast(twin.believe(record, at), horizon_min=9 * 60)
    night = forecast.window(midnight, midnight + pd.Timedelta(hours=5, minutes=55))
    for name in ("below_70", "below_54"):
        paths, said = (make(nights)[name] for make in (paths_of(twin), population(twin)(nights)))
        assert float(paths[0]) == pytest.approx(getattr(night.events(), name), abs=0.011)
        assert float(said[0]) == pytest.approx(getattr(reviewed, name), abs=0.011)


def paths_of(twin: Twin) -> NightForecaster:
    return lambda nights: path_shares([twin] * len(nights.windows.participants), nights)


def replace_rule(score_at_min: int) -> NightRule:
    return RULE.model_copy(update={"score_at_min": score_at_min})


def test_the_base_rate_is_drawn_from_everyones_to_ones_own(split):
    said = base_rate(split.learn)(split.learn)["below_70"]
    happened = split.learn.happened["below_70"].double()
    person = split.learn.windows.person
    for one in person.unique():
        own, every = happened[person == one].mean(), happened.mean()
        assert min(own, every) <= said[person == one][0] <= max(own, every)


def test_rows_are_tidy_and_alarms_come_with_them(split):
    perfect = {low.name: split.score.happened[low.name].double() for low in LOWS}
    fits = {"oracle": lambda _: lambda _: perfect, "base-rate": base_rate}
    found = night_contest(split, fits, PROTOCOL, Progress(disable=True))
    assert tuple(found.rows.columns) == ROW
    oracle = found.rows[found.rows["model"] == "oracle"].set_index(["cohort", "metric"])["value"]
    assert oracle["all", "brier_below_70"] == 0
    assert oracle["all", "ece_below_70"] == 0
    told = oracle[oracle.index.get_level_values(1).str.startswith(("auroc", "sensitivity"))]
    assert (told == 1).all()
    assert set(found.rows["horizon_min"]) == {360, 180}
    assert list(found.figures) == ["reliability.png"]


def test_no_night_to_score_is_an_error(make_record):
    twins = Twins(load_twin(), SETTINGS)
    with pytest.raises(HistoryError, match="none to score"):
        evaluate_night([make_record(days=3)], PROTOCOL, twins, Progress(disable=True))
