"""Filters: members moved by time and by a reading, as an ensemble Kalman or a particle filter.

One contract for both, and many people at once: N ensembles of M members with D coordinates each, of
which the first F are filtered. A filter knows neither body nor grid: it is told how far chance
moves members in a step (`spread`), what each of them expected of a reading and what was read
(`correct`).

The ensemble Kalman filter (Evensen 2003, Ocean Dyn. 53:343) leaves nothing to chance. After a step
the ensemble's mean and covariance, the step's noise added, are drawn anew by as many members,
exactly to the second order (Pham 2001, Mon. Weather Rev. 129:1194); at a reading what was expected
is shifted and contracted as Bayes' rule has it, and every coordinate follows by its regression on
it (Anderson 2003, 131:634). So there is no sampling error, which would need inflation and
localisation, as long as there are more members than filtered coordinates.

The particle filter moves every member by chance, weighs members by their likelihood and, where few
count, resamples them systematically (Kitagawa 1996, J. Comput. Graph. Stat. 5:1), in order of what
they expected, so that their own order does not matter; slow parameters are rejuvenated by the
kernel of Liu & West 2001 (Sequential Monte Carlo Methods in Practice, chapter 10), which keeps
their mean and covariance.

In both a reading that lies far off is trusted less: its variance is taken as large enough to make
it no more than `outlier_sd` surprising (as Huber's loss has it; Roh et al. 2013, 141:4414).
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import torch
from torch import Tensor

from hybridtwin.assimilation.settings import FilterSettings
from hybridtwin.resampling import systematic

_RIDGE: Final = 1e-5  # of correlations, so that coordinates that move as one can be told apart


@dataclass(frozen=True)
class Ensemble:
    """What is held true of N people.

    Attributes:
        members: (N, M, D) coordinates, none of them bounded.
        log_weights: (N, M) their weights sum to 1.
    """

    members: Tensor
    log_weights: Tensor

    @classmethod
    def equal(cls, members: Tensor) -> "Ensemble":
        """Members (N, M, D) that are equally likely."""
        shape = members.shape[:2]
        return cls(members, torch.full(shape, 1 / shape[1]).to(members).log())

    def mean(self) -> Tensor:
        """(N, D)."""
        return (self.log_weights.exp().unsqueeze(-1) * self.members).sum(1)


@dataclass(frozen=True)
class Reading:
    """One reading of each of N people.

    Attributes:
        expected: (N, M) what each member expected.
        value: (N,) what was read; NaN where nothing was.
        sd: (N,) of its error.
    """

    expected: Tensor
    value: Tensor
    sd: Tensor


@dataclass(frozen=True)
class Kinds:
    """What the D coordinates are.

    Attributes:
        filtered: F, how many are filtered, the first ones; the others follow.
        slow: Which of them are parameters, that the body's steps leave alone.
    """

    filtered: int
    slow: slice


@dataclass(frozen=True)
class Chance:
    """What is left to chance in a particle filter's step, the same for everyone.

    Attributes:
        uniform: From 0 to 1, a scalar.
        normal: (M, M or F) standard normal, for a resampling or a step.
    """

    uniform: Tensor
    normal: Tensor


class Filter(NamedTuple):
    """What a filter does.

    Attributes:
        spread: The ensemble after chance had its share: (F,) SD of every filtered coordinate.
        correct: The ensemble after a reading.
    """

    spread: Callable[[Ensemble, Tensor, Chance], Ensemble]
    correct: Callable[[Ensemble, Reading, Kinds, FilterSettings, Chance], Ensemble]


@functools.cache
def design(filtered: int, members: int) -> Tensor:
    """(F, M) numbers of mean 0 and variance 1 over members, no two rows correlated; F < M."""
    drawn = torch.randn(members, filtered, generator=torch.Generator().manual_seed(0))
    rows, _ = torch.linalg.qr((drawn - drawn.mean(0)).double())
    numbers: Tensor = float(members - 1) ** 0.5 * rows.T
    return numbers.float().contiguous()


def redrawn(ensemble: Ensemble, sd: Tensor, _: Chance) -> Ensemble:
    """Members of the same mean, and of the same covariance with the step's noise."""
    members, filtered = ensemble.members, len(sd)
    count = members.shape[1]
    centre = members.mean(1, keepdim=True)
    off = members - centre
    own = off[..., :filtered].transpose(1, 2)
    covariance = own @ off / (count - 1)
    among = covariance[..., :filtered] + torch.diag(sd.square())
    scale = among.diagonal(dim1=1, dim2=2).sqrt().clamp(min=torch.finfo(sd.dtype).tiny ** 0.25)
    correlation = among / (scale.unsqueeze(1) * scale.unsqueeze(2))
    root = torch.linalg.cholesky(correlation + _RIDGE * torch.eye(filtered).to(sd))
    others = covariance[..., filtered:] / scale.unsqueeze(-1)
    follows = torch.linalg.solve_triangular(root, others, upper=False).transpose(1, 2)
    drawn = design(filtered, count).to(sd)
    moved = torch.cat([scale.unsqueeze(-1) * (root @ drawn), follows @ drawn], dim=1)
    return replace(ensemble, members=centre + moved.transpose(1, 2))


