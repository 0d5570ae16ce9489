"""How good probabilities of events are, pooled over patients, as tidy rows."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import auc, brier_score_loss, roc_curve

from training.metrics import ALL, MEAN, ROW, Array, interval
from training.windows import Mask, Windows

BINS: Final = 10
NIGHTS_PER_WEEK: Final = 7


def auroc(happened: Mask, probability: Array) -> float:
    """Area under the ROC curve; NaN where all or none happened."""
    if happened.all() or not happened.any():
        return float("nan")
    wrong, right, _ = roc_curve(happened, probability)
    return float(auc(wrong, right))


def brier(happened: Mask, probability: Array) -> float:
    """Mean square of probability less outcome."""
    return float(brier_score_loss(happened, probability))


def bins(happened: Mask, probability: Array) -> NDArray[np.float64]:
    """(2, bins) mean probability and share that happened, in bins of equal count by probability."""
    order = np.argsort(probability, kind="stable")
    parts = [part for part in np.array_split(order, BINS) if len(part)]
    return np.array([[values[part].mean() for part in parts] for values in (probability, happened)])


def ece(happened: Mask, probability: Array) -> float:
    """Expected calibration error: mean distance of what was said from what happened, over bins."""
    said, came = bins(happened, probability)
    return float(np.abs(said - came).mean())


def sensitivity_at_1(happened: Mask, probability: Array) -> float:
    """Share of events alarmed at the threshold of at most one false alarm per patient-week.

    One probability a night; NaN where nothing happened.
    """
    if happened.all() or not happened.any():
        return float("nan")
    wrong, right, _ = roc_curve(happened, probability, drop_intermediate=False)
    allowed = len(happened) / NIGHTS_PER_WEEK
    return float(right[wrong * (~happened).sum() <= allowed + 1e-9].max())


METRICS: Final[dict[str, Callable[[Mask, Array], float]]] = {
    "auroc": auroc,
    "brier": brier,
    "ece": ece,
    "sensitivity_at_1": sensitivity_at_1,
}


def event_rows(
    model: str,
    event: str,
    windows: Windows,
    happened: Mask,
    probability: Array,
    samples: int,
    seed: int,
) -> pd.DataFrame:
    """Rows of one model and event for each cohort and all; their participant is `mean`.

    Pooled over patients, with intervals from resampled patients. A metric that cannot be told, such
    as AUROC where nothing happened, has no row.

    Args:
        model: Its name.
        event: Its name, put behind each metric's.
        windows: One per probability.
        happened: (W,).
        probability: (W,).
        samples: Bootstrap samples.
        seed: Of the bootstrap.
    """
    generator = np.random.default_rng(seed)
    found: list[dict[str, Any]] = []
    person = windows.person.numpy()
    for cohort in (*dict.fromkeys(windows.cohorts), ALL):
        members = [at for at, its in enumerate(windows.cohorts) if cohort in (its, ALL)]
        positions = [at for at in (np.flatnonzero(person == one) for one in members) if len(at)]
        if not positions:
            continue
        every = np.concatenate(positions)
        draws = generator.integers(len(positions), size=(samples, len(positions)))
        resampled = [np.concatenate([positions[one] for one in draw]) for draw in draws]
        for name, metric in METRICS.items():
            value = metric(happened[every], probability[every])
            if np.isnan(value):
                continue
            drawn = np.array([metric(happened[at], probability[at]) for at in resampled])
            found.append(
                {
                    "cohort": cohort,
                    "participant": MEAN,
                    "model": model,
                    "metric": f"{name}_{event}",
                    "value": value,
                    "participants": len(positions),
                    "windows": len(every),
                }
                | interval(drawn[~np.isnan(drawn)])
            )
    return pd.DataFrame(
        found, columns=[name for name in ROW if name not in ("split", "horizon_min")]
    )
