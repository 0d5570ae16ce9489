"""Machine code takes the same steps as torch."""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import pytest
import torch

from hybridtwin import native
from hybridtwin.dynamics import Walk, person_of, state_of, step, walk, what_acts
from hybridtwin.hybrid import Present
from hybridtwin.inputs import Future
from hybridtwin.native import native_step, native_walk
from hybridtwin.neural.features import FEATURES
from hybridtwin.physiology.body import INPUTS
from hybridtwin.physiology.parameters import NAMES
from hybridtwin.physiology.steady import steady_state
from hybridtwin.registry import load_twin
from hybridtwin.twin import Twin


@pytest.fixture
def forgotten() -> Iterator[None]:
    native._compiled.cache_clear()
    yield
    native._compiled.cache_clear()


@pytest.fixture(scope="module")
def twin() -> Twin:
    return load_twin()


def question(twin: Twin, count: int) -> tuple[Present, Future]:
    """Four hours of different people, with doses, meals, exercise and a rescue."""
    g = torch.Generator().manual_seed(3)
    shape, people = twin.config.shape, twin.model.population(count)
    people = replace(
        people,
        scores=torch.randn(count, len(NAMES), generator=g),
        beta_cells=(torch.rand(count, generator=g) < 0.3).float(),
    )
    present = Present(
        steady_state(people.values(), 0.3 + torch.rand(count, generator=g)),
        2 * torch.rand(count, shape.latent, generator=g) - 1,
        torch.zeros(count, shape.context),
        people,
        torch.zeros(count, FEATURES),
    )
    hit = torch.rand(48, len(INPUTS), count, generator=g) < 0.05
    amounts = hit * torch.rand(48, len(INPUTS), count, generator=g)
    clock = (1440 * torch.rand(count, generator=g) + 5 * torch.arange(48.0).unsqueeze(-1)) % 1440
    severities = torch.rand(48, 4, count, generator=g)
    return present, Future(amounts, severities, clock, torch.ones(count))


# One person, less than a vector, whole vectors, and some more than that.
@pytest.mark.parametrize("count", [1, 7, 32, 45])
def test_the_same_forecast_to_a_ten_thousandth(twin: Twin, count: int) -> None:
    asked = question(twin, count)
    compiled = native_walk()
    assert compiled is not walk
    with torch.inference_mode():
        expected = twin.model.roll(*asked)
        found = twin.model.roll(*asked, compiled)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)


def test_a_step_leaves_the_same_state(twin: Twin) -> None:
    present, future = question(twin, 21)
    compiled = native_step()
    assert compiled is not step
    with torch.inference_mode():
        p = present.people.values()
        fixed = twin.model.residual.fixed(future.is_open, present.people.embedding)
        person, weights = person_of(p, fixed, future.is_open), twin.model.residual.weights()
        acting = what_acts(future, p).at(0)
        begun = state_of(present.body, present.latent.T, acting, person, weights)
        for found, expected in zip(
            compiled(begun, acting, person, weights),
            step(begun, acting, person, weights),
            strict=True,
        ):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("compiler", ["no-such-compiler", "false"])
def test_without_a_compiler_torch_serves_and_the_log_says_so(
    compiler: str,
    forgotten: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("CXX", compiler)
    with caplog.at_level(logging.WARNING):
        assert native_walk() is walk
        assert native_step() is step
    assert "slower" in caplog.text


def test_threads_that_need_the_program_at_once_share_it(forgotten: None) -> None:
    many = 4
    ready = Barrier(many)

    def need(_: int) -> Walk:
        ready.wait()
        return native_walk()

    with ThreadPoolExecutor(many) as pool:
        assert len(set(pool.map(need, range(many)))) == 1
    assert native._compiled.cache_info().misses == 1
