"""Fitting of output statistics: what a trained twin's open forecasts miss, and by how much.

They learn from the windows that the twin learnt from, without names, each with as many days behind
it as a new person might have; the spread is then calibrated on later windows of the same people.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from hybridtwin.climatology import CLIMATOLOGY_DAYS
from hybridtwin.errors import HistoryError
from hybridtwin.hybrid import log_ratio
from hybridtwin.neural.spread import KNOTS_MIN
from hybridtwin.output_statistics import (
    EXPECTED,
    Correction,
    OutputStatistics,
)
from hybridtwin.record import Record
from hybridtwin.registry import load_twin, save_twin
from hybridtwin.twin import Twin
from hybridtwin.units import STEP_MIN
from training.batch import Participants, learning_part
from training.calibrate import beyond_median, conformal
from training.drift import DriftSettings, reference, write_reference
from training.forecasters import moments, population, usual_of
from training.night_statistics import NightSettings, fit_nights
from training.tree_fit import TreeSettings
from training.windows import (
    Prediction,
    WindowRule,
    Windows,
    anchors,
    between,
    border_index,
    side_by_side,
)

_BLOCK_MIN = 2 * 24 * 60
"""Errors are taken out of blocks of time that the trees did not see: neighbours are alike."""


class StatisticsSettings(BaseModel):
    """How output statistics are fitted; see configs/output-statistics.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scored_from: float = Field(
        0.8, gt=0, lt=1, description="Share of everyone's time from which on it is for scoring."
    )
    learn_fraction: float = Field(
        0.9,
        gt=0,
        lt=1,
        description="First share of the learning time to fit to; the rest calibrates the spread.",
    )
    learn_stride: int = Field(3, ge=1, description="Every how many anchors to fit to.")
    days: tuple[int, ...] = Field(
        (2, 7, 14, 14), description="Of a person's past that are shown, taken in turn."
    )
    shift: TreeSettings = TreeSettings(rounds=400, leaves=24)
    widening: TreeSettings = TreeSettings(rounds=150, leaves=15)
    night: NightSettings = NightSettings()


def fit_statistics(twin: Twin, participants: Participants, settings: StatisticsSettings) -> Twin:
    """The twin with output statistics and a calibrated spread.

    Args:
        twin: Trained on these people; its spread's calibration is overwritten. The new one's
            version tells of its statistics too.
        participants: Their learning time, nothing of which is scored elsewhere.
        settings: How.
    """
    rule = WindowRule(
        learn_fraction=settings.learn_fraction,
        horizons_min=KNOTS_MIN,
        learn_stride=settings.learn_stride,
    )
    learn, late = learning_windows(participants, rule)
    if not len(learn):
        return twin
    twin.model.spread.widening.fill_(1.0)
    statistics = _fit(twin, learn, settings)
    twin = replace(twin, statistics=statistics)
    said = population(twin)(late)(late)
    ratio = log_ratio(late.targets_mg_dl, said.mean)
    conformal(twin.model.spread, beyond_median(ratio, _log_quantiles(said)))
    night = fit_nights(twin, participants, settings.night, settings.learn_fraction)
    statistics = replace(statistics, night=night)
    version = f"{twin.config.version.split('.')[0]}.{statistics.digest()}"
    config = twin.config.model_copy(update={"version": version})
    return replace(twin, config=config, statistics=statistics)


def calibrate(
    twin: Twin, records: Sequence[Record], settings: StatisticsSettings, folder: Path
) -> Path:
    """Fit output statistics and spread of a trained twin anew; writes it to a folder.

    Args:
        twin: A population twin.
        records: Those it learnt from, of which it reads the same part; others are left aside.
        settings: How.
        folder: Where it goes.

    Raises:
        HistoryError: No record is of somebody whom it has learnt from.
    """
    learnt = set(twin.config.learnt_from)
    known = [each for each in records if not learnt or each.profile.participant in learnt]
    if not known:
        raise HistoryError.of(
            "records", "the twin has learnt from none of these people", "Name those it learnt from."
        )
    participants = learning_part(known, settings.scored_from)
    save_twin(fit_statistics(twin, participants, settings), folder)
    drift = DriftSettings(held_back=1 - settings.learn_fraction)
    write_reference(reference(load_twin(folder), participants, drift), folder)
    return folder


def learning_windows(participants: Participants, rule: WindowRule) -> tuple[Windows, Windows]:
    """Windows of the first part of each timeline, and of the rest."""
    learn, late = [], []
    for timeline in participants.timelines:
        border = border_index(timeline, rule.learn_fraction)
        past = between(timeline, 0, border)
        learn.append((past, anchors(past, rule)[:: rule.learn_stride]))
        found = anchors(timeline, rule)
        late.append((timeline, found[found >= border]))
    who = [(name, "") for name in participants.names]
    first, second = (side_by_side(who, each, rule.horizons_min) for each in (learn, late))
    return first, second


def _fit(twin: Twin, learn: Windows, settings: StatisticsSettings) -> OutputStatistics:
    turns = torch.tensor(settings.days)
    days = turns[torch.arange(len(learn)) % len(turns)].clamp(max=CLIMATOLOGY_DAYS)
    table, quantiles = _read(twin, learn, days)
    trajectory = table[:, EXPECTED]
    read = table.double().numpy()
    missed = (learn.targets_mg_dl - trajectory).double().numpy()
    # Between every window and every person counting the same.
    weight = torch.bincount(learn.person)[learn.person].double().rsqrt().numpy()
    odd = (learn.anchor * STEP_MIN // _BLOCK_MIN % 2 == 1).numpy()
    shift, found = [], np.full_like(missed, np.nan)
    for knot in range(missed.shape[1]):
        label = missed[:, knot]
        for part in (odd, ~odd):
            halves = settings.shift.fit("l2", read[part], label[part], weight[part])
            found[~part, knot] = halves.predict(read[~part], num_threads=1)
        shift.append(settings.shift.fit("l2", read, label, weight))
    unseen = Correction(torch.from_numpy(found).float(), torch.ones_like(trajectory))
    moved = unseen.moved(trajectory, torch.tensor([float(minutes) for minutes in KNOTS_MIN]))
    below, above = beyond_median(log_ratio(learn.targets_mg_dl, moved), quantiles)
    far = torch.where(below > 0, below, above).double().numpy()
    widening = []
    for knot in range(far.shape[1]):
        label = far[:, knot] / np.nanmean(far[:, knot])
        widening.append(settings.widening.fit("gamma", read, label.clip(min=1e-3), weight))
    return OutputStatistics(shift, widening)


def _read(twin: Twin, windows: Windows, days: Tensor) -> tuple[Tensor, Tensor]:
    """(W, F) predictors and (W, K, Q) quantiles of log ratios, of people without a name."""
    usual = usual_of(windows, days)
    minutes = torch.tensor([float(minutes) for minutes in KNOTS_MIN])
    tables, quantiles = [], []
    with torch.inference_mode():
        for each in moments(twin, [twin.person] * len(windows.participants), windows):
            tables.append(each.read_by(twin, usual))
            is_open = torch.ones(len(each.at))
            quantiles.append(twin.model.log_quantiles(each.present, is_open, minutes))
    return torch.cat(tables), torch.cat(quantiles)


def _log_quantiles(said: Prediction) -> Tensor:
    """(W, H, Q) of log ratios to the mean."""
    assert said.quantiles is not None  # noqa: S101  (a twin always states them)
    return torch.log(said.quantiles / said.mean.unsqueeze(-1))
