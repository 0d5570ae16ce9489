"""`python -m tests.bench.kills`: the service killed 50 times amid readings, on both databases.

Takes about half an hour, and fails at the first row that is missing, doubled or changed.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from tests.serving.postgres import cluster
from tests.serving.v1.kills import Heard, killed

TIMES = 50


def main(times: int = TIMES) -> None:
    with TemporaryDirectory() as folder:
        home = Path(folder)
        _say("SQLite", times, killed(home, f"sqlite:///{home / 'store.db'}", times))
        with cluster() as server:
            _say("PostgreSQL", times, killed(home, server.empty_database(), times))


def _say(name: str, times: int, heard: Heard) -> None:
    rows = sum(map(len, heard.rows.values()))
    Console(highlight=False).print(
        f"{name}, killed {times} times: {rows:,} readings and {len(heard.people):,} patients were "
        f"acknowledged and are there once; {heard.silences} requests got no answer",
        soft_wrap=True,
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
