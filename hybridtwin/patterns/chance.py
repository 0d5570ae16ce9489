"""How likely it is that chance alone made what was seen, and how sure its size is."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]

_CONFIDENCE: Final = 0.95


def at_least(count: int, of: int, share: float) -> float:
    """Probability of `count` or more of `of` where each happens with probability `share`."""
    return float(stats.binom.sf(count - 1, of, share))


def share_interval(count: int, of: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927, J Am Stat Assoc 22:209)."""
    found = stats.binomtest(count, of).proportion_ci(_CONFIDENCE, method="wilson")
    return float(found.low), float(found.high)


def mean_above(values: Floats, limit: float) -> tuple[float, tuple[float, float], float]:
    """Mean of values (n,), its 95 % interval, and the chance of it where the mean is `limit`."""
    test = stats.ttest_1samp(values, limit, alternative="greater")
    both = stats.ttest_1samp(values, limit).confidence_interval(_CONFIDENCE)
    return float(values.mean()), (float(both.low), float(both.high)), float(test.pvalue)


def difference(values: Floats, others: Floats) -> tuple[float, tuple[float, float], float]:
    """Mean of values (n,) less that of others (m,), its 95 % interval, and the chance of it.

    The chance holds for means that are alike, however the two spread (Welch 1947, Biometrika
    34:28).
    """
    test = stats.ttest_ind(values, others, equal_var=False)
    reach = test.confidence_interval(_CONFIDENCE)
    middle = float(values.mean() - others.mean())
    return middle, (float(reach.low), float(reach.high)), float(test.pvalue)


def coefficient(
    predictors: Floats, values: Floats, which: int
) -> tuple[float, tuple[float, float], float]:
    """Least squares: one coefficient, its 95 % interval, and the chance of it where it is 0.

    Args:
        predictors: (n, F), one of them constant.
        values: (n,).
        which: Column of `predictors`.
    """
    free = len(values) - predictors.shape[1]
    inverse = np.linalg.pinv(predictors.T @ predictors)
    found = inverse @ predictors.T @ values
    spread = np.sum((values - predictors @ found) ** 2) / free
    error = float(np.sqrt(spread * inverse[which, which]))
    reach = float(stats.t.ppf((1 + _CONFIDENCE) / 2, free)) * error
    middle = float(found[which])
    chance = float(2 * stats.t.sf(abs(middle) / error, free)) if error > 0 else 1.0
    return middle, (middle - reach, middle + reach), chance


def holm(chances: Sequence[float]) -> list[float]:
    """Chances that hold for all looks at once, whatever depends on what.

    Holm 1979, Scand J Stat 6:65.
    """
    order = np.argsort(chances)
    adjusted = np.array(chances, dtype=float)[order] * np.arange(len(chances), 0, -1)
    result = np.empty(len(chances))
    result[order] = np.minimum(np.maximum.accumulate(adjusted), 1.0)
    return [float(value) for value in result]
