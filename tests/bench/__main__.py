"""The benchmark: `make bench` writes bench.json, every figure beside a peer of the same run.

A subject is a module with a function `rows`.
"""

import json
import os

import torch
from rich.console import Console

from tests.bench import assimilation, hybrid_twin, personalise, review, service, virtual_patients
from tests.bench.peers import CORES, ROOT

SUBJECTS = (hybrid_twin, assimilation, virtual_patients, personalise, review, service)


def main() -> None:
    # Before any thread is started: all of them, and the peers', stay on these cores.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    torch.set_num_threads(CORES)

    rows = [row for subject in SUBJECTS for row in subject.rows()]
    (ROOT / "bench.json").write_text(json.dumps([row.as_json() for row in rows], indent=2) + "\n")

    for row in rows:
        Console(highlight=False).print(
            f"{row.name}: {row.value:,.4g} {row.unit}, {row.ratio:,.4g} times as fast as "
            f"{row.peer} ({row.peer_value:,.4g})",
            soft_wrap=True,
        )


if __name__ == "__main__":
    main()
