"""Rates: so many of so many, or in so much time, pooled over people, as tidy rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from training.metrics import ALL, MEAN, ROW, Array, interval


@dataclass(frozen=True)
class Rate:
    """One person's share of a rate.

    Attributes:
        cohort: Of the person.
        participant: Who.
        model: Whose rate it is.
        metric: What is counted.
        count: How many.
        of: Of how many, or in how long a time.
        horizon_min: For how long ahead; 0 for now.
    """

    cohort: str
    participant: str
    model: str
    metric: str
    count: float
    of: float
    horizon_min: int = 0


def rate_rows(rates: Sequence[Rate], split: str, samples: int, seed: int) -> pd.DataFrame:
    """Rows of each cohort and, if there are several, of all; intervals from resampled people.

    A row's `windows` is what the count is divided by, rounded.
    """
    generator = np.random.default_rng(seed)
    table = pd.DataFrame([vars(rate) for rate in rates])
    found = []
    cohorts = list(table["cohort"].unique())
    for cohort in (*cohorts, ALL) if len(cohorts) > 1 else cohorts:
        members = table if cohort == ALL else table[table["cohort"] == cohort]
        groups = members.groupby(["model", "metric", "horizon_min"], sort=False)
        for (model, metric, horizon), group in groups:
            count, of = group["count"].to_numpy(float), group["of"].to_numpy(float)
            if not of.sum():
                continue
            drawn = _resampled(count, of, samples, generator)
            found.append(
                {
                    "cohort": cohort,
                    "split": split,
                    "participant": MEAN,
                    "model": model,
                    "horizon_min": horizon,
                    "metric": metric,
                    "value": count.sum() / of.sum(),
                    "participants": len(group),
                    "windows": round(of.sum()),
                }
                | interval(drawn)
            )
    return pd.DataFrame(found)[list(ROW)]


def _resampled(count: Array, of: Array, samples: int, generator: np.random.Generator) -> Array:
    """(samples,) the rate of people drawn with replacement, where it can be told."""
    drawn = generator.integers(len(of), size=(samples, len(of)))
    total = of[drawn].sum(1)
    told = total > 0
    return np.asarray(count[drawn].sum(1)[told] / total[told])
