"""The path of slow parameters: what was held true of them, day by day."""

import pandas as pd
import torch

from hybridtwin.assimilation.assimilated import Assimilated, day_of, quantiles
from hybridtwin.physiology.parameters import FITTED, FITTED_COLUMNS, NAMES, values
from hybridtwin.twin import Twin


def path(twin: Twin, held: Assimilated, parameter: str) -> pd.DataFrame:
    """A parameter's path: rows of `date` (local, YYYY-MM-DD), `low`, `median` and `high`.

    The median and the 5 and 95 % quantiles as each day ended, the last row as of now, in the
    parameter's unit.

    Args:
        twin: The one that `held` belongs to.
        held: What is held true.
        parameter: One of `FITTED`.
    """
    with torch.inference_mode():
        people = twin.person_for(held.recent.profile)
        days = {
            **held.days,
            day_of(held.time, held.recent): quantiles(held.checkpoints[-1], people),
        }
        column = FITTED.index(parameter)
        found = torch.stack([row[:, column] for row in days.values()]).float()
        scores = torch.zeros(found.numel(), len(NAMES))
        scores[:, FITTED_COLUMNS[column]] = found.reshape(-1)
        weight = people.weight_kg.expand(len(scores))
        in_units = getattr(values(scores, weight, torch.zeros_like(weight)), parameter)
        low, median, high = in_units.reshape(found.shape).T.double().numpy()
    return pd.DataFrame({"date": list(days), "low": low, "median": median, "high": high})
