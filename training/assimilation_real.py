"""Assimilation on recordings: the same twin with and without what its forecasts of a person miss.

People are scored on the last part of their time by a twin that has never seen them. Every day what
its forecasts missed is learnt anew from all days before, as `hybridtwin.assimilation` does it.
"""

from collections.abc import Sequence
from dataclasses import fields
from typing import Final, Literal

import pandas as pd
import torch
from matplotlib.figure import Figure
from pydantic import Field, field_validator
from rich.progress import Progress
from torch import Tensor

from hybridtwin.assimilation.misses import Said, hindcasts, hourly, learnt, read_after, said
from hybridtwin.assimilation.settings import MissesSettings
from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.neural.spread import KNOTS_MIN, LEVELS
from hybridtwin.record import Record
from hybridtwin.timeline import Timeline
from hybridtwin.twin import Twin
from hybridtwin.units import steps
from training.forecasters import Twins, population
from training.metrics import ALL, MEAN, rows
from training.scoring import Results, in_order, rmse_figure, scorable
from training.unseen import FoldsProtocol, each_fold
from training.windows import Prediction, Windows, split_by_time

PLAIN: Final = "twin"
ASSIMILATED: Final = "twin-assimilated"
_DAY: Final = steps(MINUTES_PER_DAY)
_CHUNK: Final = 512


class RealProtocol(FoldsProtocol):
    """People never seen, with and without assimilation."""

    kind: Literal["assimilation-real"] = "assimilation-real"
    horizons_min: tuple[int, ...] = KNOTS_MIN
    peers: tuple[str, ...] = ()
    cohorts: tuple[str, ...] = Field((), description="Who is scored; empty for everyone.")
    misses: MissesSettings = MissesSettings()

    @field_validator("horizons_min")
    @classmethod
    def _all(cls, horizons_min: tuple[int, ...]) -> tuple[int, ...]:
        if horizons_min != KNOTS_MIN:
            raise ValueError(f"misses are learnt at {KNOTS_MIN}")
        return horizons_min


def evaluate_real(
    records: Sequence[Record], protocol: RealProtocol, twins: Twins, progress: Progress
) -> Results:
    """Score each fold's twin on its people, as it is and with what it misses put right.

    Raises:
        HistoryError: No record has enough windows, or there are too few people.
        ModelError: A fold has no twin that was trained without it.
    """
    split = scorable(split_by_time(records, protocol))
    parts: dict[str, list[tuple[Tensor, Prediction]]] = {PLAIN: [], ASSIMILATED: []}
    scored: list[Tensor] = []
    task = progress.add_task("evaluate assimilation", total=len(split.score.participants))
    for fold in each_fold(records, split, protocol.folds, twins):
        for person in fold.people:
            progress.advance(task)
            if protocol.cohorts and split.score.cohorts[person] not in protocol.cohorts:
                continue
            at = split.score.of(person)
            windows = split.score.take(at)
            plain = population(fold.twin)(windows)(windows)
            corrected = assimilated(fold.twin, plain, windows, person, protocol.misses)
            first = sum(len(each) for each in scored)
            position = torch.arange(first, first + len(at))
            scored.append(at)
            parts[PLAIN].append((position, plain))
            parts[ASSIMILATED].append((position, corrected))
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
    return Results(table, split.skipped, {}, figures)


def assimilated(
    twin: Twin, plain: Prediction, windows: Windows, person: int, settings: MissesSettings
) -> Prediction:
    """One person's forecasts with what was missed before each day put right.

    Args:
        twin: Who forecasts.
        plain: What it says of the windows.
        windows: One person's, at all of `KNOTS_MIN`.
        person: Their number among the windows' participants.
        settings: How misses are learnt.
    """
    timeline = windows.timelines[person]
    earlier = hourly(timeline, settings.model_copy(update={"days": float(len(timeline))}))
    with torch.inference_mode():
        chunks = [hindcasts(twin, timeline, twin.person, some) for some in earlier.split(_CHUNK)]
    before = Said(*(torch.cat([getattr(one, f.name) for one in chunks]) for f in fields(Said)))
    read = read_after(timeline, earlier)
    asked = _said(plain, windows, timeline)
    log_quantiles = (_quantiles(plain) / plain.mean.unsqueeze(-1)).log()
    mean, spread = plain.mean.clone(), log_quantiles.clone()
    ahead = torch.tensor([steps(minutes) for minutes in KNOTS_MIN])
    minutes = torch.tensor(KNOTS_MIN, dtype=torch.float32)
    for day in (windows.anchor // _DAY).unique().tolist():
        now = day * _DAY
        age = (now - earlier) / _DAY
        past = (age >= 0) & (age <= settings.days)
        known = torch.where(earlier[past].unsqueeze(1) + ahead <= now, read[past], torch.nan)
        found = learnt(_rows(before, past), known, age[past], settings)
        here = windows.anchor // _DAY == day
        correction = found.correction(_rows(asked, here))
        mean[here] = correction.moved(plain.mean[here], minutes)
        spread[here] = correction.widened(log_quantiles[here], minutes)
    return Prediction(mean, mean.unsqueeze(-1) * spread.exp(), plain.levels)


def _quantiles(prediction: Prediction) -> Tensor:
    if prediction.quantiles is None:
        raise TypeError("a twin states quantiles")
    return prediction.quantiles


def _said(plain: Prediction, windows: Windows, timeline: Timeline) -> Said:
    log_quantiles = (_quantiles(plain) / plain.mean.unsqueeze(-1)).log()
    minute = timeline.minute_of_day[windows.anchor].float()
    return said(plain.mean, log_quantiles, windows.last_mg_dl, minute)


def _rows(of: Said, chosen: Tensor) -> Said:
    return Said(*(getattr(of, f.name)[chosen] for f in fields(Said)))


def ranks(prediction: Prediction, windows: Windows) -> dict[str, Tensor]:
    """Whether readings (W, H) lie below each quantile; the mean of each is to be its level."""
    target = windows.targets_mg_dl
    found = {}
    for index, level in enumerate(LEVELS):
        below = (target < _quantiles(prediction)[..., index]).float()
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
