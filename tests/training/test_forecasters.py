"""The twin taken apart."""

import copy
from dataclasses import replace

import pytest
import torch

from hybridtwin.registry import load_twin
from hybridtwin.timeline import CHANNEL
from training.forecasters import body_only, network_only, population
from training.windows import WindowRule, Windows, split_by_time


@pytest.fixture(scope="module")
def windows(make_record) -> Windows:
    return split_by_time([make_record()], WindowRule(score_stride=8, min_windows=10)).score


def test_the_body_alone_has_no_flux(windows):
    """Another residual changes the twin, and not its body."""
    twin = load_twin()
    other = copy.deepcopy(twin)
    with torch.no_grad():
        for weights in other.model.residual.parameters():
            weights.mul_(0.5)
    changed, same = (
        (make(twin)(windows)(windows).mean - make(other)(windows)(windows).mean).abs().max()
        for make in (population, body_only)
    )
    assert changed > 1
    assert same == 0


def test_the_network_alone_learns_of_a_meal_by_its_encoder_only(windows):
    """A meal that the encoder does not heed changes the twin, and not the network."""
    twin = load_twin()
    deaf = copy.deepcopy(twin)
    with torch.no_grad():
        deaf.model.encoder.outlet[-1].weight.zero_()
    timeline = windows.timelines[0]
    one = windows.take(torch.tensor([3]))
    values = timeline.values.clone()
    values[int(one.anchor[0]) - 6, CHANNEL["carbs_g"]] += 60
    fed = replace(one, timelines=[replace(timeline, values=values)])

    def effect(make) -> float:
        before, after = (make(deaf)(each)(each).mean for each in (one, fed))
        return float((after - before).abs().max())

    assert effect(population) > 10
    assert effect(network_only) == 0
