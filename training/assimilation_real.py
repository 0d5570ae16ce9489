"""Assimilation on recordings: the same twin with and without what its forecasts of a person miss.

People are scored on the last part of their time by a twin that has never seen them. Every day what
its forecasts missed is learnt anew from all days before, as `hybridtwin.assimilation` does it.
"""

from collections.abc import Sequence
from typing import Final, Literal

import pandas as pd
import torch
from matplotlib.figure import Figure
from pydantic import Field
from rich.progress import Progress
from torch import Tensor

from hybridtwin.assimilation.settings import MissesSettings
from hybridtwin.neural.spread import LEVELS
from hybridtwin.record import Record
from training.forecasters import population
from training.kept_current import current
from training.metrics import ALL, MEAN, rows
from training.scoring import Results, in_order, predictions, rmse_figure, scorable
from training.twins import Twins
from training.unseen import FoldsProtocol, each_fold
from training.windows import Prediction, Windows, split_by_time

PLAIN: Final = "twin"
CURRENT: Final = "twin-current"


class RealProtocol(FoldsProtocol):
    """People never seen, with and without assimilation."""

    kind: Literal["assimilation-real"] = "assimilation-real"
    peers: tuple[str, ...] = ()
    cohorts: tuple[str, ...] = Field((), description="Who is scored; empty for everyone.")
    misses: MissesSettings = MissesSettings()


def evaluate_real(
    records: Sequence[Record], protocol: RealProtocol, twins: Twins, progress: Progress
) -> Results:
    """Score each fold's twin on its people, as it is and with what it misses put right.

    Raises:
        HistoryError: No record has enough windows, or there are too few people.
        ModelError: A fold has no twin that was trained without it.
    """
    split = scorable(split_by_time(records, protocol))
    wanted = [not protocol.cohorts or each in protocol.cohorts for each in split.score.cohorts]
    asked_of = torch.tensor(wanted)[split.score.person]
    parts: dict[str, list[tuple[Tensor, Prediction]]] = {PLAIN: [], CURRENT: []}
    scored: list[Tensor] = []
    seconds: dict[str, float] = {}
    for fold in each_fold(records, split, protocol.folds, twins):
        at = fold.at[asked_of[fold.at]]  # noqa: PD008
        fits = {PLAIN: population(fold.twin), CURRENT: current(fold.twin, protocol.misses)}
        said = predictions(fits, fold.others, split.score.take(at), seconds, progress)
        first = sum(len(each) for each in scored)
        scored.append(at)
        for name, prediction in said.items():
            parts[name].append((torch.arange(first, first + len(at)), prediction))
    asked = split.score.take(torch.cat(scored))
    said_by = {name: in_order(each) for name, each in parts.items()}
    samples, seed = protocol.bootstrap_samples, protocol.seed
    table = pd.concat(
        [
            rows(name, asked, each, protocol.split, samples, seed, ranks(each, asked))
            for name, each in said_by.items()
        ],
        ignore_index=True,
    )
    figures = {"rmse.png": rmse_figure(table), "ranks.png": rank_figure(table)}
    return Results(table, split.skipped, seconds, figures)


def ranks(prediction: Prediction, windows: Windows) -> dict[str, Tensor]:
    """Whether readings (W, H) lie below each quantile; the mean of each is to be its level."""
    target, quantiles = windows.targets_mg_dl, prediction.quantiles
    if quantiles is None:
        raise TypeError("a twin states quantiles")
    found = {}
    for index, level in enumerate(LEVELS):
        below = (target < quantiles[..., index]).float()
        found[f"below_{level:.2f}"] = torch.where(target.isnan(), torch.nan, below)
    return found


def rank_figure(table: pd.DataFrame) -> Figure:
    """How many readings fall between neighbouring quantiles, against how many should."""
    means = table[(table["participant"] == MEAN) & (table["cohort"] == ALL)]
    models = list(means["model"].unique())
    drawn = Figure(figsize=(4 * len(models), 3.4), layout="constrained")
    panels = drawn.subplots(1, len(models), squeeze=False, sharey=True)[0]
    for panel, model in zip(panels, models, strict=True):
        panel.axline((0, 0), slope=1, color="grey", linewidth=0.8)
        for horizon, group in means[means["model"] == model].groupby("horizon_min"):
            below = group[group["metric"].str.startswith("below_")]
            panel.plot(LEVELS, below["value"], marker="o", label=f"{horizon} min")
        panel.set(title=model, xlabel="level of the quantile")
    panels[0].set_ylabel("readings below it")
    panels[0].legend()
    return drawn
