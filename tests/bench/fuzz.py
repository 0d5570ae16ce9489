"""`python -m tests.bench.fuzz`: 20,000 requests to every path, all of Schemathesis' checks.

Takes about half an hour, and fails at the first answer that the API's description does not promise.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from tests.serving.v1.fuzz import fuzz
from tests.serving.v1.site import site, ward

REQUESTS = 20_000
EXAMPLES = 600  # for each operation; the phase `coverage` adds some thousands of its own


def main() -> None:
    with TemporaryDirectory() as folder:
        home = Path(folder)
        with site(home, f"sqlite:///{home / 'store.db'}", ward(home)) as found:
            asked = fuzz(found, home, "--max-examples", str(EXAMPLES), "--workers", "2")
    if asked < REQUESTS:
        raise SystemExit(f"only {asked:,} requests: raise EXAMPLES")
    Console(highlight=False).print(f"{asked:,} requests, every answer as described")


if __name__ == "__main__":
    main()
