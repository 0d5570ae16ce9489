"""Make simglucose_day.csv.gz: one day of all 30 patients as simglucose 0.2.11 computes it.

simglucose cannot be installed beside this project, so that this runs by hand, in an environment of
its own, and only when the day itself is to change:

    python3.11 -m venv /tmp/simglucose
    /tmp/simglucose/bin/pip install simglucose==0.2.11 'setuptools<81'
    /tmp/simglucose/bin/python tests/hybridtwin/virtual/make_simglucose_day.py

The file holds what simglucose was given in every minute, and the subcutaneous glucose before it:

    <patient>:carbs_g        put on the table
    <patient>:insulin_u      given in the minute, basal included
    <patient>:glucose_mg_dl  rounded to 0.001
"""

import gzip
from pathlib import Path

import pandas as pd
from simglucose.patient.t1dpatient import PATIENT_PARA_FILE, Action, T1DPatient

TARGET = Path(__file__).with_name("simglucose_day.csv.gz")
HEAD = """\
# Reference: one day of 30 patients in simglucose 0.2.11 (Jinyu Xie, MIT License), minute by minute.
# Written by make_simglucose_day.py, which says what the columns mean.
"""
MINUTES = 1440

# Minute, g of an adult (a child eats half), part of its bolus, minutes from the meal to the bolus.
MEALS = (
    (7 * 60, 52, 0.9, -10),
    (12 * 60 + 30, 110, 0.8, 0),
    (15 * 60 + 20, 17, 0.0, 0),  # not bolused for, and lunch is still in the stomach
    (19 * 60, 71, 0.8, 20),
    (19 * 60 + 8, 12, 0.0, 0),  # comes while dinner is still being eaten
)
CORRECTION = (22 * 60 + 15, 0.01)  # U/kg
BASAL_FACTOR = {range(120, 300): 1.5, range(570, 630): 0.0}


def inputs(params: pd.Series, carbs_per_unit_g: float) -> tuple[list[float], list[float]]:
    """Carbohydrate put on the table and insulin given, per minute."""
    share = 0.5 if params.Name.startswith("child") else 1.0
    basal = params.u2ss * params.BW / 6000
    factor = {minute: by for span, by in BASAL_FACTOR.items() for minute in span}
    carbs = [0.0] * MINUTES
    insulin = [basal * factor.get(minute, 1.0) for minute in range(MINUTES)]
    for minute, adult_g, part, delay in MEALS:
        carbs[minute] += share * adult_g
        insulin[minute + delay] += part * share * adult_g / carbs_per_unit_g
    minute, dose_u_kg = CORRECTION
    insulin[minute] += dose_u_kg * params.BW
    return carbs, [round(dose, 6) for dose in insulin]


def day(params: pd.Series, carbs: list[float], insulin: list[float]) -> list[float]:
    """Glucose in mg/dL before every minute."""
    patient = T1DPatient(params)
    glucose = []
    for grams, dose in zip(carbs, insulin, strict=True):
        # At nothing, simglucose stands still for ever: such a day is no reference.
        if min(patient.state[3:5]) <= 0:
            raise ValueError(f"{params.Name} has no glucose left: choose smaller doses")
        glucose.append(round(patient.observation.Gsub, 3))
        patient.step(Action(CHO=grams, insulin=dose))
    return glucose


def main() -> None:
    ratios = pd.read_csv(Path(PATIENT_PARA_FILE).with_name("Quest.csv"), index_col="Name")["CR"]
    columns: dict[str, list[float]] = {}
    for _, params in pd.read_csv(PATIENT_PARA_FILE).iterrows():
        group, number = params.Name.split("#")
        name = f"{group}-{int(number):02d}"
        carbs, insulin = inputs(params, ratios[params.Name])
        columns[f"{name}:carbs_g"] = carbs
        columns[f"{name}:insulin_u"] = insulin
        columns[f"{name}:glucose_mg_dl"] = day(params, carbs, insulin)
    table = pd.DataFrame(columns).rename_axis("minute").to_csv()
    TARGET.write_bytes(gzip.compress((HEAD + table).encode(), mtime=0))


if __name__ == "__main__":
    main()
