"""`python -m tests.bench.nightly`: the night of 10,000 patients, killed half-way and resumed.

Seconds are those of `hybridtwin nightly` as a clinic calls it, from its start to its end: modules
and twin loaded by every process, records read from their folders, 200 members forecast over the
nine hours to six in the morning, nights likely to hold a low explained, lists printed and written.
Some virtual people's fortnights serve all patients, each under an id of their own.
"""

import json
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from rich.console import Console

from hybridtwin.record_files import save_record
from hybridtwin.virtual.drawn import draw_patients
from hybridtwin.virtual.life import TIME_ZONE, live

PATIENTS = 10_000
PEOPLE = 200
DAYS = 14
START = pd.Timestamp("2024-03-04T21:00", tz=TIME_ZONE)
NOW = START + pd.Timedelta(days=DAYS)
CORES = 2
_LOOK_S = 1.0


def main(patients: int = PATIENTS) -> None:
    with TemporaryDirectory() as folder:
        home = Path(folder)
        _enrol(home, patients)
        kept, written = home / "kept.jsonl", home / "night.json"
        command = [sys.executable, "-c", "from hybridtwin.cli import main; main()", "nightly"]
        command += [str(home / "records"), "--now", NOW.isoformat(), "--resume", str(kept)]
        command += ["--json", str(written)]
        killed_s = _killed(command, kept, patients // 2)
        before = _finished(kept)
        resumed_s, processor_s = _whole(command)
        after = _finished(kept)
        lines = json.loads(written.read_text())["participants"]
        forecast = {line["participant"] for line in lines if line["status"] == "forecast"}
        assert len({line["participant"] for line in lines}) == len(lines) == patients
        assert after == Counter(forecast)  # each once
        assert not before - after
        explained = sum(line["explanation"] is not None for line in lines)
        Console(highlight=False).print(
            f"{patients:,} patients on {CORES} cores in {killed_s + resumed_s:.0f} s: killed after "
            f"{killed_s:.0f} s and {before.total():,} of them, the others in {resumed_s:.0f} s "
            f"({1000 * processor_s / (patients - before.total()):.0f} ms of processor time each); "
            f"{explained:,} explained, {patients - len(forecast):,} refused, nobody twice",
            soft_wrap=True,
        )


def _enrol(home: Path, patients: int) -> None:
    """Folders of patients; a virtual person's tables lie in many of them at once."""
    people = live(draw_patients(PEOPLE, seed=2), DAYS, START, seed=2)
    for number, one in enumerate(people):
        lent = save_record(one.record, home / "lent")
        header = json.loads((lent / "record.json").read_text())
        for patient in range(number, patients, PEOPLE):
            own = home / "records" / f"patient-{patient:05}"
            own.mkdir(parents=True)
            header["profile"]["participant"] = own.name
            (own / "record.json").write_text(json.dumps(header))
            for table in lent.glob("*.parquet"):
                os.link(table, own / table.name)


def _finished(kept: Path) -> Counter[str]:
    """How often each patient is among those who are kept."""
    lines = kept.read_text().split("\n") if kept.exists() else []
    return Counter(json.loads(line)["name"] for line in lines if line.endswith("}"))


def _killed(command: list[str], kept: Path, after: int) -> float:
    """Seconds until so many patients were kept and it was killed."""
    begin = time.perf_counter()
    with _started(command) as running:
        while not kept.exists() or kept.read_bytes().count(b"}\n") < after:
            assert running.poll() is None
            time.sleep(_LOOK_S)
        running.kill()
        return time.perf_counter() - begin


def _whole(command: list[str]) -> tuple[float, float]:
    """Seconds until it ended, and how many of the processors all its processes used."""
    begin, used = time.perf_counter(), _used_s()
    with _started(command) as running:
        assert running.wait() == 0
    return time.perf_counter() - begin, _used_s() - used


def _used_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _started(command: list[str]) -> subprocess.Popen[bytes]:
    cores = sorted(os.sched_getaffinity(0))[:CORES]
    environment = os.environ | {"OMP_NUM_THREADS": str(len(cores))}
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    os.sched_setaffinity(running.pid, cores)
    return running


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
