"""Scoring: several models learn from the same windows and are scored on the same windows."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import pandas as pd
import torch
from matplotlib.figure import Figure
from pydantic import Field, field_validator
from rich.progress import Progress
from torch import Tensor

from hybridtwin.errors import HistoryError, ModelError, Problem
from hybridtwin.record import Record
from training.metrics import MEAN, rows
from training.peers import PEERS
from training.twins import TWINS, Twins
from training.windows import (
    FitFunction,
    Prediction,
    Skipped,
    Split,
    WindowRule,
    Windows,
    split_by_time,
)

Fits = Mapping[str, FitFunction]


class ScoringRule(WindowRule):
    """What every protocol says: what is scored, against whom, and how rows are made."""

    name: str
    split: str = Field(description="The rows' word for what was learnt from and scored.")
    peers: tuple[str, ...] = Field(tuple(PEERS), description=f"Of {', '.join(PEERS)}.")
    bootstrap_samples: int = Field(1000, ge=1)
    seed: int = 0

    @field_validator("peers")
    @classmethod
    def _known(cls, peers: tuple[str, ...]) -> tuple[str, ...]:
        for name in peers:
            if name not in PEERS:
                raise ValueError(f"no peer {name!r}; choose of {', '.join(PEERS)}")
        return peers

    def peer_fits(self) -> dict[str, FitFunction]:
        """The peers by name."""
        return {name: PEERS[name] for name in self.peers}


class WindowsProtocol(ScoringRule):
    """Everyone's first part of time is learnt from, the last part is scored."""

    kind: Literal["windows"] = "windows"
    twins: tuple[str, ...] = Field(
        ("twin", "twin-current", "twin-personal"), description=f"Of {', '.join(TWINS)}."
    )

    @field_validator("twins")
    @classmethod
    def _known_twins(cls, twins: tuple[str, ...]) -> tuple[str, ...]:
        for name in twins:
            if name not in TWINS:
                raise ValueError(f"no twin {name!r}; choose of {', '.join(TWINS)}")
        return twins


@dataclass(frozen=True)
class Results:
    """What a protocol found.

    Attributes:
        rows: Tidy rows, see `training.metrics.ROW`.
        skipped: Records without enough windows.
        seconds: To learn and to predict, by model.
        figures: By file name.
    """

    rows: pd.DataFrame
    skipped: list[Skipped] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)


def evaluate_windows(
    records: Sequence[Record], protocol: WindowsProtocol, twins: Twins, progress: Progress
) -> Results:
    """Score peers and twins on the last part of everyone's time.

    Raises:
        HistoryError: No record has enough windows.
    """
    split = scorable(split_by_time(records, protocol))
    fits = protocol.peer_fits() | twins.fits(protocol.twins)
    return contest(split, fits, protocol, progress)


def scorable(split: Split) -> Split:
    """The split itself.

    Raises:
        HistoryError: It holds nobody.
    """
    if split.score.participants:
        return split
    reasons = [Problem(each.participant, each.reason, "Send more.") for each in split.skipped]
    raise HistoryError(reasons or [Problem("records", "there are none", "Send some.")])


def contest(split: Split, fits: Fits, rule: ScoringRule, progress: Progress) -> Results:
    """Fit models on the windows to learn from and score them on the others."""
    seconds: dict[str, float] = {}
    said = predictions(fits, split.learn, split.score, seconds, progress)
    table = score(said, split.score, rule, rule.split)
    return Results(table, split.skipped, seconds, {"rmse.png": rmse_figure(table)})


def predictions(
    fits: Fits, learn: Windows, asked: Windows, seconds: dict[str, float], progress: Progress
) -> dict[str, Prediction]:
    """What each model says of the windows asked, having learnt from others.

    Args:
        fits: Models by name.
        learn: To learn from.
        asked: To predict.
        seconds: By model; the time that it takes is added here.
        progress: Where to show how far it is.

    Raises:
        ModelError: A model does not predict every window.
    """
    said = {}
    task = progress.add_task("evaluate", total=len(fits))
    for name, fit in fits.items():
        progress.update(task, description=f"evaluate {name}")
        began = time.perf_counter()
        said[name] = fit(learn)(asked)
        seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - began
        _check(name, said[name], asked)
        progress.advance(task)
    progress.remove_task(task)
    return said


def score(
    said: Mapping[str, Prediction], windows: Windows, rule: ScoringRule, split: str
) -> pd.DataFrame:
    """Tidy rows of what several models said of the same windows."""
    samples, seed = rule.bootstrap_samples, rule.seed
    tables = [rows(name, windows, each, split, samples, seed) for name, each in said.items()]
    return pd.concat(tables, ignore_index=True)


def in_order(parts: Sequence[tuple[Tensor, Prediction]]) -> Prediction:
    """One prediction of all windows, from those of parts of them.

    Args:
        parts: The windows' positions (n,), all of them once, and what was said of them.
    """
    order = torch.cat([at for at, _ in parts]).argsort()
    said = [prediction for _, prediction in parts]
    quantiles = [each.quantiles for each in said if each.quantiles is not None]
    return Prediction(
        torch.cat([each.mean for each in said])[order],
        torch.cat(quantiles)[order] if quantiles else None,
        said[0].levels,
    )


def _check(name: str, prediction: Prediction, windows: Windows) -> None:
    shape = (len(windows), len(windows.horizons_min))
    if prediction.mean.shape != shape:
        what = f"predicts {tuple(prediction.mean.shape)} values where {shape} were asked"
        raise ModelError.of(name, what, "Return one mean per window and horizon.")
    spread = prediction.quantiles if prediction.quantiles is not None else prediction.mean
    for values in (prediction.mean, spread):
        if not bool(torch.isfinite(values).all()):
            raise ModelError.of(name, "predicts values that are not finite", "Train it again.")


def rmse_figure(table: pd.DataFrame) -> Figure:
    """RMSE against the horizon, a panel per cohort and a row per split, with intervals."""
    means = table[(table["participant"] == MEAN) & (table["metric"] == "rmse")]
    cohorts, splits = list(means["cohort"].unique()), list(means["split"].unique())
    size = (3.6 * len(cohorts), 3.4 * len(splits))
    drawn = Figure(figsize=size, layout="constrained")
    panels = drawn.subplots(len(splits), len(cohorts), squeeze=False, sharey=True)
    for row, split in zip(panels, splits, strict=True):
        for panel, cohort in zip(row, cohorts, strict=True):
            here = means[(means["cohort"] == cohort) & (means["split"] == split)]
            for model, group in here.groupby("model", sort=False):
                whiskers = [group["value"] - group["ci_low"], group["ci_high"] - group["value"]]
                panel.errorbar(
                    group["horizon_min"], group["value"], yerr=whiskers, marker="o", label=model
                )
            panel.set(title=f"{cohort}, {split}", xlabel="horizon (min)")
        row[0].set_ylabel("RMSE (mg/dL)")
        row[0].legend()
    return drawn
