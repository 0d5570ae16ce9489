"""What could have been done otherwise: coming meals and doses with one thing changed."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import numpy as np

from hybridtwin.units import STEP_MIN
from hybridtwin.virtual.patients import Array
from hybridtwin.virtual.uva_padova import eaten

SOON_MIN: Final = 60
"""A meal or a bolus can be changed if it comes within this time."""


class ChangeKind(StrEnum):
    """What is changed, and what the amount of a change of this kind says."""

    BOLUS = "bolus"
    """The next bolus. Amount: factor of its size."""
    LEFT_OUT_BOLUS = "left_out_bolus"
    """The next bolus is not given. Amount: 0."""
    BASAL = "basal"
    """All pump basal. Amount: factor of its rate."""
    MEAL_SIZE = "meal_size"
    """The next meal. Amount: factor of its carbohydrate."""
    MEAL_TIME = "meal_time"
    """The next meal. Amount: minutes by which it comes later; earlier if negative."""


@dataclass(frozen=True)
class Change:
    """One change of a future."""

    kind: ChangeKind
    amount: float


@dataclass(frozen=True)
class Inputs:
    """What comes, minute by minute from a grid point on.

    Attributes:
        carbs_g_min: (M,) carbohydrate eaten.
        insulin_u_min: (M,) insulin given; a bolus in the first minute of a step of 5 minutes.
    """

    carbs_g_min: Array
    insulin_u_min: Array

    def basal_u_min(self) -> Array:
        """(M,) pump basal: what is given in the second minute of each step."""
        return self.insulin_u_min[1::STEP_MIN].repeat(STEP_MIN)

    def bolus_u(self) -> Array:
        """(M,) boluses."""
        return self.insulin_u_min - self.basal_u_min()


def changed(inputs: Inputs, change: Change) -> Inputs | None:
    """The inputs with one change; None where there is nothing soon that it would change."""
    match change.kind:
        case ChangeKind.BASAL:
            insulin = inputs.bolus_u() + change.amount * inputs.basal_u_min()
            return replace(inputs, insulin_u_min=insulin)
        case ChangeKind.BOLUS | ChangeKind.LEFT_OUT_BOLUS:
            return _with_bolus(inputs, change.amount)
        case ChangeKind.MEAL_SIZE:
            return _with_meal(inputs, change.amount, 0)
        case ChangeKind.MEAL_TIME:
            return _with_meal(inputs, 1, round(change.amount))


def _with_bolus(inputs: Inputs, factor: float) -> Inputs | None:
    bolus = inputs.bolus_u()
    given = np.flatnonzero(bolus[:SOON_MIN] > 0)
    if not len(given):
        return None
    insulin = inputs.insulin_u_min.copy()
    insulin[given[0]] += (factor - 1) * bolus[given[0]]
    return replace(inputs, insulin_u_min=insulin)


def _with_meal(inputs: Inputs, factor: float, later_min: int) -> Inputs | None:
    """A meal that is already being eaten is none to come."""
    eats = inputs.carbs_g_min > 0
    begins = np.flatnonzero(eats[1:SOON_MIN] & ~eats[: SOON_MIN - 1]) + 1
    if not len(begins) or begins[0] + later_min < 0:
        return None
    first = begins[0]
    after = np.flatnonzero(~eats[first:])
    meal = slice(first, first + after[0] if len(after) else None)
    table = np.zeros_like(inputs.carbs_g_min)
    table[first + later_min] = factor * inputs.carbs_g_min[meal].sum()
    carbs = inputs.carbs_g_min.copy()
    carbs[meal] = 0
    return replace(inputs, carbs_g_min=carbs + eaten(table))