def ensemble_kalman(
    ensemble: Ensemble, reading: Reading, kinds: Kinds, settings: FilterSettings, _: Chance
) -> Ensemble:
    """Members after a reading; deterministic."""
    expected = reading.expected
    filtered = ensemble.members[..., : kinds.filtered]
    count = expected.shape[1]
    mean = expected.mean(1, keepdim=True)
    off = expected - mean
    variance = off.square().sum(1, keepdim=True) / (count - 1)
    missed = reading.value.unsqueeze(1) - mean
    error = _trusted_variance(reading, missed, variance, settings)
    # What was expected, as Bayes' rule has it.
    gain = variance / (variance + error)
    contraction = (error / (variance + error)).sqrt()
    change = gain * missed + (contraction - 1) * off
    # What follows of every coordinate.
    covariance = (off.unsqueeze(1) @ (filtered - filtered.mean(1, keepdim=True))) / (count - 1)
    slope = covariance.squeeze(1) / variance.clamp(min=torch.finfo(variance.dtype).tiny)
    moved = filtered + slope.unsqueeze(1) * change.unsqueeze(-1)
    members = torch.cat([moved, ensemble.members[..., kinds.filtered :]], dim=-1)
    return _where_read(reading, replace(ensemble, members=members), ensemble)


def _trusted_variance(
    reading: Reading, missed: Tensor, variance: Tensor, settings: FilterSettings
) -> Tensor:
    """(N, 1) variance of the reading's error, larger where it lies far off."""
    surprising = (missed / settings.outlier_sd).square() - variance
    return torch.maximum(reading.sd.square().unsqueeze(1), surprising)


def jittered(ensemble: Ensemble, sd: Tensor, chance: Chance) -> Ensemble:
    """Every member moved by chance."""
    moved = ensemble.members.clone()
    moved[..., : len(sd)] += sd * chance.normal[:, : len(sd)]
    return replace(ensemble, members=moved)


def particle(
    ensemble: Ensemble, reading: Reading, kinds: Kinds, settings: FilterSettings, chance: Chance
) -> Ensemble:
    """Weights after a reading, and new members where few of them still count."""
    count = reading.expected.shape[1]
    weights = ensemble.log_weights.exp()
    mean = (weights * reading.expected).sum(1, keepdim=True)
    variance = (weights * (reading.expected - mean).square()).sum(1, keepdim=True)
    error = _trusted_variance(reading, reading.value.unsqueeze(1) - mean, variance, settings)
    missed = reading.value.unsqueeze(1) - reading.expected
    log_weights = torch.log_softmax(ensemble.log_weights - 0.5 * missed.square() / error, dim=1)
    weighed = replace(ensemble, log_weights=log_weights)
    effective = 1 / log_weights.exp().square().sum(1)
    few = (effective < settings.resample_below * count).reshape(-1, 1)
    drawn = _rejuvenated(weighed, reading.expected, kinds, settings, chance)
    after = Ensemble(
        torch.where(few.unsqueeze(-1), drawn.members, weighed.members),
        torch.where(few, drawn.log_weights, weighed.log_weights),
    )
    return _where_read(reading, after, ensemble)


def _rejuvenated(
    ensemble: Ensemble,
    expected: Tensor,
    kinds: Kinds,
    settings: FilterSettings,
    chance: Chance,
) -> Ensemble:
    """Equally likely members, slow parameters drawn from a kernel around them."""
    order = expected.argsort(dim=1, stable=True)
    weights = ensemble.log_weights.exp().gather(1, order)
    members = _chosen(ensemble.members, order)
    drawn = _chosen(members, systematic(weights, chance.uniform.expand(len(weights))))
    shrink = (3 * settings.discount - 1) / (2 * settings.discount)
    slow = members[..., kinds.slow]
    mean = (weights.unsqueeze(-1) * slow).sum(1, keepdim=True)
    # Of the weighted covariance, without its root: a normal combination of deviations.
    noise = chance.normal @ (weights.sqrt().unsqueeze(-1) * (slow - mean))
    kernel = shrink * drawn[..., kinds.slow] + (1 - shrink) * mean
    drawn[..., kinds.slow] = kernel + (1 - shrink**2) ** 0.5 * noise
    return Ensemble.equal(drawn)


def _chosen(members: Tensor, index: Tensor) -> Tensor:
    return members.gather(1, index.unsqueeze(-1).expand_as(members))


def _where_read(reading: Reading, after: Ensemble, before: Ensemble) -> Ensemble:
    """The ensembles after a reading, and those before where there was none."""
    read = ~reading.value.isnan().reshape(-1, 1)
    return Ensemble(
        torch.where(read.unsqueeze(-1), after.members, before.members),
        torch.where(read, after.log_weights, before.log_weights),
    )


FILTERS: Final[dict[str, Filter]] = {
    "ensemble-kalman": Filter(redrawn, ensemble_kalman),
    "particle": Filter(jittered, particle),
}
"""By `FilterSettings.kind`."""
