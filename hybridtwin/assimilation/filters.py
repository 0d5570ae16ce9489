"""Filters: members moved by one reading, by an ensemble Kalman filter or a particle filter.

One contract for both, and many people at once: N ensembles of M members with D coordinates each. A
filter knows neither body nor grid: it sees what each member expected of the reading and what was
read.

The ensemble Kalman filter (Evensen 2003, Ocean Dyn. 53:343) is the deterministic one of Anderson
2001 (Mon. Weather Rev. 129:2884) in the two steps of Anderson 2003 (131:634), a square-root filter
in the sense of Tippett et al. 2003 (131:1485): what was expected is shifted and contracted as
Bayes' rule has it, and every coordinate follows by its regression on it. Regressions of slow
parameters are damped by what an ensemble of this size gets wrong by chance (Menetrier et al. 2015,
143:1622), and the spread is relaxed to what it was before (Whitaker & Hamill 2012, 140:3078).

The particle filter weighs members by their likelihood and, where few count, resamples them
systematically (Kitagawa 1996, J. Comput. Graph. Stat. 5:1), in order of what they expected, so that
their own order does not matter; slow parameters are rejuvenated by the kernel of Liu & West 2001
(Sequential Monte Carlo Methods in Practice, chapter 10), which keeps their mean and covariance.

In both a reading that lies far off is trusted less: its variance is taken as large enough to make
it no more than `outlier_sd` surprising (as Huber's loss has it; Roh et al. 2013, 141:4414).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from hybridtwin.assimilation.settings import FilterSettings
from hybridtwin.resampling import systematic


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
        moved: (D,) bool, whether the Kalman filter moves them; the others follow their member.
        slow: (D,) bool, whether they are parameters, which the body's steps leave alone.
    """

    moved: Tensor
    slow: Tensor


@dataclass(frozen=True)
class Chance:
    """What is left to chance in a filter's step.

    Attributes:
        uniform: (N,) from 0 to 1.
        normal: (N, M, M) standard normal.
    """

    uniform: Tensor
    normal: Tensor


Filter = Callable[[Ensemble, Reading, Kinds, FilterSettings, Chance], Ensemble]


def ensemble_kalman(
    ensemble: Ensemble, reading: Reading, kinds: Kinds, settings: FilterSettings, _: Chance
) -> Ensemble:
    """Members after a reading; deterministic."""
    expected, members = reading.expected, ensemble.members
    count = expected.shape[1]
    mean, centre = expected.mean(1, keepdim=True), members.mean(1, keepdim=True)
    off, deviations = expected - mean, members - centre
    variance = off.square().sum(1, keepdim=True) / (count - 1)
    missed = reading.value.unsqueeze(1) - mean
    error = _trusted_variance(reading, missed, variance, settings)
    # What was expected, as Bayes' rule has it.
    gain = variance / (variance + error)
    contraction = (error / (variance + error)).sqrt()
    change = gain * missed + (contraction - 1) * off
    # What follows of every coordinate.
    covariance = (off.unsqueeze(-1) * deviations).sum(1) / (count - 1)
    slope = covariance / variance.clamp(min=torch.finfo(variance.dtype).tiny)
    before = deviations.square().sum(1) / (count - 1)
    trust = _beyond_chance(covariance.square(), before * variance, count)
    slope = slope * torch.where(kinds.slow, trust, 1.0) * kinds.moved
    moved = members + slope.unsqueeze(1) * change.unsqueeze(-1)
    after = replace(ensemble, members=_relaxed(moved, before, settings.relaxation))
    return _where_read(reading, after, ensemble)


def _trusted_variance(
    reading: Reading, missed: Tensor, variance: Tensor, settings: FilterSettings
) -> Tensor:
    """(N, 1) variance of the reading's error, larger where it lies far off."""
    surprising = (missed / settings.outlier_sd).square() - variance
    return torch.maximum(reading.sd.square().unsqueeze(1), surprising)


def _beyond_chance(covariance_squared: Tensor, variances: Tensor, count: int) -> Tensor:
    """(N, D) share, 0 to 1, of a covariance that is not chance among so many members."""
    # Menetrier et al. 2015, for normal errors, from this one covariance.
    by_chance = variances / covariance_squared.clamp(min=torch.finfo(variances.dtype).tiny)
    share = (count - 1) / ((count + 1) * (count - 2)) * ((count - 1) - by_chance)
    return share.clamp(0, 1)


def _relaxed(members: Tensor, before: Tensor, relaxation: float) -> Tensor:
    """Members with part of the spread that they had: (N, D) variance before."""
    centre = members.mean(1, keepdim=True)
    deviations = members - centre
    after = deviations.square().sum(1) / (members.shape[1] - 1)
    ratio = (before / after.clamp(min=torch.finfo(after.dtype).tiny)).sqrt()
    factor = torch.where(after > 0, 1 + relaxation * (ratio - 1), 1.0)
    return centre + factor.unsqueeze(1) * deviations


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
    drawn = _chosen(members, systematic(weights, chance.uniform))
    shrink = (3 * settings.discount - 1) / (2 * settings.discount)
    mean = (weights.unsqueeze(-1) * members).sum(1, keepdim=True)
    # Of the weighted covariance, without its root: a normal combination of deviations.
    noise = chance.normal @ (weights.sqrt().unsqueeze(-1) * (members - mean))
    kernel = shrink * drawn + (1 - shrink) * mean + (1 - shrink**2) ** 0.5 * noise
    return Ensemble.equal(torch.where(kinds.slow, kernel, drawn))


def _chosen(members: Tensor, index: Tensor) -> Tensor:
    return members.gather(1, index.unsqueeze(-1).expand_as(members))


def _where_read(reading: Reading, after: Ensemble, before: Ensemble) -> Ensemble:
    """The ensembles after a reading, and those before where there was none."""
    read = ~reading.value.isnan().reshape(-1, 1)
    return Ensemble(
        torch.where(read.unsqueeze(-1), after.members, before.members),
        torch.where(read, after.log_weights, before.log_weights),
    )


FILTERS: Final[dict[str, Filter]] = {"ensemble-kalman": ensemble_kalman, "particle": particle}
"""By `FilterSettings.kind`."""
