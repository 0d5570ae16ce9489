"""Suppositions weighed against readings: Bayes' rule over what may not have been logged.

How large the noise of hindcasts is for one person is not known, so the likelihood is Student's, of
which the normal one with a variance of its own is made (Geweke 1993, J. Appl. Econom. 8:S19).
"""

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hybridtwin.assimilation.settings import UnloggedSettings
from hybridtwin.assimilation.supposed import (
    EXERCISE_MIN,
    MEALS_G,
    Supposed,
    root_of_known,
    times,
)
from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.units import STEP_MIN

GRAMS: Final = tuple(np.arange(10.0, 151.0, 10.0).tolist())
"""Sizes of a meal that are weighed."""
LOSSES: Final = (0.4, 0.7, 1.0)
"""Shares of a pump's insulin that a failing site may lose."""
MINUTES: Final = (20.0, 40.0, 60.0)
"""Of moderate exercise."""
Told = Literal["meal", "site failure", "exercise"]
_WITHIN_MIN: Final[dict[Told, float]] = {"meal": 45, "site failure": 120, "exercise": 60}
"""How near to the likeliest time counts as then."""


@dataclass(frozen=True)
class Possible:
    """What can have happened in B looks.

    Attributes:
        meal: (B, K) how much likelier a meal is from each time on than at just any time.
        site: (B,) whether insulin comes from a pump.
        exercise: (B,) whether neither heart rate nor steps are known.
        bolus: (B,) whether a logged meal has no bolus, and it is known how large that usually is.
    """

    meal: Tensor
    site: Tensor
    exercise: Tensor
    bolus: Tensor


@dataclass(frozen=True)
class Suppositions:
    """One kind of event in B looks, from each of K times on and of each of A sizes.

    Attributes:
        amounts: A of them.
        expected_mg_dl: (B, K, A, H) what would have been read.
        log_prior: (B, K, A) of their probability, relative to that of nothing.
    """

    amounts: tuple[float, ...]
    expected_mg_dl: Tensor
    log_prior: Tensor

    def rows(self, index: Tensor) -> "Suppositions":
        """Those of the chosen looks."""
        return Suppositions(self.amounts, self.expected_mg_dl[index], self.log_prior[index])


@dataclass(frozen=True)
class Posterior:
    """Probabilities in B looks; those of a look add up to 1.

    Attributes:
        nothing: (B,) that all was logged.
        kinds: By name, (B, K, A).
    """

    nothing: Tensor
    kinds: dict[str, Tensor]


def suppositions(
    supposed: Supposed, possible: Possible, settings: UnloggedSettings
) -> dict[str, Suppositions]:
    """By name: `meal`, `site failure`, `exercise`, and `bolus`, one that was given unlogged."""
    logged = supposed.logged[:, None, None]
    share = settings.every_min / MINUTES_PER_DAY
    far = (np.log(GRAMS) - math.log(settings.meal_g)) / settings.meal_spread
    sizes = torch.from_numpy(np.exp(-0.5 * far**2) / GRAMS)  # log-normal
    given = settings.bolus_given / (1 - settings.bolus_given)

    def kind(
        amounts: tuple[float, ...],
        expected: Tensor,
        known: tuple[float, ...],
        odds: Tensor,
        there: Tensor,
    ) -> Suppositions:
        """Of amounts, from what is expected of known ones (B, K, len(known), H).

        Their odds (A,) are multiplied by what is `there`, (B, K) or (B,).
        """
        shares = torch.from_numpy(_between(known, amounts))
        change = torch.einsum("ga,bkah->bkgh", shares, expected - logged)
        log_prior = (there.view(len(logged), -1, 1) * odds).log()
        return Suppositions(amounts, logged + change, log_prior.expand(change.shape[:3]))

    def evenly(amounts: tuple[float, ...], a_day: float) -> Tensor:
        return torch.full((len(amounts),), a_day * share / len(amounts)).double()

    meals = settings.meals_a_day * share * sizes / sizes.sum()
    sites, bouts = (
        evenly(LOSSES, settings.sites_a_day),
        evenly(MINUTES, settings.exercise_a_day),
    )
    site, exercise = supposed.site.unsqueeze(2), supposed.exercise.unsqueeze(2)
    bolus = supposed.bolus[:, None, None]
    return {
        "meal": kind(GRAMS, supposed.meal, MEALS_G, meals, possible.meal),
        "site failure": kind(LOSSES, site, (1.0,), sites, possible.site),
        "exercise": kind(MINUTES, exercise, (EXERCISE_MIN,), bouts, possible.exercise),
        "bolus": kind((1.0,), bolus, (1.0,), torch.tensor([given]).double(), possible.bolus),
    }


