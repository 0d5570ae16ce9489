"""`python -m tests.bench.fuzz [REQUESTS [SECONDS]]`: every path asked 20,000 times.

All of Schemathesis' checks, in pieces that differ in their seed; a line after each says how far it
is. It takes about half an hour, and fails at the first piece with an answer that the API's
description does not promise, or that takes longer than SECONDS (10), which a machine that others
use may want raised.
"""

import sys
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from tests.serving.v1.fuzz import PATIENCE_S, fuzz
from tests.serving.v1.site import site, ward

REQUESTS = 20_000
EXAMPLES = 40  # for each operation, in each piece
_ONCE = "coverage"  # asks the same whatever the seed


def main(requests: float = REQUESTS, patience_s: float = PATIENCE_S) -> None:
    say = Console(highlight=False).print
    with TemporaryDirectory() as folder:
        home = Path(folder)
        with site(home, f"sqlite:///{home / 'store.db'}", ward(home)) as found:
            asked = 0
            for seed in count(1):
                phases = "fuzzing,stateful" if asked else f"{_ONCE},fuzzing,stateful"
                # One worker: Hypothesis' threads change each other's limit of recursion, and fail.
                options = ("--phases", phases, "--max-examples", str(EXAMPLES), "--workers", "1")
                try:
                    asked += fuzz(found, home, *options, seed=seed, patience_s=patience_s)
                except AssertionError as error:
                    raise SystemExit(f"seed {seed}, {phases}: {error}") from error
                say(f"{asked:,} of {requests:,.0f} requests, every answer as described")
                if asked >= requests:
                    return


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
