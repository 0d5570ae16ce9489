"""How long simglucose takes for one patient-day; run in its own environment, .venv-bench.

    .venv-bench/bin/python tests/bench/simglucose_day.py REFERENCE PATIENT

REFERENCE is tests/hybridtwin/virtual/simglucose_day.csv.gz, whose inputs are taken.
"""

import json
import statistics
import sys
from time import perf_counter

import pandas as pd
from simglucose.patient.t1dpatient import Action, T1DPatient

WARM_UP_MINUTES = 30
REPEATS = 3


def live(name: str, actions: list[Action]) -> float:
    """Seconds that it takes to step a patient through these minutes."""
    group, number = name.split("-")
    patient = T1DPatient.withName(f"{group}#{int(number):03d}")
    begin = perf_counter()
    for action in actions:
        patient.step(action)
    return perf_counter() - begin


def main(reference: str, name: str) -> None:
    columns = [f"{name}:carbs_g", f"{name}:insulin_u"]
    day = pd.read_csv(reference, comment="#", usecols=columns)[columns]
    actions = [Action(CHO=carbs, insulin=dose) for carbs, dose in day.itertuples(index=False)]
    live(name, actions[:WARM_UP_MINUTES])
    durations = [live(name, actions) for _ in range(REPEATS)]
    json.dump({"median_s": statistics.median(durations)}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
