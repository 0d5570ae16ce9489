"""Scores of what-if answers, as tidy rows.

An effect is what a change does: glucose in the changed future less glucose in the one that
happened, step by step.

- `sign_right`: share of effects with the true sign at the horizon; of those whose true size there
  is large enough.
- `difference_error`: norm, over all steps to the horizon, of the error of an effect, over that of
  the true effect; the median of those whose true size is large enough at some step.
- `ranking_error`: of every two futures of one moment whose true mean glucose to the horizon
  differs enough, the share expected in the other order (after the ranking of interventions in Zou
  et al., ICML 2024, arXiv:2402.17233).
- `rmse`: of what happened, its doses and meals known, mg/dL.

The first two also stand for each kind of change by itself, such as `sign_right_bolus`.
"""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hybridtwin.units import steps
from training.metrics import ALL, MEAN, ROW
from training.virtual_futures import Futures

Array = NDArray[np.float64]
Index = NDArray[np.int64]

COHORT: Final = "virtual"
_INTERVAL: Final = (0.025, 0.975)


def scores(
    futures: Futures, expected: Array, horizons_min: tuple[int, ...], enough_mg_dl: float
) -> pd.DataFrame:
    """A row per scored effect, pair or future: person, horizon_min, metric, score.

    Args:
        futures: What was asked, with the truth.
        expected: (F, H) what a model says, mg/dL.
        horizons_min: Where to score.
        enough_mg_dl: What is a large enough effect, or difference of two futures.
    """
    truth = futures.glucose_mg_dl.double().numpy()
    moment, kind = futures.moment.numpy(), np.array(futures.kind)
    person = futures.person.numpy()[moment]
    happened, other = futures.happened.numpy(), futures.changed.numpy()
    base = happened[moment[other]]
    effect, said = (glucose[other] - glucose[base] for glucose in (truth, expected))
    first, second = _pairs(moment)
    found = []
    for horizon in horizons_min:
        count = steps(horizon)
        scored = [
            *_of_effects(
                effect[:, :count], said[:, :count], kind[other], person[other], enough_mg_dl
            ),
            _ranking(truth[:, :count], expected[:, :count], first, second, person, enough_mg_dl),
        ]
        error = (expected - truth)[happened, count - 1]
        scored.append(("rmse", person[happened], np.square(error)))
        found += [
            pd.DataFrame(
                {"person": whose, "horizon_min": horizon, "metric": metric, "score": score}
            )
            for metric, whose, score in scored
        ]
    return pd.concat(found, ignore_index=True)


def _of_effects(
    effect: Array, said: Array, kind: NDArray[np.str_], person: Index, enough_mg_dl: float
) -> Iterator[tuple[str, Index, Array]]:
    """Metric, whose and score of true effects (N, H) and those a model says."""
    right = (np.sign(said[:, -1]) == np.sign(effect[:, -1])).astype(float)
    large = np.abs(effect) > enough_mg_dl
    size = np.linalg.norm(effect, axis=1)
    relative = np.linalg.norm(said - effect, axis=1) / np.where(size > 0, size, 1)
    for name in ("", *np.unique(kind)):
        these = (kind == name) | (name == "")
        suffix = f"_{name}" if name else ""
        counted = these & large[:, -1]
        yield f"sign_right{suffix}", person[counted], right[counted]
        counted = these & large.any(axis=1)
        yield f"difference_error{suffix}", person[counted], relative[counted]


def _ranking(
    truth: Array, expected: Array, first: Index, second: Index, person: Index, enough_mg_dl: float
) -> tuple[str, Index, Array]:
    gap, said = (
        glucose[second].mean(axis=1) - glucose[first].mean(axis=1) for glucose in (truth, expected)
    )
    large = np.abs(gap) > enough_mg_dl
    wrong = (np.sign(said) != np.sign(gap)).astype(float)
    return "ranking_error", person[first[large]], wrong[large]


def _pairs(moment: Index) -> tuple[Index, Index]:
    """Every two futures of one moment; a moment's futures lie together."""
    _, begins, counts = np.unique(moment, return_index=True, return_counts=True)
    pairs = [
        begin + np.stack(np.triu_indices(count, 1))
        for begin, count in zip(begins, counts, strict=True)
    ]
    first, second = np.concatenate(pairs, axis=1)
    return first, second


def rows(
    model: str, table: pd.DataFrame, names: list[str], split: str, samples: int, seed: int
) -> pd.DataFrame:
    """Tidy rows of one model, for each person and for all of them.

    Rows of `mean` are over everybody's scores together, not over people's values; their intervals
    come from resampled people, those of one person from resampled scores.

    Args:
        model: Its name.
        table: See `scores`.
        names: Of the people.
        split: What was learnt from and what was scored, in a word.
        samples: Bootstrap samples.
        seed: Of the bootstrap.
    """
    rng = np.random.default_rng(seed)
    found: list[dict[str, Any]] = []
    for (horizon, metric), group in table.groupby(["horizon_min", "metric"], sort=False):
        people = {person: part.to_numpy() for person, part in group.groupby("person")["score"]}

        for participant, scored in (
            *((names[person], [part]) for person, part in people.items()),
            (MEAN, list(people.values())),
        ):
            together = np.concatenate(scored)
            low, high = np.quantile(_resampled(str(metric), scored, samples, rng), _INTERVAL)
            row = {
                "cohort": COHORT,
                "participant": participant,
                "horizon_min": horizon,
                "metric": metric,
                "value": float(_finish(str(metric), together)),
                "ci_low": float(low),
                "ci_high": float(high),
                "participants": len(scored),
                "windows": len(together),
            }
            found += [row, row | {"cohort": ALL}] if participant == MEAN else [row]
    return pd.DataFrame(found).assign(model=model, split=split)[list(ROW)]


def _finish(metric: str, values: Array) -> Array:
    """The metric of scores (..., N)."""
    if metric.startswith("difference_error"):
        return np.asarray(np.median(values, axis=-1))
    mean = values.mean(axis=-1)
    return np.asarray(np.sqrt(mean) if metric == "rmse" else mean)


def _resampled(metric: str, scored: list[Array], samples: int, rng: np.random.Generator) -> Array:
    """(samples,) the metric with people drawn with replacement; of one person, with scores."""
    if len(scored) == 1:
        drawn = rng.integers(len(scored[0]), size=(samples, len(scored[0])))
        return _finish(metric, scored[0][drawn])
    chosen = rng.integers(len(scored), size=(samples, len(scored)))
    parts = [np.concatenate([scored[one] for one in those]) for those in chosen]
    return np.array([_finish(metric, part) for part in parts])
