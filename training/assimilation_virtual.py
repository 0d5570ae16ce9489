"""Assimilation on virtual people: is sensitivity tracked, a fall of it seen, a gap in a log told?

New patients of the UVA/Padova equations, which no twin shares, live some weeks, and insulin's
action falls on one of them for good, as in an illness. The population twin's filter follows all of
them at once, a reading at a time. Sensitivities are compared with what they were in the first week
(`REFERENCE_DAYS`): the two bodies' equations have no common scale. What is left out of logs is
looked for in other lives, see `unlogged_virtual`.
"""

import math
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from rich.progress import Progress
from torch import Tensor

from hybridtwin.assimilation.advance import Happened, advance, chance, correct
from hybridtwin.assimilation.filters import Ensemble, design
from hybridtwin.assimilation.settings import AssimilationSettings
from hybridtwin.assimilation.slow import SENSITIVITIES
from hybridtwin.assimilation.state import FILTERED, SLOW, TODAY, begun
from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.history import join
from hybridtwin.native import native_step
from hybridtwin.rows import stacked
from hybridtwin.timeline import CHANNEL, to_timeline
from hybridtwin.twin import Twin
from hybridtwin.units import STEP_MIN, steps
from hybridtwin.virtual.drawn import draw_patients
from hybridtwin.virtual.habits import Habits, draw_traits
from hybridtwin.virtual.life import VirtualPerson, live
from training.metrics import ALL, MEAN, ROW, bootstrap_mean, interval
from training.unlogged_virtual import UnloggedRule, unlogged_metrics

Array = NDArray[np.float64]

REFERENCE_DAYS: Final = slice(2, 7)
SCORED_FROM_DAY: Final = 7
_START: Final = pd.Timestamp("2024-01-15", tz="Europe/Berlin")
_DAY: Final = steps(MINUTES_PER_DAY)
_HOURLY: Final = steps(60)
_BEGIN: Final = steps(12 * 60)


