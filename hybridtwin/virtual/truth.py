"""What really happened to a virtual person, and what would have happened."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hybridtwin.units import STEP_MIN, steps
from hybridtwin.virtual.native import run
from hybridtwin.virtual.patients import Array, Patients, join
from hybridtwin.virtual.uva_padova import State


@dataclass(frozen=True)
class Truth:
    """What really happened to one person, on a grid of T steps of 5 minutes.

    Attributes:
        patient: The one patient.
        start: Instant of step 0, UTC.
        glucose_mg_dl: (T,) interstitial glucose: what a sensor without error reads.
        carbs_g_min: (5 T,) carbohydrate eaten per minute.
        insulin_u_min: (5 T,) insulin that arrives per minute, basal and boluses.
        sensitivity: (T,) factor on insulin's action.
        compartments: (T, 13) the body's compartments.
        meal_mg: (T,) the meal being digested.
        eating: (T,) whether the minute before was spent eating.
    """

    patient: Patients
    start: pd.Timestamp
    glucose_mg_dl: Array
    carbs_g_min: Array
    insulin_u_min: Array
    sensitivity: Array
    compartments: Array
    meal_mg: Array
    eating: Array

    def __len__(self) -> int:
        return len(self.glucose_mg_dl)

    def index(self, time: pd.Timestamp) -> int:
        """The step nearest to an instant."""
        return steps((time - self.start) / pd.Timedelta(minutes=1))

    def state(self, index: int) -> State:
        """The body at a step."""
        here = slice(index, index + 1)
        return State(self.compartments[here].T, self.meal_mg[here], self.eating[here])

    def inputs(self, begin: int, minutes: int) -> tuple[Array, Array]:
        """(minutes,) carbohydrate g/min and insulin U/min from step `begin` on; copies."""
        span = slice(begin * STEP_MIN, begin * STEP_MIN + minutes)
        return self.carbs_g_min[span].copy(), self.insulin_u_min[span].copy()


def replay(
    truths: Sequence[Truth], begins: Sequence[int], carbs_g_min: Array, insulin_u_min: Array
) -> Array:
    """What would have happened: the same bodies and days, with other meals or doses.

    People do not react in a replay: everything they do is in the inputs, and what is not there
    (such as the treatment of a low) is not done. With the inputs that `Truth.inputs` returns,
    the glucose is exactly the true one.

    Args:
        truths: B people, the same one as often as there are futures of them.
        begins: B steps at which the futures begin.
        carbs_g_min: (B, M) carbohydrate eaten per minute, M a multiple of 5.
        insulin_u_min: (B, M) insulin given per minute, basal included.

    Returns:
        (B, M / 5 + 1) interstitial glucose in mg/dL, from the common beginning on.

    Raises:
        ValueError: A future reaches beyond what its person has lived.
    """
    count = carbs_g_min.shape[1] // STEP_MIN
    if any(
        begin < 0 or begin + count > len(truth) for truth, begin in zip(truths, begins, strict=True)
    ):
        raise ValueError(f"a future of {count} steps reaches beyond the days that were lived")
    patients = join([truth.patient for truth in truths])
    begun = [truth.state(begin) for truth, begin in zip(truths, begins, strict=True)]
    state = State(
        np.concatenate([one.compartments for one in begun], axis=1),
        np.concatenate([one.meal_mg for one in begun]),
        np.concatenate([one.eating for one in begun]),
    )
    sensitivity = np.stack(
        [
            truth.sensitivity[begin : begin + count]
            for truth, begin in zip(truths, begins, strict=True)
        ],
        axis=-1,
    ).repeat(STEP_MIN, axis=0)
    glucose, _ = run(state, carbs_g_min.T, insulin_u_min.T, patients, sensitivity)
    return glucose[::STEP_MIN].T
