"""Units, their conversions, and the limits of what is physiologically or technically possible.

Inside the package glucose is in mg/dL, insulin in U, carbohydrate in g, time in minutes and
instants are aware UTC. Anything else is converted at the door, here.
"""

from typing import Final, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

GlucoseUnit = Literal["mg/dL", "mmol/L"]

MG_DL_PER_MMOL_L: Final = 18.0156
"""From the molar mass of glucose, 180.156 g/mol."""

STEP_MIN: Final = 5
"""The grid of every Timeline, Plan and Forecast, in minutes."""

# Limits at the door. Sensors report 40 to 400 mg/dL (some 20 to 500), fingerstick meters up to 600.
GLUCOSE_MIN_MG_DL: Final = 20.0
GLUCOSE_MAX_MG_DL: Final = 600.0
# Pumps refuse single boluses above 25 to 35 U; pens reach 80 U, long-acting ones 160 U (U300).
BOLUS_MAX_U: Final = 80.0
DOSE_MAX_U: Final = 200.0
BASAL_RATE_MAX_U_H: Final = 35.0
CARBS_MAX_G: Final = 500.0
ALCOHOL_MAX_G: Final = 200.0
GLUCAGON_MAX_UG: Final = 3000.0

MMOL_L_SUSPECT_MEDIAN: Final = 35.0
"""A median at or below this is mmol/L sent as mg/dL: nobody lives at a median of 35 mg/dL."""


Glucose = TypeVar("Glucose", float, NDArray[np.float64])


def to_mg_dl(value: float, unit: GlucoseUnit) -> float:
    """Glucose in mg/dL from a value in `unit`."""
    return value * MG_DL_PER_MMOL_L if unit == "mmol/L" else value


def from_mg_dl(value_mg_dl: Glucose, unit: GlucoseUnit) -> Glucose:
    """Glucose in `unit` from a value in mg/dL."""
    return value_mg_dl / MG_DL_PER_MMOL_L if unit == "mmol/L" else value_mg_dl


def steps(minutes: float) -> int:
    """Whole grid steps in `minutes`."""
    return round(minutes / STEP_MIN)
