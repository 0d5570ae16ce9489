"""Fitting of output statistics: what a trained twin's open forecasts miss, and by how much.

They learn from the windows that the twin learnt from, without names, each with as many days behind
it as a new person might have; the spread is then calibrated on later windows of the same people.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
    CHANGE,
    EXPECTED,
    Correction,
    OutputStatistics,
    Trees,
    of_history,
    shift_mg_dl,
)
from hybridtwin.record import Record
from hybridtwin.registry import load_twin, save_twin
from hybridtwin.twin import Twin
from hybridtwin.units import STEP_MIN, steps
from training.batch import Participants, learning_part
from training.calibrate import beyond_median, conformal
from training.drift import DriftSettings, reference, write_reference
from training.features import Floats
from training.forecasters import moments, usual_of
from training.night_statistics import NightSettings, fit_nights
from training.tree_fit import TreeSettings
from training.windows import (
    Mask,
    WindowRule,
    Windows,
    anchors,
    border_index,
    side_by_side,
)

_BLOCK_MIN = 2 * 24 * 60
"""Errors are taken out of blocks of time that the trees did not see: neighbours are alike."""
_MINUTES = torch.tensor([float(minutes) for minutes in KNOTS_MIN])


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
    trust: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Share of the change that the twin expects, before trees say what is missed: "
        "it knows the days that it learnt from too well.",
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
    windows = learning_windows(participants, settings.learn_stride)
    if not len(windows):
        return twin
    spread = twin.model.spread
    spread.widening.fill_(1.0)
    borders = [border_index(each, settings.learn_fraction) for each in participants.timelines]
    seen = _seen(twin, windows, torch.tensor(borders)[windows.person], settings.days)
    early = _fit(seen, seen.early, settings)
    conformal(spread, _beyond(seen, early.correct(seen.predictors))[:, seen.late])
    # What is kept learns from the days on which the spread was calibrated too, as peers do.
    shift = _fit_shift(seen, seen.windows.targets_mg_dl, seen.every, settings)
    statistics = replace(early, shift=shift)
    twin = replace(twin, statistics=statistics)
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


@dataclass(frozen=True)
class Seen:
    """What a twin without statistics makes of windows of people without a name.

    Attributes:
        windows: W, at the horizons `KNOTS_MIN`.
        predictors: (W, F), see `hybridtwin.output_statistics`.
        log_quantiles: (W, K, Q) of reading to trajectory, as its spread has them.
        early: (W, K) whether the target lies in the part of time to fit to.
        late: (W,) whether the anchor lies behind it.
    """

    windows: Windows
    predictors: Tensor
    log_quantiles: Tensor
    early: Tensor
    late: Tensor

    @property
    def trajectory_mg_dl(self) -> Tensor:
        """(W, K) what the twin expects."""
        return self.predictors[:, EXPECTED]

    @property
    def every(self) -> Mask:
        """(W,) all of them."""
        return np.ones(len(self.windows), dtype=bool)

    @property
    def weight(self) -> Floats:
        """(W,) between every window and every person counting the same."""
        person = self.windows.person
        return torch.bincount(person)[person].double().rsqrt().numpy()


def learning_windows(participants: Participants, stride: int) -> Windows:
    """Every so many windows of people without a cohort, at the horizons `KNOTS_MIN`."""
    rule = WindowRule(horizons_min=KNOTS_MIN)
    parts = [(timeline, anchors(timeline, rule)[::stride]) for timeline in participants.timelines]
    return side_by_side([(name, "") for name in participants.names], parts, KNOTS_MIN)


def _seen(twin: Twin, windows: Windows, border: Tensor, days: tuple[int, ...]) -> Seen:
    """Windows (W,) whose persons' time to fit to ends at grid points `border` (W,)."""
    ahead = torch.tensor([steps(minutes) for minutes in KNOTS_MIN])
    turns = torch.tensor(days).clamp(max=CLIMATOLOGY_DAYS)
    usual = usual_of(windows, turns[torch.arange(len(windows)) % len(turns)])
    persons = [twin.person] * len(windows.participants)
    read, quantiles = [], []
    with torch.inference_mode():
        for each in moments(twin, persons, windows):
            read.append(each.read_by(twin, usual))
            is_open = torch.ones(len(each.at))
            quantiles.append(twin.model.log_quantiles(each.present, is_open, _MINUTES))
    return Seen(
        windows,
        torch.cat(read),
        torch.cat(quantiles),
        windows.anchor.unsqueeze(1) + ahead < border.unsqueeze(1),
        windows.anchor >= border,
    )


def _fit(seen: Seen, known: Tensor, settings: StatisticsSettings) -> OutputStatistics:
    """Statistics of the targets (W, K) that are known."""
    target = torch.where(known, seen.windows.targets_mg_dl, torch.nan)
    odd = (seen.windows.anchor * STEP_MIN // _BLOCK_MIN % 2 == 1).numpy()
    found = torch.zeros(target.shape)
    for part in (odd, ~odd):
        trees = _fit_shift(seen, target, part, settings)
        found[~part] = shift_mg_dl(trees, seen.predictors[~part], settings.trust)
    below, above = _beyond(seen, Correction(found, torch.ones(found.shape)))
    far = torch.where(known, torch.where(below > 0, below, above), torch.nan).double().numpy()
    table = seen.predictors.double().numpy()
    widening = [
        settings.widening.fit(
            "gamma", table, (label / np.nanmean(label)).clip(min=1e-3), seen.weight
        )
        for label in far.T
    ]
    shift = _fit_shift(seen, target, seen.every, settings)
    return OutputStatistics(shift, widening, trust=settings.trust)


def _fit_shift(
    seen: Seen, target_mg_dl: Tensor, part: Mask, settings: StatisticsSettings
) -> list[Trees]:
    """One forest for each column of targets (W, K), where known, from a part (W,) of windows."""
    trusted = seen.trajectory_mg_dl - (1 - settings.trust) * seen.predictors[:, CHANGE]
    missed = (target_mg_dl - trusted).double().numpy()[part]
    table = of_history(seen.predictors).double().numpy()[part]
    return [settings.shift.fit("l2", table, label, seen.weight[part]) for label in missed.T]


def _beyond(seen: Seen, correction: Correction) -> Tensor:
    """(2, W, K) how far readings lie beyond the median of corrected forecasts."""
    moved = correction.moved(seen.trajectory_mg_dl, _MINUTES)
    ratio = log_ratio(seen.windows.targets_mg_dl, moved)
    return beyond_median(ratio, correction.widened(seen.log_quantiles, _MINUTES))
