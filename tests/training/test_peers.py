import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from hybridtwin.events import Profile
from hybridtwin.record import Record
from hybridtwin.registry import load_twin
from hybridtwin.timeline import CHANNEL
from training import twins
from training.features import linear_features, tree_features
from training.peers import PEERS, persistence, ridge
from training.personalise import PersonalSettings
from training.windows import Forecaster, Split, WindowRule, split_by_time


@pytest.fixture(scope="module")
def split(records) -> Split:
    return split_by_time(records, WindowRule(learn_stride=2))


SETTINGS = PersonalSettings(windows=8, rounds=1, horizon_min=30)
TWINS = {name: make(load_twin(), SETTINGS) for name, make in twins.TWINS.items()}
MODELS = PEERS | TWINS


@pytest.fixture(scope="module", params=MODELS)
def peer(request, split) -> Forecaster:
    return MODELS[request.param](split.learn)


def test_contract_shapes_and_finite(peer, split):
    found = peer(split.score)
    shape = (len(split.score), 3)
    assert found.mean.shape == shape
    assert found.levels is not None
    assert found.quantiles.shape == (*shape, len(found.levels))
    assert found.mean.isfinite().all()
    assert found.quantiles.isfinite().all()
    assert (found.quantiles.diff(dim=-1) >= 0).all()


def test_contract_deterministic_and_windows_independent(peer, split):
    every = peer(split.score).mean
    assert torch.equal(every, peer(split.score).mean)
    some = torch.arange(len(split.score) - 1, 0, -7)
    torch.testing.assert_close(peer(split.score.take(some)).mean, every[some])


def test_contract_knows_nothing_after_the_anchor(peer, split, forget_future):
    every = peer(split.score).mean
    for at in range(0, len(split.score), len(split.score) // 12):
        torch.testing.assert_close(peer(forget_future(split.score, at)).mean[0], every[at])


def test_contract_people_not_learnt_from(peer, make_record):
    stranger = split_by_time([make_record("stranger", "elsewhere", seed=9)], WindowRule()).score
    assert peer(stranger).mean.isfinite().all()


@pytest.mark.parametrize("name", PEERS)
def test_fitting_again_gives_the_same(name, split):
    few = dataclasses.replace(
        split.learn, person=split.learn.person[::4], anchor=split.learn.anchor[::4]
    )
    first, second = (PEERS[name](few)(split.score).mean for _ in range(2))
    assert torch.equal(first, second)


def test_persistence_is_the_last_reading(split):
    found = persistence(split.learn)(split.score).mean
    assert torch.equal(found, split.score.last_mg_dl[:, None].expand(-1, 3))


@pytest.mark.parametrize(("name", "share"), [("ridge", 0.1), ("trees", 0.7), ("lstm", 0.7)])
def test_a_wave_is_recovered(name, share):
    """A wave is a linear process: two past values determine the next one."""
    wave = 140 + 50 * np.sin(2 * np.pi * np.arange(6 * 288) / 37)
    split = split_by_time([_record_of(wave)], WindowRule(horizons_min=(30,)))

    def error(model: str) -> float:
        expected = PEERS[model](split.learn)(split.score).mean
        return float((expected - split.score.targets_mg_dl).square().nanmean().sqrt())

    assert error(name) < share * error("persistence")


def test_spread_covers_what_it_says():
    noise = np.random.default_rng(0).normal(140, 20, size=20 * 288)
    split = split_by_time([_record_of(noise)], WindowRule())
    found = ridge(split.learn)(split.score)
    target = split.score.targets_mg_dl[..., None]
    below = (target <= found.quantiles)[~target.isnan()[..., 0]].float().mean(dim=0)
    torch.testing.assert_close(below, found.levels, atol=0.05, rtol=0)


def _record_of(mg_dl: np.ndarray) -> Record:
    time = pd.date_range("2024-03-04", periods=len(mg_dl), freq="5min", tz="UTC")
    return Record(Profile(), glucose=pd.DataFrame({"time": time, "mg_dl": mg_dl}))


def test_a_dose_at_the_anchor_is_not_yet_a_feature_and_one_before_is(make_record):
    score = split_by_time([make_record()], WindowRule()).score.take(torch.tensor([40]))
    anchor = int(score.anchor[0])

    def with_carbs(at: int) -> list[np.ndarray]:
        timeline = score.timelines[0]
        values = timeline.values.clone()
        values[at, CHANNEL["carbs_g"]] += 50
        changed = dataclasses.replace(
            score, timelines=[dataclasses.replace(timeline, values=values)]
        )
        return [linear_features(changed), tree_features(changed)]

    plain = [linear_features(score), tree_features(score)]
    for before, same in zip(plain, with_carbs(anchor), strict=True):
        np.testing.assert_array_equal(before, same)
    for before, other in zip(plain, with_carbs(anchor - 1), strict=True):
        assert not np.array_equal(before, other, equal_nan=True)
