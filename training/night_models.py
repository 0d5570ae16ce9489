"""Who foresees lows of the night: the twin by its sample paths, and the peers it has to beat.

Each is a fit function as elsewhere: `fit(nights)` learns, and what it returns gives the probability
of each of `LOWS` for other nights.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits
from torch import Tensor

from hybridtwin.assimilation.settings import MissesSettings
from hybridtwin.climatology import CLIMATOLOGY_DAYS
from hybridtwin.inputs import as_usual
from hybridtwin.members import MEMBERS, ensemble
from hybridtwin.night_statistics import EVENING_MIN, evening
from hybridtwin.output_statistics import of_history
from hybridtwin.paths import correlation_factor, paths, standard_noise, unexplained
from hybridtwin.twin import Twin
from hybridtwin.units import STEP_MIN, steps
from training.features import Floats, tree_features
from training.forecasters import fitted, moments, usual_of
from training.kept_current import misses_of
from training.nights import LOWS, NIGHT_MIN, Nights
from training.personalise import PersonalSettings
from training.windows import HELD_OUT, Mask, Windows

Probabilities = dict[str, Tensor]
"""(W,) by the name of the low."""
NightForecaster = Callable[[Nights], Probabilities]
NightFit = Callable[[Nights], NightForecaster]

TREES_MAX: Final = 400
TREES: Final[dict[str, Any]] = {
    "learning_rate": 0.03,
    "max_leaf_nodes": 8,
    "min_samples_leaf": 60,
    "l2_regularization": 10.0,
    "max_features": 0.3,
    "random_state": 0,
}
OWN_NIGHTS: Final = 10.0
"""As many nights of everyone stand beside a person's own in the base rate."""
_CHUNK: Final = 16


def base_rate(learn: Nights) -> NightForecaster:
    """How often it happened to this person, drawn towards everyone's rate."""
    names = learn.windows.names

    def predict(asked: Nights) -> Probabilities:
        found = {}
        for low in LOWS:
            happened = learn.happened[low.name].numpy().astype(float)
            every = float(happened.mean())
            rate = {
                name: (happened[names == name].sum() + OWN_NIGHTS * every)
                / ((names == name).sum() + OWN_NIGHTS)
                for name in np.unique(names)
            }
            found[low.name] = torch.tensor([rate.get(name, every) for name in asked.windows.names])
        return found

    return predict


def trees(learn: Nights) -> NightForecaster:
    """Boosted trees that classify, one ensemble per low, on what the other trees read.

    Their number is found on everyone's latest nights; then they learn from all.
    """
    code = {name: float(index) for index, name in enumerate(np.unique(learn.windows.names))}
    table = _table(learn, code)
    held_out = learn.windows.latest(HELD_OUT)
    # A channel that nobody has is an empty column, which the trees refuse.
    useful = np.flatnonzero(~np.isnan(table[~held_out]).all(axis=0))
    fits = {
        low.name: _classifier(table[:, useful], learn.happened[low.name].numpy(), held_out)
        for low in LOWS
    }

    def predict(asked: Nights) -> Probabilities:
        features = _table(asked, code)[:, useful]
        return {name: torch.from_numpy(fit(features)) for name, fit in fits.items()}

    return predict


def _table(nights: Nights, code: dict[str, float]) -> Floats:
    """(W, F) whose night it is, how far midnight is, and the trees' features of the evening."""
    own = [code.get(name, np.nan) for name in nights.windows.names]
    features = tree_features(nights.windows)
    return np.column_stack([own, nights.to_midnight_min.numpy() / 60, features])


def _classifier(table: Floats, happened: Mask, held_out: Mask) -> Callable[[Floats], Floats]:
    early = happened[~held_out]
    if early.all() or not early.any():
        rate = float(happened.mean())
        return lambda asked: np.full(len(asked), rate)
    settings = TREES | {"categorical_features": [0]}
    with threadpool_limits(1, "openmp"):
        first = HistGradientBoostingClassifier(
            max_iter=TREES_MAX, early_stopping=True, n_iter_no_change=25, **settings
        ).fit(table[~held_out], early, X_val=table[held_out], y_val=happened[held_out])
        best = max(int(np.argmax(first.validation_score_)), 1)
        full = HistGradientBoostingClassifier(max_iter=best, early_stopping=False, **settings)
        full.fit(table, happened)
    return lambda asked: np.asarray(full.predict_proba(asked)[:, 1])


NIGHT_PEERS: Final[dict[str, NightFit]] = {"base-rate": base_rate, "trees": trees}


