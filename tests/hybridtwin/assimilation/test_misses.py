"""What forecasts of one person miss, learnt from what was read after earlier ones."""

from dataclasses import replace

import pandas as pd
import pytest
import torch

from hybridtwin.assimilation.misses import Misses, Said, hourly, learnt, misses, read_after
from hybridtwin.assimilation.settings import MissesSettings
from hybridtwin.assimilation.start import believe
from hybridtwin.native import native_walk
from hybridtwin.neural.spread import KNOTS_MIN
from hybridtwin.record import Record
from hybridtwin.registry import load_twin
from hybridtwin.timeline import CHANNEL, to_timeline
from hybridtwin.twin import Twin
from tests.hybridtwin.people import history

H = len(KNOTS_MIN)
SETTINGS = MissesSettings()
COUNT = 4000


def drawn(seed: int = 0) -> Said:
    g = torch.Generator().manual_seed(seed)
    return Said(
        120 + 60 * torch.rand(COUNT, H, generator=g),
        torch.full((COUNT, H), 20.0),
        120 + 60 * torch.rand(COUNT, generator=g),
        1440 * torch.rand(COUNT, generator=g),
    )


def noise(seed: int = 1) -> torch.Tensor:
    return torch.randn(COUNT, H, generator=torch.Generator().manual_seed(seed))


def test_a_miss_that_is_always_the_same_is_found_and_put_right() -> None:
    said = drawn()
    true = torch.tensor([8.0, 5.0, -6.0, 4.0, 0.0, 3.0, 0.0]).expand(H, -1)
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
        assert torch.equal(found.coefficients_mg_dl, torch.zeros(H, 7))
        torch.testing.assert_close(found.widening, torch.ones(H))


@pytest.mark.parametrize("factor", [0.7, 1.4])
def test_a_spread_that_is_wrong_is_put_right(factor: float) -> None:
    said = drawn()
    read = said.expected_mg_dl + factor * said.sd_mg_dl * noise()
    found = learnt(said, read, torch.zeros(COUNT), SETTINGS)
    torch.testing.assert_close(found.widening, torch.full((H,), factor), rtol=0.1, atol=0)


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


@pytest.fixture(scope="module")
def twin() -> Twin:
    return replace(load_twin(), walk=native_walk())


@pytest.fixture(scope="module")
def record() -> Record:
    return history(40)


def test_forecasts_are_made_again_once_an_hour_from_readings_with_hours_before(
    record: Record,
) -> None:
    timeline = to_timeline(record)
    anchors = hourly(timeline, SETTINGS)
    assert (anchors.diff() == 12).all()
    assert timeline.original[anchors].all()
    read = read_after(timeline, anchors)
    ahead = anchors[0] + KNOTS_MIN[1] // 5
    assert read[0, 1] == timeline.values[ahead, CHANNEL["glucose_mg_dl"]]
    assert read[-1, -1].isnan()


def test_a_forecast_is_moved_by_what_is_missed_and_by_nothing_else(
    twin: Twin, record: Record
) -> None:
    learnt_from = misses(twin, record, SETTINGS)
    assert learnt_from.coefficients_mg_dl.isfinite().all()
    plain = twin.forecast(twin.believe(record, members=5), horizon_min=120)
    same = twin.forecast(believe(twin, Misses.none(), record, members=5), horizon_min=120)
    assert torch.equal(plain.paths_mg_dl, same.paths_mg_dl)
    up = torch.zeros(H, 7)
    up[:, 0] = 10
    higher = believe(twin, Misses(up, torch.ones(H)), record, members=5)
    moved = twin.forecast(higher, horizon_min=120).expected_mg_dl - plain.expected_mg_dl
    assert moved[23] == pytest.approx(10, abs=1e-3)
    assert moved[5] == pytest.approx(5, abs=1e-3)  # half as far in a quarter of the time


def test_what_comes_later_is_not_looked_at(twin: Twin, record: Record) -> None:
    now = record.glucose["time"].iloc[0] + pd.Timedelta(hours=30)
    known = record.before(now)
    tampered = record.glucose.copy()
    tampered.loc[tampered["time"] > now, "mg_dl"] = 300.0
    again = replace(record, glucose=tampered).before(now)
    for each in (known, again):
        found = misses(twin, each, SETTINGS)
        torch.testing.assert_close(
            found.coefficients_mg_dl, misses(twin, known, SETTINGS).coefficients_mg_dl
        )
