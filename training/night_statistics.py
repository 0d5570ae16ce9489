"""Fitting of night statistics: what followed the evenings of the learning time."""

import torch
from pydantic import BaseModel, ConfigDict, Field
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from hybridtwin.night_statistics import NightStatistics, log_odds
from hybridtwin.twin import Twin
from training.batch import Participants
from training.night_models import evening_table, path_shares
from training.nights import LOWS, NightRule, anchors, join_nights
from training.tree_fit import TreeSettings
from training.windows import border_index

_FEWEST_LOWS = 5
"""With fewer on the later nights, shares of paths are taken as they are."""


class NightSettings(BaseModel):
    """How night statistics are fitted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    learn_stride: int = Field(3, ge=1, description="Every how many evening readings to fit to.")
    trees: TreeSettings = TreeSettings(rounds=100, leaves=8, fewest=60, learning_rate=0.03)
    penalty: float = Field(10.0, gt=0, description="On the slope of the paths' log odds.")


def fit_nights(
    twin: Twin, participants: Participants, settings: NightSettings, learn_fraction: float
) -> dict[str, NightStatistics]:
    """Statistics of each of `LOWS`; none where nobody has an evening.

    Trees learn from all nights. The twin knows the first part of them by heart, so that what its
    paths are worth is learnt from the rest.

    Args:
        twin: With its open forecasts corrected.
        participants: Their learning time.
        settings: How.
        learn_fraction: First share of it, from which the twin has learnt.
    """
    rule = NightRule(learn_stride=settings.learn_stride)
    every, late = [], []
    for timeline in participants.timelines:
        found = anchors(timeline, rule)[:: rule.learn_stride]
        every.append((timeline, found))
        late.append((timeline, found[found >= border_index(timeline, learn_fraction)]))
    who = [(name, "") for name in participants.names]
    nights, later = join_nights(who, every), join_nights(who, late)
    if not len(nights):
        return {}
    table = evening_table([twin] * len(who), nights)
    shares = path_shares([twin] * len(who), later)
    statistics = {}
    for low in LOWS:
        happened = nights.happened[low.name].double().numpy()
        weight = torch.ones(len(nights)).double().numpy()
        trees = settings.trees.fit("binary", table.double().numpy(), happened, weight)
        slope, offset = _paths_worth(shares[low.name], later.happened[low.name], settings.penalty)
        statistics[low.name] = NightStatistics(trees, slope, offset)
    return statistics


def _paths_worth(share: Tensor, happened: Tensor, penalty: float) -> tuple[float, float]:
    """Slope and offset of log odds on those of the share of paths."""
    lows = int(happened.sum())
    if min(lows, len(happened) - lows) < _FEWEST_LOWS:
        return 1.0, 0.0
    odds = log_odds(share).double().unsqueeze(1).numpy()
    fit = LogisticRegression(C=1 / penalty).fit(odds, happened.numpy())
    return float(fit.coef_[0, 0]), float(fit.intercept_[0])
