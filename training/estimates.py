"""What is held true of people's own numbers while they are fitted: normal distributions."""

from dataclasses import dataclass

import torch
from torch import Tensor

from hybridtwin.physiology.parameters import FITTED_COLUMNS


@dataclass(frozen=True)
class Estimate:
    """What is held true of K numbers of each of N people: a normal distribution.

    Attributes:
        mean: (N, K).
        information: (N, K, K) inverse of the covariance.
    """

    mean: Tensor
    information: Tensor

    @classmethod
    def prior(cls, people: int, count: int, sd: float) -> "Estimate":
        """Around 0."""
        information = torch.diag(torch.full((count,), sd**-2))
        return cls(torch.zeros(people, count), information.repeat(people, 1, 1))

    def updated(self, information: Tensor, gain: Tensor) -> "Estimate":
        """After readings, which were made linear around the mean.

        Args:
            information: (N, K, K) that they add: slopes times slopes, over the errors' variance.
            gain: (N, K) slopes times errors, over the errors' variance.
        """
        total = self.information + information
        return Estimate(self.mean + torch.linalg.solve(total, gain), total)


@dataclass(frozen=True)
class Estimates:
    """What is held true of people's scores of `FITTED` parameters, and of their embeddings."""

    scores: Estimate
    embedding: Estimate

    @classmethod
    def prior(cls, people: int, size: int, embedding_sd: float) -> "Estimates":
        """Of people of whom nothing is known, with embeddings of so many numbers."""
        return cls(
            Estimate.prior(people, len(FITTED_COLUMNS), 1.0),
            Estimate.prior(people, size, embedding_sd),
        )
