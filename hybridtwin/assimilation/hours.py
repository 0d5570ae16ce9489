"""The last hours of one person, at many moments side by side, and what went before them."""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.history import HISTORY_STEPS, History, join, stretches
from hybridtwin.sensor_faults.doubt import doubtful
from hybridtwin.sensor_faults.settings import FaultSettings
from hybridtwin.sensor_faults.watch import Stream, watch
from hybridtwin.timeline import BOLUS, CARBS, CHANNEL, Timeline
from hybridtwin.units import STEP_MIN, steps

_WATCHED: Final = steps(120)
"""So long before the hours sensors are watched, too."""


@dataclass(frozen=True)
class Hours:
    """The H steps before each of B moments of one person, and what went before them.

    Attributes:
        history: Before the hours.
        values: (B, H, C) channels, amounts per step, as in `Timeline`.
        known: (B, H, C).
        minute_of_day: (B, H) as each step begins, local.
        read_mg_dl: (B, H) as each step ends; NaN where nothing was read.
    """

    history: History
    values: Tensor
    known: Tensor
    minute_of_day: Tensor
    read_mg_dl: Tensor

    def total(self, names: tuple[str, ...]) -> Tensor:
        """(B, H) several channels' amounts together."""
        return self.values[..., [CHANNEL[name] for name in names]].sum(-1)


def hours_after(timeline: Timeline, at: Tensor, count: int) -> Hours:
    """So many steps after grid points (B,) of a timeline that reaches beyond them."""
    grid, rows = join([timeline]), at + HISTORY_STEPS
    glucose = stretches(grid.values[CHANNEL["glucose_mg_dl"]], rows + 1, count)
    return Hours(
        history=grid.history(rows),
        values=stretches(grid.values, rows, count).movedim(0, -1),
        known=stretches(grid.known, rows, count).movedim(0, -1),
        minute_of_day=stretches(grid.minute_of_day, rows, count).float(),
        read_mg_dl=torch.where(stretches(grid.original, rows + 1, count), glucose, torch.nan),
    )


def trusted(hours: Hours) -> tuple[Hours, Tensor]:
    """What is believed of sensors.

    Returns:
        The hours without readings on which something probably pressed, and (B,) the probability
        that the sensor's level has not jumped, as known at the end.
    """
    settings, count = FaultSettings(), hours.read_mg_dl.shape[1]
    before = hours.history
    glucose = torch.where(before.glucose_known, before.glucose_mg_dl, torch.nan)[:, -_WATCHED:]
    minute = before.minute_of_day.unsqueeze(1) + STEP_MIN * torch.arange(1 - _WATCHED, count + 1)

    def whole(names: tuple[str, ...]) -> NDArray[np.float64]:
        past = torch.cat([before.total(names)[:, 1 - _WATCHED :], hours.total(names)], 1)
        # An event acts from its own grid point on, and the last point has none yet.
        return torch.nn.functional.pad(past, (0, 1)).double().numpy()

    stream = Stream(
        torch.cat([glucose, hours.read_mg_dl], 1).double().numpy(),
        whole(BOLUS),
        whole(CARBS),
        (minute.long() % MINUTES_PER_DAY).numpy(),
    )
    found, _ = watch(stream, settings)
    doubted = torch.from_numpy(doubtful(found.compression, settings))
    known = before.glucose_known.clone()
    known[:, -_WATCHED:] &= ~doubted[:, :_WATCHED]
    history = replace(before, glucose_known=known, glucose_mg_dl=before.glucose_mg_dl * known)
    read = torch.where(doubted[:, _WATCHED:], torch.nan, hours.read_mg_dl)
    sound = 1 - torch.from_numpy(found.jump[:, -1])
    return replace(hours, history=history, read_mg_dl=read), sound
