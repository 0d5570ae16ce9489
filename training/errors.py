"""How forecast errors at different horizons hang together, learnt from held-back windows."""

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.optimize import least_squares
from torch import Tensor

from hybridtwin.hybrid import log_ratio
from hybridtwin.neural.spread import LEVELS
from hybridtwin.units import STEP_MIN
from training.batch import Batch
from training.module import TwinTraining

_INNER_80: Final = 2.5631  # standard deviations between the 10 % and the 90 % quantile
_EVERY_STEPS: Final = 3  # 15 minutes, which every sensor has
_OUTLIER: Final = 4.0
_HOUR_MIN: Final = 60.0
_LONGEST_MEMORY_MIN: Final = 1e4


def nameless_errors(
    module: TwinTraining, batches: Iterable[Batch]
) -> Iterator[tuple[Tensor, Tensor]]:
    """What windows show of forecasts made without a name, with an open plan.

    Yields:
        (B, H) log of reading to trajectory, NaN without a reading; (B, H, Q) its quantiles as
        forecast.
    """
    with torch.inference_mode():
        for batch in batches:
            nobody = torch.zeros(len(batch.person), dtype=torch.long)
            trajectory, quantiles, _ = module.run(batch, nobody, nobody == 0)
            ratio = log_ratio(batch.target_mg_dl.clamp(min=1), trajectory)
            yield torch.where(batch.target_known, ratio, torch.nan), quantiles


def standard_errors(module: TwinTraining, batches: Iterable[Batch]) -> Tensor:
    """(N, H) errors in standard deviations of the forecast's own spread; NaN without a reading."""
    found = []
    for ratio, quantiles in nameless_errors(module, batches):
        low, high = (quantiles[..., LEVELS.index(level)] for level in (0.1, 0.9))
        found.append((ratio - quantiles[..., LEVELS.index(0.5)]) / ((high - low) / _INNER_80))
    return torch.cat(found)


def fit_correlation(errors: Tensor) -> tuple[float, float]:
    """Exponent a and memory tau (min) of (s/t)^a exp(-(t - s)/tau), as in `paths.correlation`.

    Least squares on the correlations themselves, over all pairs of horizons.

    Args:
        errors: (N, H) standard errors, NaN where unknown.
    """
    columns = torch.arange(_EVERY_STEPS - 1, errors.shape[1], _EVERY_STEPS)
    frame = pd.DataFrame(errors[:, columns].clamp(-_OUTLIER, _OUTLIER).numpy())
    observed = frame.corr(min_periods=len(frame) // 10).to_numpy()
    minutes = STEP_MIN * (columns.numpy() + 1.0)
    earlier, later = np.triu_indices(len(minutes), k=1)
    known = ~np.isnan(observed[earlier, later])
    earlier, later = earlier[known], later[known]
    ratio, apart = np.log(minutes[later] / minutes[earlier]), minutes[later] - minutes[earlier]

    def gap(guess: NDArray[np.float64]) -> NDArray[np.float64]:
        modelled = np.exp(-guess[0] * ratio - guess[1] * apart / _HOUR_MIN)
        return np.asarray(modelled - observed[earlier, later])

    found = least_squares(gap, x0=[0.2, 0.2], bounds=([0, _HOUR_MIN / _LONGEST_MEMORY_MIN], [5, 5]))
    return float(found.x[0]), float(_HOUR_MIN / found.x[1])
