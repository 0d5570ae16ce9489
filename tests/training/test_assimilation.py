"""Protocols of assimilation: what is counted, and that nothing later is looked at."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hybridtwin.assimilation.settings import AssimilationSettings, MissesSettings
from hybridtwin.config import read_config
from hybridtwin.native import native_walk
from hybridtwin.neural.spread import KNOTS_MIN, LEVELS
from hybridtwin.registry import load_twin
from hybridtwin.timeline import CHANNEL
from training.assimilation_real import RealProtocol, ranks
from training.assimilation_virtual import Followed, VirtualProtocol, living, metrics
from training.evaluate import Protocol
from training.forecasters import population
from training.kept_current import current
from training.windows import Prediction, WindowRule, split_by_time

DAYS, PEOPLE, MEMBERS, HOURS_BEFORE = 21, 4, 400, 12
AS_SAID = AssimilationSettings(path_widening=1.0)
PROTOCOL = VirtualProtocol(people=PEOPLE, days=DAYS, assimilation=AS_SAID)


def followed(sd: float, claimed: float, fall: float, late_h: int = 0) -> Followed:
    """A filter that errs by `sd` and says `claimed`, of people who all fall by a factor."""
    g = torch.Generator().manual_seed(0)
    true = torch.zeros(DAYS, PEOPLE)
    true[PROTOCOL.fall_day :] = np.log(fall)
    hours = torch.arange(HOURS_BEFORE + 1, 24 * DAYS)
    border = 24 * PROTOCOL.fall_day
    true_now = np.log(fall) * ((hours - border) / 24).clamp(0, 1).unsqueeze(1).expand(-1, PEOPLE)
    centre = torch.where(hours > border + late_h, np.log(fall), 0.0).unsqueeze(1)

    def members(middle: torch.Tensor, error: float) -> torch.Tensor:
        off = error * torch.randn(*middle.shape, 1, generator=g)
        draw = torch.randn(*middle.shape, MEMBERS, generator=g)
        return middle.unsqueeze(-1) + off + claimed * draw

    now = members(centre.expand(-1, PEOPLE), 0.0)
    return Followed(members(true, sd), now, true, true_now)


def test_bands_that_are_right_hold_nine_days_in_ten_and_narrow_ones_fewer() -> None:
    right, narrow = (metrics(followed(0.1, said, 1.0), PROTOCOL) for said in (0.1, 0.05))
    # The reference adds a fifth to the error's variance; four people's fortnights.
    assert right["sensitivity_coverage_90"].mean() == pytest.approx(0.87, abs=0.12)
    assert narrow["sensitivity_coverage_90"].mean() < 0.75
    wide = PROTOCOL.model_copy(update={"assimilation": AssimilationSettings(path_widening=2.0)})
    mended = metrics(followed(0.1, 0.05, 1.0), wide)
    assert mended["sensitivity_coverage_90"].mean() == pytest.approx(
        right["sensitivity_coverage_90"].mean(), abs=0.05
    )
    assert right["sensitivity_error"].mean() == pytest.approx(0.6745 * 0.11, rel=0.4)


@pytest.mark.parametrize("late_h", [3, 30])
def test_the_fall_is_seen_when_the_filter_says_so(late_h: int) -> None:
    found = metrics(followed(0.0, 0.05, 0.7, late_h), PROTOCOL)
    assert (found["fall_seen_h"] == late_h + 1).all()
    assert (found["fall_seen_24h"] == (late_h < 24)).all()
    assert (found["false_falls_per_week"] == 0).all()


def test_a_fall_that_is_none_is_counted() -> None:
    same = followed(0.0, 0.05, 1.0)
    wrong = same.now.clone()
    row = 24 * 10 - HOURS_BEFORE
    wrong[row : row + 5] += np.log(0.6)
    found = metrics(replace(same, now=wrong), PROTOCOL)
    assert (found["false_falls_per_week"] == 1).all()
    assert np.isnan(found["fall_seen_h"]).all()


def test_sensitivity_falls_when_and_by_how_much_the_protocol_says() -> None:
    short = PROTOCOL.model_copy(update={"people": 1, "days": 16})
    fallen = living(short)[0].truth.sensitivity
    same = living(short.model_copy(update={"fall": 1e-9}))[0].truth.sensitivity
    border = 14 * 288
    np.testing.assert_allclose(fallen[:border], same[:border])
    np.testing.assert_allclose(fallen[border:], 0.7 * same[border:])


def test_what_is_read_later_changes_nothing_before(make_record) -> None:
    twin = replace(load_twin(), walk=native_walk())
    rule = WindowRule(learn_fraction=0.5, horizons_min=KNOTS_MIN, score_stride=12)
    windows = split_by_time([make_record(days=4)], rule).score
    says = current(twin, MissesSettings(every_min=180))(windows)
    plain = population(twin)(windows)(windows)
    before = says(windows)
    assert not torch.equal(before.mean, plain.mean)
    border = 3 * 288
    timeline = windows.timelines[0]
    values = timeline.values.clone()
    values[border + 1 :, CHANNEL["glucose_mg_dl"]] = 250.0
    later = replace(windows, timelines=[replace(timeline, values=values)])
    after = says(later)
    early = windows.anchor < border
    torch.testing.assert_close(before.mean[early], after.mean[early])
    assert not torch.allclose(before.mean[~early], after.mean[~early])


def test_ranks_of_quantiles_that_are_right_are_flat(make_record) -> None:
    rule = WindowRule(learn_fraction=0.5, horizons_min=KNOTS_MIN)
    windows = split_by_time([make_record(days=4)], rule).score
    target = windows.targets_mg_dl.nan_to_num(140.0)
    g = torch.Generator().manual_seed(0)
    # Quantiles of a normal distribution about a middle that itself lies off the target by one.
    middle = target + 10 * torch.randn(target.shape, generator=g)
    quantiles = middle.unsqueeze(-1) + 10 * torch.special.ndtri(torch.tensor(LEVELS))
    said = Prediction(middle, quantiles, torch.tensor(LEVELS))
    for level, below in zip(LEVELS, ranks(said, windows).values(), strict=True):
        assert float(below.nanmean()) == pytest.approx(level, abs=0.05)


def test_the_protocols_are_those_of_the_settings() -> None:
    folder = Path("configs/protocols")
    virtual = read_config(folder / "assimilation-virtual.yaml", Protocol).root
    assert virtual == VirtualProtocol()
    real = read_config(folder / "assimilation-real.yaml", Protocol).root
    assert isinstance(real, RealProtocol)
    assert real.misses == MissesSettings() == AssimilationSettings().misses
