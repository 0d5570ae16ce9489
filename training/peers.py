"""Peers: what a twin has to beat, learnt and scored on the same windows.

Each is a fit function: `fit(windows)` learns and returns a forecaster, `forecaster(windows)`
predicts. Ridge and trees predict the change from the last reading. The spread is that of the
errors on the latest learning windows, by a model that did not learn from these.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from torch import Tensor

from training.features import Floats, linear_features, tree_features
from training.lstm import lstm
from training.windows import (
    HELD_OUT,
    LEVELS,
    FitFunction,
    Forecaster,
    Mask,
    Names,
    Prediction,
    Windows,
)

Regress = Callable[[Floats, Names], Floats]
"""From features (n, F) and whose they are (n,) to a change in mg/dL (n,)."""

RIDGE_ALPHA: Final = 100.0
RIDGE_ALPHA_OWN: Final = 1000.0
TREES_MAX: Final = 1500
CATEGORIES_MAX: Final = 255
"""As many people as the trees can tell apart."""
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
    """Linear regression on six hours of history, one per horizon.

    One for all people, and for each a second one on what the first misses of that person: stronger
    than either alone. Somebody who was not learnt from gets the first.
    """

    def fit(
        features: Floats, people: Names, change: Floats, held_out: Mask
    ) -> tuple[Regress, Regress]:
        early = ~held_out
        return (
            _fit_ridge(features[early], people[early], change[early]),
            _fit_ridge(features, people, change),
        )

    return _regression(windows, linear_features, fit)


def _fit_ridge(features: Floats, people: Names, change: Floats) -> Regress:
    scaler = StandardScaler().fit(features)
    scaled = scaler.transform(features)
    everyone = Ridge(RIDGE_ALPHA).fit(scaled, change)
    missed = change - everyone.predict(scaled)
    own = {
        name: Ridge(RIDGE_ALPHA_OWN).fit(scaled[people == name], missed[people == name])
        for name in np.unique(people)
    }

    def predict(asked: Floats, asked_people: Names) -> Floats:
        scaled = scaler.transform(asked)
        expected = np.asarray(everyone.predict(scaled))
        for name in np.unique(asked_people):
            rows = asked_people == name
            if name in own:
                expected[rows] += own[name].predict(scaled[rows])
        return expected

    return predict


def trees(windows: Windows) -> Forecaster:
    """Boosted trees on history and its summaries, one ensemble per horizon, all people pooled.

    They may split by person. Their number is found on the held-out windows; then they learn from
    all. Somebody who was not learnt from is a person not known.
    """

    def fit(
        features: Floats, people: Names, change: Floats, held_out: Mask
    ) -> tuple[Regress, Regress]:
        code = {name: float(index) for index, name in enumerate(np.unique(people))}
        # A channel that nobody has is an empty column, which the trees refuse.
        useful = ~np.isnan(features[~held_out]).all(axis=0)

        def read(asked: Floats, asked_people: Names) -> Floats:
            own = np.array([code.get(name, np.nan) for name in asked_people], dtype=np.float32)
            return np.column_stack([own, asked[:, useful]])

        table = read(features, people)
        settings = TREES | {"categorical_features": [0] if len(code) <= CATEGORIES_MAX else None}
        # One thread each: the horizons fill the cores, and threads that wait for each other on
        # busy cores are many times slower.
        with threadpool_limits(1, "openmp"):
            early = HistGradientBoostingRegressor(
                max_iter=TREES_MAX, early_stopping=True, n_iter_no_change=25, **settings
            ).fit(
                table[~held_out], change[~held_out], X_val=table[held_out], y_val=change[held_out]
            )
            best = max(int(np.argmax(early.validation_score_)), 1)
            full = HistGradientBoostingRegressor(max_iter=best, early_stopping=False, **settings)
            full.fit(table, change)
        return (
            lambda *asked: np.asarray(early.predict(read(*asked))),
            lambda *asked: np.asarray(full.predict(read(*asked))),
        )

    return _regression(windows, tree_features, fit)


PEERS: Final[dict[str, FitFunction]] = {
    "persistence": persistence,
    "ridge": ridge,
    "trees": trees,
    "lstm": lstm,
}


def _regression(
    windows: Windows,
    read: Callable[[Windows], Floats],
    fit: Callable[[Floats, Names, Floats, Mask], tuple[Regress, Regress]],
) -> Forecaster:
    """A forecaster of regressions, one per horizon.

    Args:
        windows: To learn from.
        read: Their features (W, F).
        fit: From features, people, changes and what to hold out to two regressions: one that
            learnt without what is held out, and the one to keep.
    """
    features, people = read(windows), windows.names
    changes = (windows.targets_mg_dl - windows.last_mg_dl[:, None]).numpy()
    errors = np.full_like(changes, np.nan)

    def fit_horizon(column: int) -> Regress:
        change = changes[:, column]
        known = np.flatnonzero(~np.isnan(change))
        held_out = windows.take(torch.from_numpy(known)).latest(HELD_OUT)
        early, full = fit(features[known], people[known], change[known], held_out)
        late = known[held_out]
        errors[late, column] = change[late] - early(features[late], people[late])
        return full

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        kept = list(pool.map(fit_horizon, range(changes.shape[1])))

    def expect(asked: Windows) -> Tensor:
        asked_features, asked_people = read(asked), asked.names
        expected = np.column_stack([predict(asked_features, asked_people) for predict in kept])
        return asked.last_mg_dl[:, None] + torch.from_numpy(expected).float()

    return _with_spread(expect, torch.from_numpy(errors))


def _with_spread(expect: Callable[[Windows], Tensor], errors: Tensor) -> Forecaster:
    """Adds the quantiles of errors (n, H), NaN where unknown, to what is expected."""
    spread = torch.from_numpy(np.nanquantile(errors.numpy(), LEVELS.numpy(), axis=0)).float().T

    def forecast(asked: Windows) -> Prediction:
        mean = expect(asked)
        return Prediction(mean, mean[:, :, None] + spread, LEVELS)

    return forecast
