"""How fast virtual patients live: days of one large batch, minute by minute."""

import numpy as np
import pandas as pd

from hybridtwin.virtual.native import run
from hybridtwin.virtual.patients import load_patients
from hybridtwin.virtual.uva_padova import basal_state, eaten
from tests.bench.frame import Row, median_s
from tests.bench.peers import REFERENCE, simglucose_patient_days_s

COPIES = 400
"""Of the reference day of 30 patients, in one batch."""


def rows() -> list[Row]:
    patients = load_patients()
    table = pd.read_csv(REFERENCE, comment="#")

    def columns(what: str) -> np.ndarray:
        return table[[f"{name}:{what}" for name in patients.name]].to_numpy(dtype=float)

    many = patients.take(list(range(30)) * COPIES)
    carbs, insulin = eaten(columns("carbs_g")), columns("insulin_u")
    state, inputs = basal_state(many), [np.tile(one, COPIES) for one in (carbs, insulin)]
    sensitivity = np.ones_like(inputs[0])

    def live() -> np.ndarray:
        return run(state, *inputs, many, sensitivity)[0]

    difference = live()[:-1, -30:] - columns("glucose_mg_dl")
    if np.abs(difference).max() >= 0.1:
        raise ValueError("a speed is worth nothing where the glucose is another")
    return [
        Row(
            name="virtual_patients",
            value=len(many) / median_s(live),
            unit="patient-days/s",
            peer="simglucose 0.2.11",
            peer_value=simglucose_patient_days_s(),
        )
    ]
