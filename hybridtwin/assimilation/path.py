"""The path of slow parameters: what was held true of them, day by day."""

from typing import Final

import pandas as pd
import torch

from hybridtwin.assimilation.assimilated import (
    DAY_COLUMNS,
    Assimilated,
    day_of,
    day_quantiles,
)

FOLLOWED: Final = ("sensitivity_of_day", "liver_output", "carbohydrate", "absorption")
"""Whose path can be read back."""


def path(held: Assimilated, name: str, widening: float) -> pd.DataFrame:
    """A slow parameter's path: rows of `date` (local, YYYY-MM-DD), `low`, `median` and `high`.

    The median and the 5 and 95 % quantiles as each day ended, the last row as of now, as factors on
    the person's usual: 0.8 is a fifth less than the twin takes for theirs.

    Args:
        held: What is held true.
        name: One of `FOLLOWED`; of the sensitivity, the mean of the day.
        widening: Of the bands; `AssimilationSettings.path_widening`.
    """
    days = {**held.days, day_of(held.time, held.time_zone): day_quantiles(held.checkpoints[-1])}
    rows = torch.stack(list(days.values()))[..., DAY_COLUMNS.index(name)].double()
    median = rows[:, 1:2]
    low, median, high = torch.lerp(median, rows, widening).exp().T.numpy()
    return pd.DataFrame({"date": list(days), "low": low, "median": median, "high": high})
