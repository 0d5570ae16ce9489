"""Night statistics: how often a low came where an evening looked like this one.

Two opinions are joined, each calibrated: the share of the twin's sample paths with a low, and
boosted trees that read history, climatology and the time to midnight. The mean of their log odds
is what is said (a logarithmic pool: Genest & Zidek 1986, Stat Sci 1:114-135).
"""

from dataclasses import dataclass
from typing import Any, Final, Self

import lightgbm
import torch
from torch import Tensor

EVENING_MIN: Final = 180
"""Statistics are of the last three hours before midnight."""
_LEAST_SHARE: Final = 1 / 400
"""Of 200 paths none had it: half a path."""


@dataclass(frozen=True)
class NightStatistics:
    """Of one kind of low.

    Attributes:
        trees: They give a probability.
        slope: Of log odds on those of the share of paths.
        offset: Log odds where these are 0.
    """

    trees: lightgbm.Booster
    slope: float
    offset: float

    def probability(self, table: Tensor, share: Tensor) -> Tensor:
        """(B,) probability of the low.

        Args:
            table: (B, F) of `evening`.
            share: (B,) of paths with the low.
        """
        said = self.trees.predict(table.double().numpy(), num_threads=1)
        by_trees = torch.logit(torch.from_numpy(said), eps=_LEAST_SHARE)
        by_paths = self.slope * log_odds(share).double() + self.offset
        return torch.sigmoid((by_trees + by_paths) / 2).float()

    def as_text(self) -> dict[str, Any]:
        """To be written to a file."""
        return {
            "trees": self.trees.model_to_string(),
            "slope": self.slope,
            "offset": self.offset,
        }

    @classmethod
    def from_text(cls, text: dict[str, Any]) -> Self:
        """As it was before it was written."""
        trees = lightgbm.Booster(model_str=text["trees"])
        return cls(trees, float(text["slope"]), float(text["offset"]))


def log_odds(share: Tensor) -> Tensor:
    """(B,) finite log odds of shares of paths (B,)."""
    return torch.logit(share, eps=_LEAST_SHARE)


def evening(read: Tensor, to_midnight_min: Tensor) -> Tensor:
    """(B, F) what trees read: predictors of history (B, F - 1) and how far midnight is (B,)."""
    return torch.cat([read, to_midnight_min.float().unsqueeze(-1)], dim=1)
