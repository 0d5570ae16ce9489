"""What each day of a person was like: inputs, and a twin's errors, one value a channel."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.timeline import BOLUS, CARBS, CHANNEL, LONG_ACTING, Timeline
from hybridtwin.twin import Twin
from hybridtwin.units import steps
from training.forecasters import population
from training.metrics import ALL, scores
from training.windows import COVERAGE_STEPS, WindowRule, Windows, anchors, side_by_side

DAY_STEPS: Final = steps(MINUTES_PER_DAY)
_FEWEST_READINGS: Final = 12  # for a mean and a spread of a day


def windows_since(
    names: list[str], timelines: list[Timeline], since: Sequence[int], rule: WindowRule
) -> Windows:
    """The windows of some people from a grid point of each on, every `score_stride`th."""
    found = [anchors(timeline, rule) for timeline in timelines]
    kept = [
        anchor[anchor >= first][:: rule.score_stride]
        for anchor, first in zip(found, since, strict=True)
    ]
    parts = list(zip(timelines, kept, strict=True))
    return side_by_side([(name, ALL) for name in names], parts, rule.horizons_min)


def daily(twin: Twin, windows: Windows) -> pd.DataFrame:
    """A row for every 24 h with readings, counted back from each timeline's end (`day` 0).

    Args:
        twin: Whose errors to take.
        windows: The people, and the moments at which errors are taken.

    Returns:
        participant; day; mean and SD of glucose in mg/dL; share of quarter hours without a
        reading; steps with carbs and with a bolus; basal in U; and for each horizon the RMSE in
        mg/dL and the share of readings in the central 80 % interval. NaN where not known.
    """
    inputs = [
        _inputs(timeline).assign(participant=name)
        for name, timeline in zip(windows.participants, windows.timelines, strict=True)
    ]
    keys = ["participant", "day"]
    return pd.concat(inputs).merge(_errors(twin, windows), how="left", on=keys)


def _inputs(timeline: Timeline) -> pd.DataFrame:
    """A row for every 24 h with readings."""
    count = len(timeline) // DAY_STEPS
    values, known, original = (
        part[len(part) - count * DAY_STEPS :].view(count, DAY_STEPS, *part.shape[1:])
        for part in (timeline.values, timeline.known, timeline.original)
    )
    readings = values[..., CHANNEL["glucose_mg_dl"]].where(original, torch.nan)
    enough = original.sum(1) >= _FEWEST_READINGS
    mean = readings.nanmean(1)
    variance = (readings - mean.unsqueeze(1)).square().nanmean(1)
    quarters = original.view(count, DAY_STEPS // COVERAGE_STEPS, COVERAGE_STEPS).any(-1)

    def logged(names: Sequence[str], per_day: Tensor) -> Tensor:
        """(N,) a day's value where the channels were known for most of it."""
        share = known[..., [CHANNEL[name] for name in names]].all(-1).float().mean(1)
        return per_day.float().where(share > 0.5, torch.nan)

    def total(names: Sequence[str]) -> Tensor:
        return values[..., [CHANNEL[name] for name in names]].sum(-1)

    basal = ("basal_u", *LONG_ACTING)
    columns = {
        "glucose_mg_dl": mean.where(enough, torch.nan),
        "glucose_sd_mg_dl": variance.sqrt().where(enough, torch.nan),
        "gap_share": 1 - quarters.float().mean(1),
        "carbs_per_day": logged(CARBS, (total(CARBS) > 0).sum(1)),
        "boluses_per_day": logged(BOLUS, (total(BOLUS) > 0).sum(1)),
        "basal_u_per_day": logged(basal, total(basal).sum(1)),
    }
    table = pd.DataFrame({name: column.numpy() for name, column in columns.items()})
    return table.assign(day=np.arange(count)[::-1])[original.any(1).numpy()]


def _errors(twin: Twin, windows: Windows) -> pd.DataFrame:
    """RMSE and coverage by participant and day."""
    if not len(windows):
        return pd.DataFrame({"participant": [], "day": []})
    ends = torch.tensor([len(timeline) for timeline in windows.timelines], dtype=torch.long)
    table = pd.DataFrame(
        {
            "participant": np.take(windows.participants, windows.person.numpy()),
            "day": ((ends[windows.person] - 1 - windows.anchor) // DAY_STEPS).numpy(),
        }
    )
    found = scores(population(twin)(windows)(windows), windows.targets_mg_dl)
    for column, horizon in enumerate(windows.horizons_min):
        table[f"rmse_{horizon}_mg_dl"] = found["rmse"][:, column].numpy()
        table[f"coverage_80_{horizon}"] = found["coverage_80"][:, column].numpy()
    means = table.groupby(["participant", "day"]).mean()
    squares = [name for name in means if str(name).startswith("rmse")]
    means[squares] = np.sqrt(means[squares])
    return means.reset_index()
