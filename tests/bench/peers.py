"""Peers that several rows are compared with; each is measured once in a run."""

import json
import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
CORES = 2
REFERENCE = ROOT / "tests/hybridtwin/virtual/simglucose_day.csv.gz"
_SIMGLUCOSE = ROOT / ".venv-bench/bin/python"


@cache
def simglucose_patient_days_s() -> float:
    """Patient-days per second that simglucose computes on all cores.

    It computes one patient at a time, so that every core has a process of its own.
    """
    if not _SIMGLUCOSE.exists():
        raise FileNotFoundError(f"no {_SIMGLUCOSE}: `make bench` makes it")
    command = [_SIMGLUCOSE, "-W", "ignore", Path(__file__).with_name("simglucose_day.py")]
    running = [
        subprocess.Popen([*command, REFERENCE, name], stdout=subprocess.PIPE)
        for name in ("adult-01", "child-01")[:CORES]
    ]
    answers = [json.loads(process.communicate()[0]) for process in running]
    return sum(1 / answer["median_s"] for answer in answers)