def population(twin: Twin) -> NightFit:
    """The twin as it is: its sample paths, and its night statistics."""
    return lambda _: lambda nights: _said([twin] * len(nights.windows.participants), nights)


def current(twin: Twin, settings: MissesSettings) -> NightFit:
    """The same, with what its forecasts of each person missed before the evening's day."""

    def predict(nights: Nights) -> Probabilities:
        persons = [twin.person] * len(nights.windows.participants)
        misses = misses_of(twin, persons, nights.windows, settings)
        return _said([replace(twin, misses=misses)] * len(persons), nights)

    return lambda _: predict


def personal(twin: Twin, settings: PersonalSettings) -> NightFit:
    """The twin fitted to each person on the timelines to learn from."""

    def fit(learn: Nights) -> NightForecaster:
        own = fitted(twin, settings, learn.windows)
        return lambda nights: _said(
            [own.get(name, twin) for name in nights.windows.participants], nights
        )

    return fit


def _said(twins: Sequence[Twin], nights: Nights) -> Probabilities:
    shares = path_shares(twins, nights)
    statistics = twins[0].statistics
    if statistics is None or not statistics.night:
        return shares
    table = evening_table(twins, nights)
    return {
        name: statistics.night[name].probability(table, share) for name, share in shares.items()
    }


def evening_table(twins: Sequence[Twin], nights: Nights) -> Tensor:
    """(W, F) what night statistics read of evenings; one twin per person, of the same weights."""
    windows = nights.windows
    usual = usual_of(windows, torch.full((len(windows),), CLIMATOLOGY_DAYS))
    persons = [twin.person for twin in twins]
    with torch.inference_mode():
        parts = [each.read_by(twins[0], usual) for each in moments(twins[0], persons, windows)]
    return evening(of_history(torch.cat(parts)), nights.to_midnight_min)


def path_shares(twins: Sequence[Twin], nights: Nights) -> Probabilities:
    """The share of sample paths in which each low happens; one twin per person."""
    length = steps(EVENING_MIN + NIGHT_MIN)
    shares: list[list[float]] = []
    # The trace begins one step after the anchor.
    midnights = (nights.to_midnight_min // STEP_MIN - 1).tolist()
    drawn = sample_paths(twins, nights.windows, length)
    for traces, midnight in zip(drawn, midnights, strict=True):
        night = traces[:, midnight : midnight + steps(NIGHT_MIN)]
        shares.append([float(low.happens(night).float().mean()) for low in LOWS])
    columns = torch.tensor(shares).reshape(-1, len(LOWS)).T
    return {low.name: column for low, column in zip(LOWS, columns, strict=True)}


def sample_paths(
    twins: Sequence[Twin],
    windows: Windows,
    length: int,
    members: int = MEMBERS,
    seed: int = 0,
) -> Iterator[Tensor]:
    """(M, H) sensor traces under an open plan for each window in turn, as a twin draws them.

    Args:
        twins: One per person of the windows, all with the same weights, and misses of the windows
            if any.
        windows: From where.
        length: H.
        members: M.
        seed: Of ensemble and noise.
    """
    sd = torch.tensor([twin.config.score_sd for twin in twins])
    twin = twins[0]
    model, config = twin.model, twin.config
    factor = correlation_factor(length, config.error_log_decay, config.error_memory_min)
    normal = standard_noise(factor, members, torch.Generator().manual_seed(seed))
    minutes = STEP_MIN * torch.arange(1.0, length + 1)
    usual = usual_of(windows, torch.full((len(windows),), CLIMATOLOGY_DAYS))
    persons = [each.person for each in twins]
    with torch.inference_mode():
        for each in moments(twin, persons, windows, size=_CHUNK):
            basal, count = each.usual_basal_u_min, len(each.at)
            correction = each.corrected_by(twin, usual)
            future = as_usual(
                basal.repeat_interleave(members),
                each.history.minute_of_day.repeat_interleave(members),
                length,
            )
            spread = sd[windows.person[each.at]].repeat_interleave(members).unsqueeze(-1)
            many = ensemble(each.present, members, spread, seed)
            moved = correction.rows(torch.arange(count).repeat_interleave(members)).moved(
                model.roll(many, future, twin.walk), minutes
            )
            quantiles = correction.widened(
                model.log_quantiles(each.present, torch.ones(count), minutes), minutes
            )
            for trajectory, of_one in zip(
                moved.unflatten(0, (-1, members)), quantiles, strict=True
            ):
                yield paths(trajectory, unexplained(trajectory, of_one, normal))