def _between(known: tuple[float, ...], wanted: tuple[float, ...]) -> NDArray[np.float64]:
    """(W, A) shares of the effects of known amounts in those of wanted ones."""
    points = (0.0, *known)
    return np.stack([np.interp(wanted, points, row) for row in np.eye(len(points))[1:]], axis=1)


def weigh(
    read_mg_dl: Tensor,
    logged_mg_dl: Tensor,
    supposed: dict[str, Suppositions],
    covariance: Tensor,
    freedom: float,
) -> Posterior:
    """Probabilities after the readings.

    Args:
        read_mg_dl: (B, H) NaN where nothing was read.
        logged_mg_dl: (B, H) expected where all was logged.
        supposed: What else may have happened.
        covariance: (B, H, H) of what is missed where all was logged.
        freedom: Degrees of freedom of its size.
    """
    there = ~read_mg_dl.isnan()
    root = root_of_known(covariance, there)
    count = there.sum(1).unsqueeze(1)

    def log_likelihood(expected: Tensor) -> Tensor:
        """(B, S) of expected readings (B, S, H)."""
        missed = torch.where(there.unsqueeze(1), read_mg_dl.unsqueeze(1) - expected, 0.0)
        white = torch.linalg.solve_triangular(root, missed.transpose(1, 2), upper=False)
        return -0.5 * (freedom + count) * torch.log1p(white.square().sum(1) / freedom)

    scores = [log_likelihood(logged_mg_dl.unsqueeze(1))]
    for each in supposed.values():
        scores.append(log_likelihood(each.expected_mg_dl.flatten(1, 2)) + each.log_prior.flatten(1))
    nothing, *parts = torch.cat(scores, 1).softmax(1).split([s.shape[1] for s in scores], 1)
    kinds = {
        name: part.view_as(each.log_prior)
        for (name, each), part in zip(supposed.items(), parts, strict=True)
    }
    return Posterior(nothing[:, 0], kinds)


@dataclass(frozen=True)
class Event:
    """The likeliest event of one look.

    Attributes:
        kind: What it is.
        begin_min: When it began, after the hours' begin.
        begin_sd_min: SD of that.
        amount: How much.
        amount_sd: SD of that.
        probability: That it happened about then; 0 where it may be older than the hours.
        effect_mg_dl: (H,) what it adds to what is read.
    """

    kind: Told
    begin_min: float
    begin_sd_min: float
    amount: float
    amount_sd: float
    probability: float
    effect_mg_dl: Tensor


def likeliest(
    posterior: Posterior,
    supposed: dict[str, Suppositions],
    logged_mg_dl: Tensor,
    row: int,
    settings: UnloggedSettings,
) -> Event:
    """Of one look, of all kinds that are told."""
    begins = (STEP_MIN * times(settings)).double()

    def near(kind: Told) -> tuple[float, Told, Tensor]:
        """The probability of a kind about its likeliest time, and where it lies (K, A)."""
        found = posterior.kinds[kind][row]
        mode = begins[found.sum(1).argmax()]
        about = torch.where((begins - mode).abs().unsqueeze(1) <= _WITHIN_MIN[kind], found, 0.0)
        # An infusion site fails for good, so that it may have done so before.
        older = kind != "site failure" and float(mode) < settings.settle_min
        return 0.0 if older else float(about.sum()), kind, about

    probability, kind, about = max((near(kind) for kind in _WITHIN_MIN), key=lambda one: one[0])
    share = about / about.sum().clamp(min=torch.finfo(about.dtype).tiny)
    amounts = torch.tensor(supposed[kind].amounts).double()
    begin, begin_sd = _moments(begins, share.sum(1))
    amount, amount_sd = _moments(amounts, share.sum(0))
    effect = supposed[kind].expected_mg_dl[row] - logged_mg_dl[row]
    return Event(
        kind,
        begin,
        float(np.hypot(begin_sd, settings.every_min / 12**0.5)),
        amount,
        amount_sd,
        probability,
        torch.einsum("ka,kah->h", share, effect),
    )


def _moments(values: Tensor, share: Tensor) -> tuple[float, float]:
    """Mean and SD."""
    mean = (values * share).sum()
    return float(mean), float((share * (values - mean).square()).sum().sqrt())
