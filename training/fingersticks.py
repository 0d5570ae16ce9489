"""Fingersticks that people might have taken beside a recording, which holds none.

Between blood and what a sound sensor shows lie the sensor's gain, the way into the tissue, and the
error of the meter. Four a day, before meals and at bedtime: people of the DIAMOND trial (Beck et
al., JAMA 317:371, 2017) checked their sensor by a meter before they injected. Meters err by 6 %, of
100 mg/dL at least; ISO 15197:2013 wants 95 % within 15 % or 15 mg/dL.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.physiology.steady import MIN_PER_H
from hybridtwin.sensor_faults.gain import gain, off_at
from hybridtwin.sensor_faults.modes import Array
from hybridtwin.sensor_faults.settings import GainSettings
from hybridtwin.timeline import Timeline
from hybridtwin.units import GLUCOSE_MAX_MG_DL, GLUCOSE_MIN_MG_DL, STEP_MIN, steps
from training.faulted import Part
from training.windows import COVERAGE_STEPS

_DAY: Final = steps(MINUTES_PER_DAY)
_LIFETIME: Final = 10 * _DAY
_LEAST_MG_DL: Final = 100.0


class FingerstickRule(BaseModel):
    """When fingersticks are taken, and how far they and a sound sensor are from one another."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hours: tuple[float, ...] = Field((7.5, 12.5, 18.5, 22.5), description="Local.")
    jitter_min: float = Field(30, ge=0, description="SD around these.")
    meter_sd: float = Field(0.06, ge=0, description="As a share, of 100 mg/dL at least.")
    sensor_sd: float = Field(0.05, ge=0, description="Of a sound sensor's gain, for ten days.")
    tissue_sd: float = Field(0.04, ge=0, description="Between blood and tissue, each time anew.")


@dataclass(frozen=True)
class Fingersticks:
    """N fingersticks of one person.

    Attributes:
        at: (N,) grid points of the readings beside which they were taken, not decreasing.
        mg_dl: (N,) what the meter showed.
    """

    at: NDArray[np.intp]
    mg_dl: Array


def draw_fingersticks(part: Part, rule: FingerstickRule, rng: np.random.Generator) -> Fingersticks:
    """Fingersticks beside a part's untouched readings."""
    minute = part.timeline.minute_of_day.numpy()
    due = np.concatenate([np.flatnonzero(minute == round(MIN_PER_H * h)) for h in rule.hours])
    taken = np.sort(due + np.rint(rng.normal(0, rule.jitter_min / STEP_MIN, len(due))).astype(int))
    taken = taken[(taken >= 0) & (taken < len(minute))]
    there = np.where(np.isnan(part.reading_mg_dl), -COVERAGE_STEPS, np.arange(len(minute)))
    at = np.maximum.accumulate(there)[taken]
    at = np.unique(at[taken - at < COVERAGE_STEPS])
    worn = (at + rng.integers(_LIFETIME)) // _LIFETIME
    gains = rng.normal(0, rule.sensor_sd, len(minute) // _LIFETIME + 2)[worn]
    blood = part.reading_mg_dl[at] * np.exp(gains + rng.normal(0, rule.tissue_sd, len(at)))
    shown = blood + rng.normal(0, rule.meter_sd, len(at)) * blood.clip(_LEAST_MG_DL)
    return Fingersticks(at, np.round(shown).clip(GLUCOSE_MIN_MG_DL, GLUCOSE_MAX_MG_DL))


def off_by(
    sticks: Fingersticks, timeline: Timeline, reading_mg_dl: Array, settings: GainSettings
) -> Array:
    """(T,) probability at each step that a sensor's level is off, as `off_at`.

    Args:
        sticks: Taken beside it.
        timeline: Whose times they are.
        reading_mg_dl: (T,) what the sensor showed.
        settings: What is held likely.
    """
    found = gain(sticks.at / _DAY, reading_mg_dl[sticks.at], sticks.mg_dl, settings)
    time = pd.date_range(timeline.start, periods=len(timeline), freq=f"{STEP_MIN}min")
    return off_at(time, time[sticks.at], found.off)
