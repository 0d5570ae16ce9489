"""How good forecasts are, as tidy rows.

Every metric is the mean of a per-window score, finished by a function (the root, for RMSE). Rows
of one participant carry a confidence interval from resampled days, since windows of a day are not
independent; rows of the mean over participants, from resampled participants.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.units import STEP_MIN
from training.windows import Prediction, Windows

Array = NDArray[np.float64]

ROW: Final = (
    "cohort",
    "split",
    "participant",
    "model",
    "horizon_min",
    "metric",
    "value",
    "ci_low",
    "ci_high",
    "participants",
    "windows",
)
"""The columns of every report."""

MEAN: Final = "mean"
ALL: Final = "all"
_FINISH: Final[dict[str, Callable[[Array], Array]]] = {"rmse": np.sqrt}
_INTERVAL = (0.025, 0.975)
_CENTRAL_80 = (0.1, 0.9)


def crps(target: Tensor, quantiles: Tensor, levels: Tensor) -> Tensor:
    """Continuous ranked probability score from quantiles: the pinball loss over all levels, twice.

    Each level stands for the probabilities nearer to it than to its neighbours.

    Args:
        target: (...) what happened.
        quantiles: (..., Q) rising.
        levels: (Q,) their probabilities, rising.
    """
    middle = (levels[1:] + levels[:-1]) / 2
    edges = torch.cat([levels.new_zeros(1), middle, levels.new_ones(1)])
    error = target[..., None] - quantiles
    pinball = torch.maximum(levels * error, (levels - 1) * error)
    return 2 * (pinball * edges.diff()).sum(dim=-1)


def crps_of_samples(target: Tensor, samples: Tensor) -> Tensor:
    """CRPS of the empirical distribution of samples (..., S), exactly."""
    count = samples.shape[-1]
    levels = (torch.arange(count, dtype=samples.dtype) + 0.5) / count
    return crps(target, samples.sort(dim=-1).values, levels)


def scores(prediction: Prediction, target: Tensor) -> dict[str, Tensor]:
    """Per-window scores (W, H) by metric, NaN where there is no target."""
    error = prediction.mean - target
    found = {"rmse": error.square(), "mae": error.abs(), "me": error}
    quantiles, levels = prediction.quantiles, prediction.levels
    if quantiles is not None and levels is not None:
        found["crps"] = crps(target, quantiles, levels)
        low, high = (_level(quantiles, levels, level) for level in _CENTRAL_80)
        inside = ((target >= low) & (target <= high)).to(target.dtype)
        found["coverage_80"] = torch.where(target.isnan(), torch.nan, inside)
    return found


def _level(quantiles: Tensor, levels: Tensor, level: float) -> Tensor:
    """(...) one quantile, read off between its neighbours."""
    right = int(torch.searchsorted(levels, level - 1e-6).clamp(1, len(levels) - 1))
    share = (level - levels[right - 1]) / (levels[right] - levels[right - 1])
    return torch.lerp(quantiles[..., right - 1], quantiles[..., right], share.clamp(0, 1))


def bootstrap_days(
    score: Array, day: NDArray[np.int64], samples: int, generator: np.random.Generator
) -> Array:
    """(samples,) the mean score with whole days drawn with replacement."""
    _, index = np.unique(day, return_inverse=True)
    total, count = np.bincount(index, weights=score), np.bincount(index)
    drawn = generator.multinomial(len(count), np.full(len(count), 1 / len(count)), size=samples)
    return np.asarray((drawn @ total) / (drawn @ count))


def bootstrap_mean(values: Array, samples: int, generator: np.random.Generator) -> Array:
    """(samples,) the mean of values drawn with replacement."""
    drawn = generator.integers(len(values), size=(samples, len(values)))
    return np.asarray(values[drawn].mean(axis=1))


def rows(
    model: str,
    windows: Windows,
    prediction: Prediction,
    split: str,
    samples: int,
    seed: int,
    more: Mapping[str, Tensor] | None = None,
) -> pd.DataFrame:
    """Tidy rows of one model: every participant, and the mean of each cohort and of all.

    Args:
        model: Its name.
        windows: Where it was scored.
        prediction: What it said there.
        split: What was learnt from and what was scored, in a word.
        samples: Bootstrap samples.
        seed: Of the bootstrap.
        more: Further scores (W, H) by metric, NaN where there is none.
    """
    generator = np.random.default_rng(seed)
    day = (windows.anchor * STEP_MIN // MINUTES_PER_DAY).numpy()
    found: list[dict[str, Any]] = []
    found_scores = scores(prediction, windows.targets_mg_dl) | dict(more or {})
    for metric, score in found_scores.items():
        finish = _FINISH.get(metric, np.asarray)
        for column, horizon in enumerate(windows.horizons_min):
            for person, participant in enumerate(windows.participants):
                at = windows.of(person)
                values = score[at, column].double().numpy()
                there = ~np.isnan(values)
                if not there.any():
                    continue
                drawn = finish(bootstrap_days(values[there], day[at][there], samples, generator))
                found.append(
                    {
                        "cohort": windows.cohorts[person],
                        "participant": participant,
                        "horizon_min": horizon,
                        "metric": metric,
                        "value": float(finish(values[there].mean())),
                        "participants": 1,
                        "windows": int(there.sum()),
                    }
                    | interval(drawn)
                )
    people = pd.DataFrame(found)
    table = pd.concat([people, *_means(people, samples, generator)], ignore_index=True)
    return table.assign(model=model, split=split)[list(ROW)]


def _means(
    people: pd.DataFrame, samples: int, generator: np.random.Generator
) -> list[pd.DataFrame]:
    means = []
    for cohort in (*people["cohort"].unique(), ALL):
        members = people if cohort == ALL else people[people["cohort"] == cohort]
        for (horizon, metric), group in members.groupby(["horizon_min", "metric"], sort=False):
            values = group["value"].to_numpy(dtype=float)
            # One person says nothing of others: the best known interval is that person's own.
            own: dict[str, float] = (
                interval(bootstrap_mean(values, samples, generator))
                if len(group) > 1
                else group[["ci_low", "ci_high"]].iloc[0].to_dict()
            )
            row = {
                "cohort": cohort,
                "participant": MEAN,
                "horizon_min": horizon,
                "metric": metric,
                "value": values.mean(),
                "participants": len(group),
                "windows": int(group["windows"].sum()),
            }
            means.append(pd.DataFrame([row | own]))
    return means


def interval(drawn: Array) -> dict[str, float]:
    """The central 95 % of bootstrap samples, as a row's `ci_low` and `ci_high`."""
    low, high = np.quantile(drawn, _INTERVAL)
    return {"ci_low": float(low), "ci_high": float(high)}
