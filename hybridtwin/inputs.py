"""Inputs: what acts on a body, step by step, in the order in which physiology takes it."""

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from hybridtwin.physiology.body import INPUTS
from hybridtwin.physiology.exercise import exertion, sprint
from hybridtwin.timeline import CHANNEL, CHANNELS, MODULATORS
from hybridtwin.units import STEP_MIN

# The last two are made from vitals and statements, the others are channels.
_COLUMNS: Final = [CHANNEL[name] for name in (*INPUTS[:-2], "stated_exertion", "stated_sprint")]
_MODULATORS: Final = [CHANNEL[name] for name in MODULATORS]
_BOLUS, _MONOMER = INPUTS.index("bolus_u"), INPUTS.index("monomer_u")


@dataclass(frozen=True)
class Future:
    """What will act on the body.

    Attributes:
        amounts_per_min: (H, m, B) in the order of `INPUTS`, a row per step.
        modulators: (H, 4, B) severities, 0 to 1.
        minute_of_day: (H, B) as each step begins, or (H, 1) where it is the same for all.
        is_open: (B,) 1 where the plan is open.
    """

    amounts_per_min: Tensor
    modulators: Tensor
    minute_of_day: Tensor
    is_open: Tensor


def acting_inputs(values: Tensor, effort: Tensor, basal_u_min: Tensor) -> Tensor:
    """Inputs per minute (..., m), in the order of `INPUTS`.

    A failing infusion site keeps its share of the pump's basal and of rapid boluses.

    Args:
        values: (..., C) channels, amounts per step, as in `Timeline`; 1 where a plan is one for
            all.
        effort: (...) exertion from 0 to 1, likewise.
        basal_u_min: (...) pump basal, U/min.
    """
    # A channel at a time lies together in memory.
    amounts = values.movedim(-1, 0)[_COLUMNS] / STEP_MIN
    amounts[-2] = effort
    amounts[-1] = sprint(effort, values[..., CHANNEL["stated_sprint"]])
    shape = torch.broadcast_shapes(effort.shape, basal_u_min.shape)
    amounts = amounts.expand(-1, *shape).contiguous()
    arrives = 1 - values[..., CHANNEL["site_loss"]]
    amounts[_BOLUS] = (amounts[_BOLUS] + basal_u_min) * arrives
    amounts[_MONOMER] *= arrives
    return amounts.movedim(0, -1)


def exertion_of(values: Tensor, known: Tensor) -> Tensor:
    """(...) aerobic exertion from 0 to 1; 0 where nothing is known.

    Args:
        values: (..., C) channels, as in `Timeline`.
        known: (..., C).
    """
    heart = CHANNEL["heart_rate_bpm"]
    return exertion(
        values[..., heart],
        known[..., heart],
        values[..., CHANNEL["steps"]] / STEP_MIN,
        values[..., CHANNEL["stated_exertion"]],
    )


def as_recorded(
    values: Tensor, known: Tensor, basal_u_min: Tensor, minute_of_day: Tensor, is_open: Tensor
) -> Future:
    """What was recorded of B windows of H steps.

    Args:
        values: (B, H, C) channels, amounts per step.
        known: (B, H, C).
        basal_u_min: (B, H) pump basal.
        minute_of_day: (B, H) as each step begins.
        is_open: (B,) see `Future`.
    """
    acting = acting_inputs(values, exertion_of(values, known), basal_u_min)
    return Future(
        amounts_per_min=acting.permute(1, 2, 0),
        modulators=modulators(values).permute(1, 2, 0),
        minute_of_day=minute_of_day.T,
        is_open=is_open,
    )


def modulators(values: Tensor) -> Tensor:
    """(..., 4) severity of illness, stress, short sleep and luteal phase, 0 to 1."""
    return values[..., _MODULATORS]


def as_usual(basal_u_min: Tensor, minute_of_day: Tensor, length: int) -> Future:
    """The open plan of B windows: the usual basal, and nothing known of what else will happen.

    Args:
        basal_u_min: (B,) pump basal.
        minute_of_day: (B,) at the anchor.
        length: Steps.
    """
    nothing = torch.zeros(length, len(basal_u_min), len(CHANNELS))
    ahead = STEP_MIN * torch.arange(length).unsqueeze(-1)
    return Future(
        amounts_per_min=acting_inputs(nothing, nothing[..., 0], basal_u_min).movedim(-1, 1),
        modulators=modulators(nothing).movedim(-1, 1),
        minute_of_day=minute_of_day + ahead,
        is_open=torch.ones(len(basal_u_min)),
    )
