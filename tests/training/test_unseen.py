"""People never seen: folds, what is learnt from, and twins that must not know whom they meet."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.progress import Progress

from hybridtwin.errors import HistoryError, ModelError
from hybridtwin.events import Profile
from hybridtwin.record import Provenance, Record
from hybridtwin.registry import load_twin
from training.cold_start import ColdStartProtocol, evaluate_cold_start, last_days
from training.folds import folds
from training.metrics import MEAN
from training.personalise import PersonalSettings
from training.twins import Twins
from training.unseen import UnseenProtocol, each_fold, evaluate_unseen
from training.windows import WindowRule, split_by_time

RULE = WindowRule(learn_stride=6, score_stride=6, min_windows=10)
QUICK = {
    "name": "x",
    "split": "unseen",
    "folds": 2,
    "peers": ("ridge",),
    "bootstrap_samples": 20,
    "min_windows": 10,
}
SETTINGS = PersonalSettings(windows=8, rounds=1, horizon_min=30)
SILENT = Progress(disable=True)


@pytest.fixture(scope="module")
def twins() -> Twins:
    return Twins(load_twin(), SETTINGS, [load_twin(), load_twin()])


def _somebody(number: int, cohort: str) -> Record:
    return Record(Profile(participant=f"p{number}"), provenance=Provenance(source=cohort))


@settings(deadline=None, max_examples=40)
@given(
    cohorts=st.lists(st.sampled_from("abc"), min_size=1, max_size=20),
    count=st.integers(2, 6),
    order=st.randoms(),
)
def test_folds_are_even_in_every_cohort_whatever_the_order(cohorts, count, order):
    people = [_somebody(number, cohort) for number, cohort in enumerate(cohorts)]
    found = dict(zip((p.profile.participant for p in people), folds(people, count), strict=True))
    for group in ("a", "b", "c", "abc"):
        members = [found[p.profile.participant] for p in people if p.provenance.source in group]
        sizes = [members.count(fold) for fold in range(count)]
        assert max(sizes) - min(sizes) <= 1
    order.shuffle(people)
    assert folds(people, count) == [found[p.profile.participant] for p in people]


def test_nobody_is_scored_by_what_learnt_from_them(records, twins):
    split = split_by_time(records, RULE)
    found = each_fold(records, split, 2, twins)
    assert sorted(torch.cat([fold.at for fold in found]).tolist()) == list(range(len(split.score)))
    for fold in found:
        assert not set(fold.strangers.person.tolist()) & set(fold.others.person.tolist())
        assert set(fold.strangers.person.tolist()) == set(fold.people)
        assert set(fold.others.names) == {"somewhere/somebody"}


def test_predictions_of_folds_are_put_back_in_their_place(records, twins):
    protocol = UnseenProtocol(score_stride=6, **QUICK | {"peers": ("persistence",)})
    alone = evaluate_unseen(records, protocol, twins, SILENT).rows
    split = split_by_time(records, protocol)
    error = split.score.last_mg_dl[:, None] - split.score.targets_mg_dl
    for person, name in enumerate(split.score.participants):
        row = alone[(alone["participant"] == name) & (alone["model"] == "persistence")]
        row = row[(row["metric"] == "mae") & (row["horizon_min"] == 60)].iloc[0]
        mine = error[split.score.of(person), 1].abs().nanmean()
        assert row["value"] == pytest.approx(float(mine), rel=1e-5)


def test_a_fold_without_its_own_twin_is_refused(records, twins):
    with pytest.raises(ModelError, match=r"fold 1.*--fold-models"):
        each_fold(
            records, split_by_time(records, RULE), 2, replace(twins, of_folds=[twins.population])
        )


def test_a_twin_that_has_seen_whom_it_meets_is_refused(records, twins):
    names = tuple(record.profile.participant for record in records)
    knows = replace(
        twins.population, config=twins.population.config.model_copy(update={"learnt_from": names})
    )
    with pytest.raises(ModelError, match="has learnt from"):
        each_fold(records, split_by_time(records, RULE), 2, replace(twins, of_folds=[knows] * 2))


def test_one_person_alone_leaves_nobody_to_learn_from(records, twins):
    with pytest.raises(HistoryError, match="nobody is left"):
        each_fold(records[:1], split_by_time(records[:1], RULE), 2, twins)


def test_the_last_days_are_those_before_the_border_and_no_more(records):
    learn = split_by_time(records, RULE).learn
    own = last_days(learn, [2, 0], 1)
    assert own.participants == ["three", "one"]
    assert all(len(timeline) == 288 for timeline in own.timelines)
    for person, index in enumerate([2, 0]):
        whole = learn.timelines[index]
        assert own.timelines[person].time(288) == whole.time(len(whole))
        before = learn.anchor[learn.of(index)]
        expected = before[before >= len(whole) - 288 + 72] - (len(whole) - 288)
        assert torch.equal(own.anchor[own.of(person)], expected)
    assert len(last_days(learn, [1], 0)) == 0


@pytest.mark.filterwarnings("default")
def test_a_cold_start_scores_the_same_windows_after_any_number_of_days(records, twins):
    protocol = ColdStartProtocol(days=(0, 2), learn_stride=6, score_stride=6, **QUICK)
    rows = evaluate_cold_start(records, protocol, twins, SILENT).rows
    means = rows[(rows["participant"] == MEAN) & (rows["metric"] == "rmse")]
    assert set(means["split"]) == {"unseen after 0 days", "unseen after 2 days"}
    assert set(means["model"]) == {"ridge", "twin-current", "twin-personal"}
    assert (means.groupby(["cohort", "horizon_min"])["windows"].nunique() == 1).all()
    # Ridge heeds a person's own days.
    values = means.set_index(["split", "model", "cohort", "horizon_min"])["value"]
    none, two = (values[f"unseen after {days} days"] for days in (0, 2))
    assert (none["ridge"] != two["ridge"]).all()
