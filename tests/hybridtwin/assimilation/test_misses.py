"""What forecasts of one person miss, learnt from what was read after earlier ones."""

import pytest
import torch

from hybridtwin.assimilation.misses import CIRCUMSTANCES, Said, learnt
from hybridtwin.assimilation.settings import MissesSettings
from hybridtwin.neural.features import FEATURES
from hybridtwin.neural.spread import KNOTS_MIN

H = len(KNOTS_MIN)
SETTINGS = MissesSettings(worth=1, every_min=max(KNOTS_MIN))
"""Forecasts drawn one by one: each is worth a whole one."""
COUNT = 4000


def drawn(seed: int = 0) -> Said:
    g = torch.Generator().manual_seed(seed)
    return Said(
        120 + 60 * torch.rand(COUNT, H, generator=g),
        torch.full((COUNT, H), 10.0),
        120 + 60 * torch.rand(COUNT, generator=g),
        1440 * torch.rand(COUNT, generator=g),
        torch.randn(COUNT, FEATURES, generator=g),
    )


def noise(seed: int = 1) -> torch.Tensor:
    return torch.randn(COUNT, H, generator=torch.Generator().manual_seed(seed))


def test_a_miss_that_is_always_the_same_is_found_and_put_right() -> None:
    said = drawn()
    true = torch.zeros(H, CIRCUMSTANCES)
    true[:, :6] = torch.tensor([8.0, 5.0, -6.0, 4.0, 0.0, 3.0])
    true[:, -3] = 10.0
    shift = (said.circumstances() * true).sum(-1)
    read = said.expected_mg_dl + shift + said.sd_mg_dl * noise()
    found = learnt(said, read, torch.zeros(COUNT), SETTINGS).correction(said)
    # About as many coefficients as there are, over what so many windows are worth.
    assert (found.shift_mg_dl - shift).square().mean().sqrt() < 3
    assert (found.widening - 1).abs().max() < 0.05


def test_without_anything_read_nothing_is_changed() -> None:
    said = drawn()
    nothing = torch.full((COUNT, H), torch.nan)
    nobody = Said(*(each[:0] for each in vars(said).values()))
    for read, these in ((nothing, said), (nothing[:0], nobody)):
        found = learnt(these, read, torch.zeros(len(read)), SETTINGS)
        assert torch.equal(found.coefficients_mg_dl, torch.zeros(1, H, CIRCUMSTANCES))
        torch.testing.assert_close(found.widening, torch.ones(1, H))


@pytest.mark.parametrize("factor", [0.7, 1.4])
def test_a_spread_that_is_wrong_is_put_right(factor: float) -> None:
    said = drawn()
    read = said.expected_mg_dl + factor * said.sd_mg_dl * noise()
    found = learnt(said, read, torch.zeros(COUNT), SETTINGS)
    torch.testing.assert_close(found.widening, torch.full((1, H), factor), rtol=0.1, atol=0)


def test_what_is_long_ago_counts_little_and_a_wild_reading_too() -> None:
    said = drawn()
    late = torch.arange(COUNT) % 2 == 0
    off = torch.where(late, 10.0, -10.0).unsqueeze(1)
    read = said.expected_mg_dl + off + 5 * noise()
    age = torch.where(late, 0.0, 10 * SETTINGS.memory_days)
    shift = learnt(said, read, age, SETTINGS).correction(said).shift_mg_dl
    assert (shift[:, 2:].mean(0) - 10).abs().max() < 1
    wild = read.clone()
    wild[::20] += 400
    moved = learnt(said, wild, age, SETTINGS).correction(said).shift_mg_dl
    assert (moved - shift).mean().abs() < 0.3 * 400 / 10


def test_half_is_put_right_after_the_usual_days_and_sooner_further_ahead() -> None:
    said = drawn()
    read = said.expected_mg_dl + 10 + 1.2 * said.sd_mg_dl * noise()
    every_min = 10
    whole, part = (
        learnt(said, read, torch.zeros(COUNT), MissesSettings(every_min=every_min, usual_days=days))
        for days in (1e-9, COUNT * every_min / (24 * 60))
    )
    share = 1 / (1 + (30 / torch.tensor(KNOTS_MIN)).sqrt())
    assert share[KNOTS_MIN.index(30)] == 0.5
    torch.testing.assert_close(
        part.coefficients_mg_dl, share.view(1, -1, 1) * whole.coefficients_mg_dl
    )
    torch.testing.assert_close(part.widening.log(), share * whole.widening.log())
