"""Peers: what a twin has to beat, learnt and scored on the same windows.

Each is a fit function: `fit(windows)` learns and returns a forecaster, `forecaster(windows)`
predicts. Ridge and trees predict the change from the last reading. The spread is that of the
errors on the latest learning windows, by a model that did not learn from these.
"""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from training.features import Floats, linear_features, tree_features
from training.windows import FitFunction, Forecaster, Prediction, Windows

Mask = NDArray[np.bool_]
Regress = Callable[[Floats], Floats]
"""From features (n, F) to a change in mg/dL (n,)."""

LEVELS: Final = torch.linspace(0.05, 0.95, 19)
HELD_OUT: Final = 0.15
"""Share of each person's learning windows, the latest, that models are tuned on."""
RIDGE_ALPHA: Final = 100.0
TREES_MAX: Final = 600
TREES: Final[dict[str, Any]] = {
    "learning_rate": 0.05,
    "max_leaf_nodes": 31,
    "min_samples_leaf": 100,
    "l2_regularization": 10.0,
    "max_features": 0.3,
    "random_state": 0,
}


def persistence(windows: Windows) -> Forecaster:
    """Glucose stays at its last reading."""

    def expect(asked: Windows) -> Tensor:
        return asked.last_mg_dl[:, None].repeat(1, len(asked.horizons_min))

    return _with_spread(expect, windows.targets_mg_dl - expect(windows))


def ridge(windows: Windows) -> Forecaster:
    """Linear regression on six hours of history, one per horizon, all people pooled."""

    def fit(features: Floats, change: Floats, held_out: Mask) -> tuple[Regress, Regress]:
        def model(rows: Mask) -> Regress:
            regression = make_pipeline(StandardScaler(), Ridge(RIDGE_ALPHA))
            predict: Regress = regression.fit(features[rows], change[rows]).predict
            return predict

        return model(~held_out), model(np.ones_like(held_out))

    return _regression(windows, linear_features, fit)


def trees(windows: Windows) -> Forecaster:
    """Boosted trees on history and its summaries, one ensemble per horizon, all people pooled.

    Their number is found on the held-out windows; then they learn from all.
    """

    def fit(features: Floats, change: Floats, held_out: Mask) -> tuple[Regress, Regress]:
        # A channel that nobody has is an empty column, which the trees refuse.
        useful = ~np.isnan(features[~held_out]).all(axis=0)
        features = features[:, useful]
        early = HistGradientBoostingRegressor(
            max_iter=TREES_MAX, early_stopping=True, n_iter_no_change=25, **TREES
        ).fit(
            features[~held_out],
            change[~held_out],
            X_val=features[held_out],
            y_val=change[held_out],
        )
        best = max(int(np.argmax(early.validation_score_)), 1)
        full = HistGradientBoostingRegressor(max_iter=best, early_stopping=False, **TREES)
        full.fit(features, change)
        return (
            lambda asked: np.asarray(early.predict(asked[:, useful])),
            lambda asked: np.asarray(full.predict(asked[:, useful])),
        )

    return _regression(windows, tree_features, fit)


PEERS: Final[dict[str, FitFunction]] = {
    "persistence": persistence,
    "ridge": ridge,
    "trees": trees,
}


def _regression(
    windows: Windows,
    read: Callable[[Windows], Floats],
    fit: Callable[[Floats, Floats, Mask], tuple[Regress, Regress]],
) -> Forecaster:
    """A forecaster of regressions, one per horizon.

    Args:
        windows: To learn from.
        read: Their features (W, F).
        fit: From features, changes and what is held out to two regressions: one that did not
            learn from what is held out, and the one to keep.
    """
    features = read(windows)
    held_out = _latest(windows)
    changes = (windows.targets_mg_dl - windows.last_mg_dl[:, None]).numpy()
    kept: list[Regress] = []
    errors = np.full_like(changes, np.nan)
    for column, change in enumerate(changes.T):
        known = ~np.isnan(change)
        early, full = fit(features[known], change[known], held_out[known])
        kept.append(full)
        late = known & held_out
        errors[late, column] = change[late] - early(features[late])

    def expect(asked: Windows) -> Tensor:
        asked_features = read(asked)
        expected = np.column_stack([predict(asked_features) for predict in kept])
        return asked.last_mg_dl[:, None] + torch.from_numpy(expected).float()

    return _with_spread(expect, torch.from_numpy(errors))


def _latest(windows: Windows) -> Mask:
    """(W,) the latest share of each person's windows."""
    late = np.zeros(len(windows), dtype=bool)
    for person in range(len(windows.participants)):
        rows = windows.of(person).numpy()
        late[rows] = windows.anchor.numpy()[rows] >= np.quantile(
            windows.anchor.numpy()[rows], 1 - HELD_OUT
        )
    return late


def _with_spread(expect: Callable[[Windows], Tensor], errors: Tensor) -> Forecaster:
    """Adds the quantiles of errors (n, H), NaN where unknown, to what is expected."""
    spread = torch.from_numpy(np.nanquantile(errors.numpy(), LEVELS.numpy(), axis=0)).float().T

    def forecast(asked: Windows) -> Prediction:
        mean = expect(asked)
        return Prediction(mean, mean[:, :, None] + spread, LEVELS)

    return forecast
