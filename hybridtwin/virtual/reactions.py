"""What virtual people do about what their sensor shows: treat lows, bolus, correct highs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hybridtwin.virtual.habits import Habits, Traits
from hybridtwin.virtual.native import run
from hybridtwin.virtual.patients import Array, Patients
from hybridtwin.virtual.uva_padova import basal_state, basal_u_min

BOLUS_STEP_U: Final = 0.05
BOLUS_MAX_U: Final = 25.0
_DEEP_LOW_MG_DL: Final = 54.0
_LEAST_CHASED_MG_DL: Final = 60.0
_PART_OF_BOLUS_WHEN_LOW: Final = 0.7


@dataclass(frozen=True)
class Settings:
    """What P people go by, each (P,).

    Attributes:
        ratio_u_g: Insulin per counted carbohydrate.
        fall_mg_dl_u: By how much a unit lowers glucose.
        eager: Probability, per five minutes of a high, of correcting it.
        rescue_g: Carbohydrate against a low.
    """

    ratio_u_g: Array
    fall_mg_dl_u: Array
    eager: Array
    rescue_g: Array


def settings(patients: Patients, traits: Sequence[Traits], habits: Habits) -> Settings:
    """What these patients go by."""
    return Settings(
        ratio_u_g=np.array([one.ratio_factor for one in traits]) / patients.cr,
        fall_mg_dl_u=fall_per_unit(patients),
        eager=np.array([one.corrects for one in traits]),
        rescue_g=np.array(
            [
                one.rescue_factor * habits.rescue_g[group]
                for one, group in zip(traits, patients.group, strict=True)
            ]
        ),
    )


def fall_per_unit(patients: Patients) -> Array:
    """(P,) mg/dL by which one unit lowers steady glucose at most: what people learn in years."""
    dose, minutes = 0.1, 480
    insulin = np.tile(basal_u_min(patients), (minutes, 1))
    insulin[0] += dose
    glucose, _ = run(basal_state(patients), np.zeros_like(insulin), insulin, patients)
    fall: Array = (glucose[0] - glucose.min(axis=0)) / dose
    return fall


def rescue(
    shown: Array,
    glucose: Array,
    awake: NDArray[np.bool_],
    since_last_min: Array,
    chance: Array,
    by: Settings,
    habits: Habits,
) -> Array:
    """(P,) g of carbohydrate taken now against a low.

    Args:
        shown: (P,) the sensor's reading in mg/dL, NaN for none.
        glucose: (P,) true glucose: a deep low is felt by those awake.
        awake: (P,) whether they are awake.
        since_last_min: (P,) minutes since the last treatment.
        chance: (2, P) uniform numbers: whether it is noticed, and how much is taken.
        by: What they go by.
        habits: What they have in common.
    """
    low = (shown < habits.rescue_below_mg_dl) | (awake & (glucose < habits.felt_below_mg_dl))
    asleep = np.where(shown < _DEEP_LOW_MG_DL, habits.notice_asleep_deep, habits.notice_asleep)
    notices = chance[0] < np.where(awake, habits.notice_awake, asleep)
    takes = low & notices & (since_last_min >= habits.rescue_again_min)
    return np.where(takes, np.round(by.rescue_g * (0.8 + 0.6 * chance[1])), 0)


def bolus(
    shown: Array,
    counted_g: Array,
    overdose: Array,
    awake: NDArray[np.bool_],
    since_last_min: Array,
    on_board_u: Array,
    chance: Array,
    by: Settings,
    habits: Habits,
) -> Array:
    """(P,) U given now: for counted carbohydrate, for a high, or too much of it.

    Args:
        shown: (P,) the sensor's reading in mg/dL, NaN for none.
        counted_g: (P,) carbohydrate that is bolused for now.
        overdose: (P,) factor of an overdosed correction, 0 for none.
        awake: (P,) whether they are awake.
        since_last_min: (P,) minutes since the last bolus.
        on_board_u: (P,) insulin of earlier boluses that they take to be still active.
        chance: (P,) uniform numbers: whether a high is corrected.
        by: What they go by.
        habits: What they have in common.
    """
    with_meal = counted_g > 0
    high = awake & (shown > habits.correct_above_mg_dl) & (chance < by.eager)
    corrects = with_meal | (high & (since_last_min >= habits.correct_again_min))
    excess_u = np.where(np.isnan(shown), 0, shown - habits.target_mg_dl) / by.fall_mg_dl_u
    dose = counted_g * by.ratio_u_g
    dose = dose + np.where(corrects, np.maximum(excess_u - on_board_u, 0), 0)
    dose = np.where(shown < habits.rescue_below_mg_dl, dose * _PART_OF_BOLUS_WHEN_LOW, dose)
    dose = dose + overdose * np.maximum(excess_u, _LEAST_CHASED_MG_DL / by.fall_mg_dl_u)
    return np.minimum(np.round(dose / BOLUS_STEP_U) * BOLUS_STEP_U, BOLUS_MAX_U)
