import dataclasses

import pandas as pd
import pytest
import torch
from pydantic import ValidationError

from hybridtwin.record import Record
from hybridtwin.timeline import CHANNEL, to_timeline
from training.windows import (
    DRIVERS,
    WindowRule,
    anchors,
    border_index,
    history_known,
    split_by_time,
    together,
    withhold,
)

RULE = WindowRule()


def test_learning_ends_with_its_last_target_before_the_border(records):
    split = split_by_time(records, RULE)
    for person, timeline in enumerate(split.score.timelines):
        border = border_index(timeline, 0.8)
        learn = split.learn.anchor[split.learn.of(person)]
        score = split.score.anchor[split.score.of(person)]
        assert len(split.learn.timelines[person]) == border
        assert learn.max() + 30 // 5 < border
        assert learn.max() + 15 // 5 + 30 // 5 >= border
        assert score.min() >= border
        assert score.min() < border + 3
        long = split.learn.take(split.learn.of(person)).targets_mg_dl[:, -1]
        assert long[learn + 24 >= border].isnan().all()


def test_border_is_at_the_fraction_of_time_between_readings(make_record):
    timeline = to_timeline(make_record(days=5))
    assert border_index(timeline, 0.8) == int(0.8 * (5 * 288 - 1))


def test_history_of_the_first_scored_window_reaches_back_over_the_border(make_record):
    split = split_by_time([make_record()], RULE)
    border = border_index(split.score.timelines[0], 0.8)
    assert int(split.score.anchor[0]) == border


def test_no_learning_timeline_holds_anything_of_the_last_part(make_record):
    record = make_record()
    border = to_timeline(record).time(border_index(to_timeline(record), 0.8))
    known_then = dataclasses.replace(
        record, glucose=record.glucose[record.glucose["time"] < border]
    )
    learn = split_by_time([record], RULE).learn.timelines[0]
    then = to_timeline(known_then)
    for name in ("known", "original"):
        assert torch.equal(getattr(learn, name), getattr(then, name)[: len(learn)])
    assert len(learn) == len(then)


def test_targets_are_the_readings_at_the_horizons(make_record):
    record = make_record()
    score = split_by_time([record], RULE).score
    window = 17
    time = score.timelines[0].time(int(score.anchor[window]))
    readings = record.glucose.set_index("time")["mg_dl"]
    for column, horizon in enumerate((30, 60, 120)):
        truth = readings[time + pd.Timedelta(minutes=horizon)]
        assert float(score.targets_mg_dl[window, column]) == pytest.approx(truth, rel=1e-5)
    assert float(score.last_mg_dl[window]) == pytest.approx(readings[time], rel=1e-5)


def _without(record: Record, first: int, last: int) -> Record:
    return dataclasses.replace(record, glucose=record.glucose.drop(index=range(first, last)))


def test_interpolated_readings_are_neither_anchor_nor_target(make_record):
    record = make_record(days=3)
    flags = [index % 3 != 0 for index in range(len(record.glucose))]
    record = dataclasses.replace(record, glucose=record.glucose.assign(interpolated=flags))
    timeline = to_timeline(record)
    found = anchors(timeline, RULE)
    assert len(found) > 0
    assert (found % 3 == 0).all()
    assert not timeline.known[:, 0].logical_not().any()
    assert len(anchors(timeline, RULE.model_copy(update={"horizons_min": (35,)}))) == 0


def test_a_gap_removes_anchors_whose_history_it_thins(make_record):
    rule = WindowRule(horizons_min=(30,), min_history_known=0.7)
    timeline = to_timeline(_without(make_record(days=3), 300, 336))
    found = set(anchors(timeline, rule).tolist())
    # The three-hour gap counts from 15 minutes on: 34 of 72 points uncovered is more than 30 %.
    assert 340 not in found
    share = history_known(timeline, 360)
    assert float(share[340]) == pytest.approx(1 - 34 / 72)
    assert found == {
        index
        for index in range(len(timeline))
        if share[index] >= 0.7
        and timeline.original[index]
        and index + 6 < len(timeline)
        and timeline.original[index + 6]
    }


