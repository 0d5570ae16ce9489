"""What the encoder reads, against closed forms."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hybridtwin.history import HISTORY_STEPS, History
from hybridtwin.neural.features import FEATURES, features, interpolated
from hybridtwin.physiology.body import DRIVEN
from hybridtwin.timeline import CHANNEL, CHANNELS

EMPTY = torch.zeros(len(DRIVEN), 1)


def history(glucose: Tensor | None = None, **amounts: tuple[int, float]) -> History:
    """One history: glucose (K,) all known, and single amounts so many steps before the anchor."""
    events = torch.zeros(1, HISTORY_STEPS, len(CHANNELS))
    for name, (steps_ago, amount) in amounts.items():
        events[0, HISTORY_STEPS - steps_ago, CHANNEL[name]] = amount
    level = torch.full((HISTORY_STEPS,), 120.0) if glucose is None else glucose
    return History(
        level.unsqueeze(0),
        torch.ones(1, HISTORY_STEPS, dtype=torch.bool),
        events,
        torch.ones_like(events, dtype=torch.bool),
        torch.tensor([600.0]),
    )


def read(given_history: History) -> Tensor:
    found = features(given_history, EMPTY)
    assert found.shape == (1, FEATURES)
    return found[0]


def changed(one: History, other: History) -> list[float]:
    """The features in which two histories differ, as differences, in order."""
    difference = read(other) - read(one)
    return difference[difference.abs() > 1e-4].tolist()


def test_a_straight_line_has_its_slope_everywhere() -> None:
    """2 mg/dL per step: lags, slopes by least squares, no bend."""
    line = 2.0 * torch.arange(HISTORY_STEPS)
    found = read(history(line))
    last, lags, slopes, bend = found[0], found[1:15], found[15:18], found[18]
    assert last == line[-1]
    minutes = torch.tensor([5, 10, 15, 20, 25, 30, 45, 60, 90, 120, 180, 240, 300, 360])
    torch.testing.assert_close(lags, 2 * minutes / 5)
    torch.testing.assert_close(slopes, torch.full((3,), 2.0), rtol=1e-3, atol=0)
    assert bend.abs() < 1e-3


@given(st.floats(-60, 200))
def test_a_shift_of_all_glucose_moves_its_level_alone(shift: float) -> None:
    wave = 150 + 40 * torch.sin(torch.arange(HISTORY_STEPS) / 20)
    before, after = read(history(wave)), read(history(wave + shift))
    assert float(after[0] - before[0]) == pytest.approx(shift, abs=1e-3)
    torch.testing.assert_close(after[1:], before[1:], rtol=0, atol=2e-2)


@given(st.integers(25, 300), st.floats(0.5, 20))
def test_a_dose_fades_by_its_age(steps_ago: int, units: float) -> None:
    """What still acts, side by side for each time constant."""
    times_min = torch.tensor([20, 45, 90, 180])
    expected = units * torch.exp(-(steps_ago - 1) * 5 / times_min)
    difference = read(history(bolus_u=(steps_ago, units))) - read(history())
    places = difference.unfold(0, len(times_min), 1)
    assert float((places - expected).abs().amax(1).min()) < 1e-4


def test_what_is_not_known_is_zero_and_said() -> None:
    """Carbohydrate unknown throughout differs from none eaten by the share that is known."""
    known = history()
    mask = known.events_known.clone()
    mask[..., CHANNEL["carbs_g"]] = False
    assert changed(known, replace(known, events_known=mask)) == [-1.0]


def test_gaps_are_bridged_by_a_line_and_ends_are_held() -> None:
    glucose = torch.tensor([[0.0, 100, 0, 0, 130, 0]])
    line, age = interpolated(glucose, glucose > 0)
    torch.testing.assert_close(line, torch.tensor([[100.0, 100, 110, 120, 130, 130]]))
    assert age.tolist() == [1]


def test_without_readings_there_is_a_typical_value() -> None:
    nothing = torch.zeros(1, 4)
    line, age = interpolated(nothing, nothing > 0)
    assert (line == 140).all()
    assert age.tolist() == [4]
