"""`python -m tests.bench.fuzz [REQUESTS [SECONDS]]`: all paths asked 20,000 times on each database.

All of Schemathesis' checks, in pieces that differ in their seed; a line after each says how far it
is. It takes about half an hour for each database, and fails at the first piece with an answer that
the API's description does not promise, or that takes longer than SECONDS (10), which a machine that
others use may want raised.
"""

import sys
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from tests.serving.postgres import cluster
from tests.serving.v1.fuzz import PATIENCE_S, fuzz
from tests.serving.v1.site import site, ward

REQUESTS = 20_000
EXAMPLES = 40  # for each operation, in each piece
_ONCE = "coverage"  # asks the same whatever the seed


def ask(name: str, home: Path, url: str, requests: float, patience_s: float) -> None:
    """Asks a service on this database so many times."""
    say = Console(highlight=False).print
    with site(home, url, ward(home)) as found:
        asked = 0
        for seed in count(1):
            phases = "fuzzing,stateful" if asked else f"{_ONCE},fuzzing,stateful"
            # One worker: Hypothesis' threads change each other's limit of recursion, and fail.
            options = ("--phases", phases, "--max-examples", str(EXAMPLES), "--workers", "1")
            try:
                asked += fuzz(found, home, *options, seed=seed, patience_s=patience_s)
            except AssertionError as error:
                raise SystemExit(f"{name}, seed {seed}, {phases}: {error}") from error
            say(f"{name}: {asked:,} of {requests:,.0f} requests, every answer as described")
            if asked >= requests:
                return


def main(requests: float = REQUESTS, patience_s: float = PATIENCE_S) -> None:
    with TemporaryDirectory() as folder:
        home = Path(folder)
        ask("SQLite", home, f"sqlite:///{home / 'store.db'}", requests, patience_s)
    with TemporaryDirectory() as folder, cluster() as server:
        ask("PostgreSQL", Path(folder), server.empty_database(), requests, patience_s)


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
