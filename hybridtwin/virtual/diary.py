"""What virtual people's devices and diaries hold, as Records."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from hybridtwin.event_tables import LOGGED_CHANNELS
from hybridtwin.events import MINUTES_PER_DAY, InsulinKind, Profile
from hybridtwin.record import Provenance, Record
from hybridtwin.units import STEP_MIN
from hybridtwin.virtual.patients import Array, Patients

_STEP = pd.Timedelta(minutes=STEP_MIN)


@dataclass(frozen=True)
class Diary:
    """What was logged of P people over T steps, each (T, P).

    Attributes:
        reading_mg_dl: What the sensor showed; NaN without a reading.
        bolus_u: Boluses, at the step's first minute.
        carbs_g: Carbohydrate as counted and entered.
        basal_u_h: Pump basal; NaN where nobody records it.
    """

    reading_mg_dl: Array
    bolus_u: Array
    carbs_g: Array
    basal_u_h: Array


def to_record(diary: Diary, person: int, patients: Patients, grid: pd.DatetimeIndex) -> Record:
    """One person's Record over a grid of local times, the first of the diary's or all of them."""
    times = grid.tz_convert("UTC")
    reading, bolus, carbs, basal = (
        entries[: len(grid), person]
        for entries in (diary.reading_mg_dl, diary.bolus_u, diary.carbs_g, diary.basal_u_h)
    )
    shown = ~np.isnan(reading)
    insulin = pd.concat([_boluses(bolus, times), _basal(basal, times)])
    name = patients.name[person]
    earlier = patients.name[:person].count(name)
    return Record(
        profile=Profile(
            participant=f"virtual-{name}" + (f"-{earlier + 1}" if earlier else ""),
            time_zone=str(grid.tz),
            therapy="pump",
            age_years=float(patients.age[person]),
            weight_kg=round(float(patients.bw[person]), 1),
            sensor="simulated factory-calibrated sensor",
        ),
        glucose=pd.DataFrame({"time": times[shown], "mg_dl": reading[shown]}),
        insulin=insulin.sort_values("time", kind="stable"),
        meals=pd.DataFrame({"time": times[carbs > 0], "carbs_g": carbs[carbs > 0]}),
        logged=pd.DataFrame(
            {
                "channel": list(LOGGED_CHANNELS),
                "start": times[0],
                "end": times[-1] + _STEP,
            }
        ),
        provenance=Provenance(source="virtual patients (UVA/Padova equations)"),
    )


def _boluses(dose_u: Array, times: pd.DatetimeIndex) -> pd.DataFrame:
    given = dose_u > 0
    return pd.DataFrame(
        {
            "time": times[given],
            "kind": str(InsulinKind.RAPID),
            "purpose": "bolus",
            "dose_u": dose_u[given],
            "duration_min": 0.0,
        }
    )


def _basal(rate_u_h: Array, times: pd.DatetimeIndex) -> pd.DataFrame:
    """Stretches of one rate, none longer than a dose may last."""
    step = np.arange(len(rate_u_h))
    changed = np.flatnonzero(np.diff(rate_u_h, prepend=np.nan) != 0)
    since_change = step - changed[np.searchsorted(changed, step, side="right") - 1]
    begins = np.flatnonzero(since_change % (MINUTES_PER_DAY // STEP_MIN) == 0)
    minutes = np.diff(begins, append=len(rate_u_h)) * float(STEP_MIN)
    known = ~np.isnan(rate_u_h[begins])
    begins, minutes = begins[known], minutes[known]
    return pd.DataFrame(
        {
            "time": times[begins],
            "kind": str(InsulinKind.RAPID),
            "purpose": "basal",
            "dose_u": rate_u_h[begins] * minutes / 60,
            "duration_min": minutes,
        }
    )