def test_slow_sensors_count_as_covered(make_record):
    timeline = to_timeline(make_record(days=2, every_min=15))
    assert float(history_known(timeline, 360)[288]) == 1
    assert len(anchors(timeline, RULE)) == (2 * 288 - 72) // 3 - 2


def test_anchors_need_the_whole_history(make_record):
    assert int(anchors(to_timeline(make_record(days=2)), RULE)[0]) == 72


def test_strides_thin_learning_and_scoring_alone(make_record):
    record = make_record()
    every = split_by_time([record], RULE)
    thin = split_by_time([record], WindowRule(learn_stride=4, score_stride=3))
    assert torch.equal(thin.learn.anchor, every.learn.anchor[::4])
    assert torch.equal(thin.score.anchor, every.score.anchor[::3])


def test_too_short_and_empty_records_are_skipped_with_a_reason(make_record):
    empty = dataclasses.replace(make_record("empty"), glucose=make_record().glucose[:0])
    split = split_by_time([make_record("short", days=0.4), empty, make_record("fine")], RULE)
    assert split.score.participants == ["fine"]
    assert [each.participant for each in split.skipped] == ["short", "empty"]
    assert "needs 24" in split.skipped[0].reason
    assert "no readings" in split.skipped[1].reason


def test_nobody_left_gives_no_windows():
    split = split_by_time([], RULE)
    assert len(split.learn) == len(split.score) == 0


@pytest.mark.parametrize("wrong", [{"learn_fraction": 1.0}, {"horizons_min": ()}, {"strid": 3}])
def test_impossible_rules_are_refused(wrong):
    with pytest.raises(ValidationError):
        WindowRule(**wrong)


def test_a_window_counts_at_the_horizons_at_which_it_has_a_reading(make_record):
    rule = WindowRule(horizons_min=(30, 480))
    record = make_record(days=4)
    score = split_by_time([record], rule).score
    short = split_by_time([record], WindowRule(horizons_min=(30,))).score
    late = score.anchor + 96 >= len(score.timelines[0])
    assert torch.equal(score.anchor, short.anchor)
    assert torch.equal(score.targets_mg_dl[:, 1].isnan(), late)
    assert 0 < late.sum() < len(late)


def test_the_border_and_everything_before_it_stay_where_horizons_are_added(records):
    short, long = (
        split_by_time(records, WindowRule(horizons_min=each)) for each in ((30,), (30, 240))
    )
    for person in range(len(records)):
        before = set(short.score.anchor[short.score.of(person)].tolist())
        assert before <= set(long.score.anchor[long.score.of(person)].tolist())


@pytest.mark.parametrize("drivers", [(), ("carbs",), ("insulin", "heart-rate")])
def test_withheld_drivers_are_unknown_and_all_else_is_as_before(make_record, drivers):
    score = split_by_time([make_record()], RULE).score
    hidden = withhold(score, drivers)
    gone = {name for driver in drivers for name in DRIVERS[driver]}
    before, after = score.timelines[0], hidden.timelines[0]
    for name, column in CHANNEL.items():
        if name in gone:
            assert not after.known[:, column].any()
            assert not after.values[:, column].any()
        else:
            assert torch.equal(after.known[:, column], before.known[:, column])
            assert torch.equal(after.values[:, column], before.values[:, column])
    torch.testing.assert_close(
        hidden.targets_mg_dl, score.targets_mg_dl, rtol=0, atol=0, equal_nan=True
    )


def test_windows_of_two_groups_together_are_those_of_each(records):
    every = split_by_time(records, RULE).learn
    first, second = (split_by_time(some, RULE).learn for some in (records[:1], records[1:]))
    both = together(first, second)
    assert both.participants == every.participants
    assert torch.equal(both.person, every.person)
    assert torch.equal(both.last_mg_dl, every.last_mg_dl)
    assert list(both.names) == list(every.names)


def test_the_latest_windows_are_each_persons_own_latest(records):
    learn = split_by_time(records, RULE).learn
    late = torch.from_numpy(learn.latest(0.25))
    for person in range(len(records)):
        mine = learn.person == person
        assert learn.anchor[mine & ~late].max() < learn.anchor[mine & late].min()
        assert (mine & late).sum() / mine.sum() == pytest.approx(0.25, abs=0.01)
