"""How forecast errors at different horizons hang together, learnt from held-back windows."""

from collections.abc import Iterable
from typing import Final

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor

from hybridtwin.hybrid import log_ratio
from hybridtwin.neural.spread import LEVELS
from hybridtwin.units import STEP_MIN
from training.data import Batch
from training.module import TwinTraining

_INNER_80: Final = 2.5631  # standard deviations between the 10 % and the 90 % quantile
_EVERY_STEPS: Final = 3  # 15 minutes, which every sensor has
_LEAST_CORRELATION: Final = 0.02
_LONGEST_MEMORY_MIN: Final = 1e4


def standard_errors(module: TwinTraining, batches: Iterable[Batch]) -> Tensor:
    """(N, H) errors in standard deviations of the forecast's own spread; NaN without a reading."""
    found = []
    with torch.inference_mode():
        for batch in batches:
            nobody = torch.zeros(len(batch.person), dtype=torch.long)
            trajectory, quantiles, _ = module.run(batch, nobody, nobody == 0)
            ratio = log_ratio(batch.target_mg_dl.clamp(min=1), trajectory)
            low, high = (quantiles[..., LEVELS.index(level)] for level in (0.1, 0.9))
            error = (ratio - quantiles[..., LEVELS.index(0.5)]) / ((high - low) / _INNER_80)
            found.append(torch.where(batch.target_known, error, torch.nan))
    return torch.cat(found)


def fit_correlation(errors: Tensor) -> tuple[float, float]:
    """Exponent a and memory tau (min) of (s/t)^a exp(-(t - s)/tau), as in `paths.correlation`.

    The logarithm is linear in a and 1/tau; both are kept from being negative.

    Args:
        errors: (N, H) standard errors, NaN where unknown.
    """
    columns = torch.arange(_EVERY_STEPS - 1, errors.shape[1], _EVERY_STEPS)
    series = errors[:, columns].clamp(-4, 4).numpy()
    minutes = STEP_MIN * (columns.numpy() + 1.0)
    rows, logs = [], []
    for i in range(len(minutes)):
        for j in range(i + 1, len(minutes)):
            both = ~np.isnan(series[:, i]) & ~np.isnan(series[:, j])
            if both.sum() < len(series) / 10:
                continue
            observed = np.corrcoef(series[both, i], series[both, j])[0, 1]
            rows.append([np.log(minutes[j] / minutes[i]), minutes[j] - minutes[i]])
            logs.append(-np.log(max(observed, _LEAST_CORRELATION)))
    (log_decay, forgetting), _ = nnls(np.array(rows), np.array(logs))
    return float(log_decay), 1 / max(float(forgetting), 1 / _LONGEST_MEMORY_MIN)