class VirtualProtocol(BaseModel):
    """Who lives, and what counts as seen; see configs/protocols/assimilation-virtual.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["assimilation-virtual"] = "assimilation-virtual"
    name: str = "assimilation-virtual"
    split: str = Field("virtual", description="The rows' word for what was scored.")
    people: int = Field(20, ge=1)
    days: int = Field(21, gt=SCORED_FROM_DAY)
    fall_day: int = Field(14, ge=SCORED_FROM_DAY, description="From which on sensitivity is less.")
    fall: float = Field(0.3, gt=0, lt=1, description="By what share.")
    seen_below: float = Field(
        0.85,
        gt=0,
        lt=1,
        description="A fall is seen where sensitivity is below this factor of the week before,",
    )
    seen_probability: float = Field(0.8, gt=0, lt=1, description="with at least this probability.")
    no_fall_above: float = Field(
        0.9, gt=0, le=1, description="Seen is false where the last day's truth was above this."
    )
    unlogged: UnloggedRule | None = Field(
        UnloggedRule(), description="What is left out of the log, and to be told; None: nothing."
    )
    assimilation: AssimilationSettings = AssimilationSettings()
    bootstrap_samples: int = Field(1000, ge=1)
    seed: int = Field(0, description="Of people and days; tuning took others.")


@dataclass(frozen=True)
class Followed:
    """What was held true of P people's sensitivity, and what was true; logarithms.

    Attributes:
        members: (D, P, M) the mean of each day, as it ended.
        now: (H, P, M) hour by hour.
        true: (D, P) mean of each day.
        true_now: (H, P) mean of the last 24 hours.
    """

    members: Tensor
    now: Tensor
    true: Tensor
    true_now: Tensor


def evaluate_virtual(
    protocol: VirtualProtocol, twin: Twin, progress: Progress | None = None
) -> pd.DataFrame:
    """Tidy rows of the filter, of the twin that takes sensitivity to be as it was, and of logs."""
    progress = progress or Progress(disable=True)
    people = living(protocol)
    found = follow(twin, people, protocol, progress)
    names = [one.record.profile.participant for one in people]
    by_model = {
        "twin-assimilated": metrics(found, protocol),
        "twin": metrics(_unmoved(found), protocol),
    }
    tables = [tidy(by_model, names, protocol).assign(windows=protocol.days)]
    if protocol.unlogged:
        settings = protocol.assimilation.unlogged
        names, values = unlogged_metrics(twin, protocol.unlogged, settings, protocol.seed, progress)
        rows = tidy({"twin": values}, names, protocol)
        tables.append(rows.assign(windows=protocol.unlogged.days))
    return pd.concat(tables, ignore_index=True)[list(ROW)]


def living(protocol: VirtualProtocol) -> list[VirtualPerson]:
    """People whose sensitivity falls."""

    def rng(person: int) -> np.random.Generator:
        return np.random.default_rng([protocol.seed, person])

    habits = Habits()
    falls = ((_START + pd.Timedelta(days=protocol.fall_day), 1 - protocol.fall),)
    traits = [
        replace(draw_traits(rng(k), habits), sensitivity_from=falls) for k in range(protocol.people)
    ]
    seed = 1000 * (1 + protocol.seed)
    patients = draw_patients(protocol.people, seed)
    return live(patients, protocol.days, _START, seed, habits, traits)


def follow(
    twin: Twin, people: list[VirtualPerson], protocol: VirtualProtocol, progress: Progress
) -> Followed:
    """Advance everyone through their days, reading by reading."""
    settings, count = protocol.assimilation, protocol.days * _DAY
    end = _START + pd.Timedelta(minutes=STEP_MIN * (count - 1))
    timelines = [to_timeline(one.record, end, _START) for one in people]
    values = torch.stack([each.values for each in timelines], 1)
    known = torch.stack([each.known for each in timelines], 1)
    minute = torch.stack([each.minute_of_day for each in timelines], 1).float()
    original = torch.stack([each.original for each in timelines], 1)
    read = torch.where(original, values[..., CHANNEL["glucose_mg_dl"]], torch.nan)
    who = stacked([twin.person_for(one.record.profile) for one in people])
    take = native_step()
    task = progress.add_task("following", total=count)
    days, hours = [], []
    with torch.inference_mode():
        grid = join(timelines)
        present = twin.model.begin(grid.history(torch.tensor(grid.offsets) + _BEGIN), who)
        alone = [present.rows(torch.tensor([k])) for k in range(len(people))]
        drawn = design(FILTERED, settings.members)
        ensemble = Ensemble.equal(torch.stack([begun(one, drawn, settings) for one in alone]))
        for k in range(_BEGIN, count - 1):
            happened = Happened(values[k], known[k], minute[k])
            by_chance = chance("step", k + 1, settings)
            ensemble = advance(twin.model, who, ensemble, happened, by_chance, settings, take)
            by_chance = chance("cgm", k + 1, settings)
            ensemble = correct(ensemble, read[k + 1], "cgm", by_chance, settings)
            if (k + 1) % _DAY == _DAY - 1:
                days.append(ensemble.members[..., TODAY])
            if (k + 1) % _HOURLY == 0:
                hours.append(ensemble.members[..., SLOW][..., SENSITIVITIES].sum(-1))
            progress.advance(task)
    true = np.stack([np.log(one.truth.sensitivity[:count]) for one in people], axis=1)
    total = np.cumsum(true, axis=0)
    last_day = (total[_DAY:] - total[:-_DAY]) / _DAY
    at = _HOURLY * np.arange(1 + _BEGIN // _HOURLY, 1 + _BEGIN // _HOURLY + len(hours)) - 1
    return Followed(
        torch.stack(days),
        torch.stack(hours),
        torch.from_numpy(true.reshape(protocol.days, _DAY, -1).mean(1)),
        torch.from_numpy(last_day[np.maximum(at - _DAY, 0)]),
    )


def tidy(
    by_model: dict[str, dict[str, Array]], names: list[str], protocol: VirtualProtocol
) -> pd.DataFrame:
    """Rows of everyone and of their mean, without `windows`.

    Args:
        by_model: By model and metric, (P,) of each person, NaN where there is none.
        names: Whose.
        protocol: How it was drawn.
    """
    generator = np.random.default_rng(protocol.seed)
    table = []
    for model, values in by_model.items():
        for metric, each in values.items():
            one = {"split": protocol.split, "model": model, "horizon_min": 0, "metric": metric}
            there = ~np.isnan(each)
            for name, value in zip(names, each, strict=True):
                if not math.isnan(value):
                    row = {"cohort": "virtual", "participant": name, "value": value}
                    table.append(one | row | {"ci_low": value, "ci_high": value, "participants": 1})
            if there.any():
                drawn = bootstrap_mean(each[there], protocol.bootstrap_samples, generator)
                mean = {"participant": MEAN, "value": each[there].mean()} | interval(drawn)
                mean["participants"] = int(there.sum())
                table += [one | mean | {"cohort": cohort} for cohort in ("virtual", ALL)]
    return pd.DataFrame(table)


def _unmoved(found: Followed) -> Followed:
    """What the twin without assimilation holds: sensitivity is as it was in the first week."""
    return replace(found, members=torch.zeros_like(found.members), now=torch.zeros_like(found.now))


def metrics(found: Followed, protocol: VirtualProtocol) -> dict[str, Array]:
    """(P,) of each person, NaN where there is none.

    `sensitivity_coverage_90`: share of days whose truth lies between the 5 and 95 % quantiles,
    widened as the path's.
    `sensitivity_error`: median over days of the error of the median, as a share of the truth.
    `fall_seen_24h`: whether the fall was seen within a day. `fall_seen_h`: after how many hours,
    of those who were seen. `false_falls_per_week`: how often a fall was seen where there was none.
    """
    held = (found.members - _reference(found.members.median(-1).values).unsqueeze(-1)).double()
    true = found.true - _reference(found.true)
    late = slice(SCORED_FROM_DAY, None)
    middle = held.median(-1).values
    low, high = middle + protocol.assimilation.path_widening * (
        torch.quantile(held, torch.tensor([0.05, 0.95], dtype=held.dtype), dim=-1) - middle
    )
    inside = ((true >= low) & (true <= high)).double()[late].mean(0)
    off = (middle - true).exp() - 1
    seen, truth_fell = _seen(found, protocol)
    first = 24 * protocol.fall_day - _BEGIN // _HOURLY
    onset = seen & ~torch.nn.functional.pad(seen, (0, 0, 1, 0))[:-1]
    false = onset[:first] & ~truth_fell[:first]
    weeks = (protocol.fall_day - SCORED_FROM_DAY) / 7
    after = seen[first:]
    hours = after.int().argmax(0).double() + 1
    ever = after.any(0)
    return {
        "sensitivity_coverage_90": inside.numpy(),
        "sensitivity_error": off[late].abs().median(0).values.numpy(),
        "fall_seen_24h": (ever & (hours <= 24)).double().numpy(),
        "fall_seen_h": torch.where(ever, hours, torch.nan).numpy(),
        "false_falls_per_week": (false.sum(0) / weeks).double().numpy(),
    }


def _reference(days: Tensor) -> Tensor:
    """(P,) of (D, P)."""
    return days[REFERENCE_DAYS].mean(0)


def _seen(found: Followed, protocol: VirtualProtocol) -> tuple[Tensor, Tensor]:
    """(H, P) whether a fall is seen, and whether there is one, against the week before."""
    hours = torch.arange(len(found.now)) + 1 + _BEGIN // _HOURLY
    seen, fell = torch.zeros(2, *found.true_now.shape, dtype=torch.bool)
    medians = found.members.median(-1).values
    for row, hour in enumerate(hours.tolist()):
        today = (hour - 1) // 24
        if today < SCORED_FROM_DAY:
            continue
        # The fall itself is not to become what is usual.
        week = slice(min(today, protocol.fall_day) - 7, min(today, protocol.fall_day))
        below = found.now[row] - medians[week].mean(0).unsqueeze(-1) < math.log(protocol.seen_below)
        seen[row] = below.double().mean(-1) >= protocol.seen_probability
        usual = found.true[week].mean(0)
        fell[row] = found.true_now[row] - usual < math.log(protocol.no_fall_above)
    return seen, fell
