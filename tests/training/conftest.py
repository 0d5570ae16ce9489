from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from threadpoolctl import threadpool_limits

from hybridtwin.events import Profile
from hybridtwin.record import Provenance, Record
from hybridtwin.timeline import CHANNEL, Timeline
from training.lstm import SETTINGS
from training.windows import Windows

START = pd.Timestamp("2024-03-04 00:00", tz="UTC")


def _record(
    participant: str = "one",
    cohort: str = "toy",
    days: float = 4,
    every_min: int = 5,
    seed: int = 0,
    logged: bool = True,
) -> Record:
    """Glucose that swings back to its mean, pushed up by meals and down by boluses."""
    generator = np.random.default_rng(seed)
    steps = int(days * 288)
    meals = generator.choice(steps, size=int(4 * days), replace=False)
    carbs = np.zeros(steps)
    carbs[meals] = generator.uniform(20, 80, size=len(meals))
    glucose = np.full(steps, 140.0)
    drive = 0.0
    for step in range(1, steps):
        drive = 0.9 * drive + 0.05 * carbs[step - 1]
        back = 0.98 * (glucose[step - 1] - 140)
        glucose[step] = 140 + back + drive + generator.normal(0, 2)
    time = pd.date_range(START, periods=steps, freq="5min")
    sampled = slice(None, None, every_min // 5)
    meal_times = time[np.sort(meals)]
    span = {"start": time[0], "end": time[-1]}
    spans = [{"channel": channel} | span for channel in ("bolus", "meals")]
    parts = {}
    if logged:
        parts = {
            "meals": pd.DataFrame({"time": meal_times, "carbs_g": carbs[np.sort(meals)]}),
            "insulin": pd.DataFrame({"time": meal_times, "dose_u": carbs[np.sort(meals)] / 10}),
            "logged": pd.DataFrame(spans),
        }
    return Record(
        profile=Profile(participant=participant),
        glucose=pd.DataFrame({"time": time, "mg_dl": glucose.clip(40, 400)})[sampled],
        provenance=Provenance(source=cohort),
        **parts,
    )


@pytest.fixture(autouse=True, scope="session")
def _small_peers():
    patch = pytest.MonkeyPatch()
    patch.setattr("training.peers.TREES_MAX", 12)
    patch.setattr("training.night_models.TREES_MAX", 12)
    patch.setattr(
        "training.lstm.SETTINGS",
        replace(SETTINGS, hidden=32, batch=128, epochs=2, batches_per_epoch=30, averaged_over=0.9),
    )
    # Threads that wait for each other on busy cores make small trees slower, not faster.
    with threadpool_limits(1, "openmp"):
        yield
    patch.undo()


@pytest.fixture(scope="session")
def make_record() -> Callable[..., Record]:
    return _record


@pytest.fixture(scope="session")
def records() -> list[Record]:
    return [
        _record("one", "toy", seed=1),
        _record("two", "toy", every_min=15, seed=2),
        _record("three", "bare", seed=3, logged=False),
    ]


def _forget_future(windows: Windows, at: int) -> Windows:
    """One window whose timeline holds other values for all that happens after its anchor."""
    window = windows.take(torch.tensor([at]))
    person, anchor = int(window.person[0]), int(window.anchor[0])
    timelines = list(windows.timelines)
    timelines[person] = _corrupt(timelines[person], anchor)
    return replace(window, timelines=timelines)


def _corrupt(timeline: Timeline, anchor: int) -> Timeline:
    generator = torch.Generator().manual_seed(0)
    values, known, original = (
        getattr(timeline, name).clone() for name in ("values", "known", "original")
    )
    values[anchor + 1 :] = 300 * torch.rand(values[anchor + 1 :].shape, generator=generator)
    events = [column for name, column in CHANNEL.items() if name != "glucose_mg_dl"]
    values[anchor, events] = 50.0
    known[anchor + 1 :] = ~known[anchor + 1 :]
    known[anchor, events] = ~known[anchor, events]
    original[anchor + 1 :] = ~original[anchor + 1 :]
    return replace(timeline, values=values, known=known, original=original)


@pytest.fixture(scope="session")
def forget_future() -> Callable[[Windows, int], Windows]:
    return _forget_future
