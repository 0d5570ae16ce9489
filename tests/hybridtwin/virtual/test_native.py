import logging

import numpy as np
import pytest

from hybridtwin.virtual import native
from hybridtwin.virtual.native import run
from hybridtwin.virtual.patients import load_patients
from hybridtwin.virtual.uva_padova import basal_state, basal_u_min, eaten, glucose_mg_dl, simulate


@pytest.fixture
def program_forgotten():
    """The next test compiles for itself."""
    yield
    native._program.cache_clear()


def lives(count, minutes, seed=0):
    """Some people with meals, boluses, changing basal rates and changing sensitivity."""
    rng = np.random.default_rng(seed)
    patients = load_patients().take(rng.integers(0, 30, count))
    shape = (minutes, count)
    table = np.where(rng.random(shape) < 0.01, rng.uniform(1, 90, shape), 0)
    insulin = basal_u_min(patients) * rng.uniform(0, 2, shape)
    insulin += np.where(rng.random(shape) < 0.01, rng.uniform(0, 4, shape), 0)
    sensitivity = rng.lognormal(0, 0.3, shape)
    return basal_state(patients), eaten(table), insulin, patients, sensitivity


def slowly(state, carbs, insulin, patients, sensitivity):
    states = list(simulate(state, carbs, insulin, patients, sensitivity))
    return np.stack([glucose_mg_dl(one, patients) for one in states]), states[-1]


def assert_alike(one, other):
    np.testing.assert_allclose(one[0], other[0], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(one[1].compartments, other[1].compartments, rtol=1e-9, atol=1e-6)
    np.testing.assert_array_equal(one[1].eating, other[1].eating)
    np.testing.assert_allclose(one[1].meal_mg, other[1].meal_mg, rtol=1e-12)


# One, less than go together, more than that, enough for several threads; a single minute.
@pytest.mark.parametrize(("count", "minutes"), [(1, 300), (7, 300), (131, 300), (400, 260), (3, 1)])
def test_machine_code_does_what_numpy_does(count, minutes):
    days = lives(count, minutes)
    assert native._program() is not None
    assert_alike(run(*days), slowly(*days))


def test_machine_code_does_what_numpy_does_where_glucose_runs_out():
    state, carbs, insulin, patients, sensitivity = lives(5, 600)
    insulin[0] += 40.0
    fast = run(state, carbs, insulin, patients, sensitivity)
    assert fast[0].min() < 1.0
    assert_alike(fast, slowly(state, carbs, insulin, patients, sensitivity))


def test_a_life_can_be_run_in_pieces():
    state, *inputs, patients, sensitivity = lives(5, 240)
    whole = run(state, *inputs, patients, sensitivity)
    pieces = []
    for begin in range(0, 240, 48):
        now = slice(begin, begin + 48)
        glucose, state = run(state, *(one[now] for one in inputs), patients, sensitivity[now])
        pieces.append(glucose[:-1])
    assert_alike((np.vstack([*pieces, glucose[-1:]]), state), whole)


def test_no_sensitivity_is_a_sensitivity_of_one():
    *days, sensitivity = lives(4, 120)
    assert_alike(run(*days), run(*days, np.ones_like(sensitivity)))


def test_inputs_are_left_as_they_are():
    state, carbs, insulin, patients, sensitivity = lives(4, 60)
    before = [np.copy(one) for one in (state.compartments, state.meal_mg, carbs, insulin)]
    run(state, carbs, insulin, patients, sensitivity)
    for one, kept in zip((state.compartments, state.meal_mg, carbs, insulin), before, strict=True):
        np.testing.assert_array_equal(one, kept)


@pytest.mark.usefixtures("program_forgotten")
@pytest.mark.parametrize("compiler", ["no-such-compiler", "false"])
def test_without_a_compiler_numpy_computes_the_same(compiler, monkeypatch, caplog):
    days = lives(7, 120)
    fast = run(*days)
    native._program.cache_clear()
    monkeypatch.setenv("CXX", compiler)
    with caplog.at_level(logging.WARNING):
        slow = run(*days)
        run(*days)
    assert len(caplog.records) == 1
    assert "NumPy" in caplog.text
    assert_alike(fast, slow)


def test_shapes_that_do_not_fit_are_refused():
    state, carbs, insulin, patients, sensitivity = lives(4, 60)
    with pytest.raises(ValueError, match="shape"):
        run(state, carbs[:-1], insulin, patients, sensitivity)
    with pytest.raises(ValueError, match="shape"):
        run(state, carbs, insulin, patients.take([0, 1]), sensitivity)
