"""`python -m tests.bench.panel`: the panel of 1,000 patients from a real server, on SQLite.

Prints the server's own time for the page, as its figures tell it. Filling takes some minutes.
"""

import re
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from tests.serving.clinic.ward import MIXED, fill
from tests.serving.v1.site import CLINIC, Person, Site, site, ward

PATIENTS = 1000
TIMES = 20
_SECONDS = re.compile(r'hybridtwin_request_seconds_sum\{endpoint="/",method="GET"\} (\S+)')


def main(patients: int = PATIENTS) -> None:
    with TemporaryDirectory() as folder:
        home = Path(folder)
        with site(home, f"sqlite:///{home / 'store.db'}", ward(home)) as found:
            kinds = [MIXED[number % len(MIXED)] for number in range(patients)]
            fill(found.database, found.master_key, CLINIC, kinds)
            took_ms = sorted(1000 * one for one in _server_s(found, found.clinician()))
    middle, worst = statistics.median(took_ms), took_ms[-1]
    Console(highlight=False).print(
        f"panel of {patients:,} patients: {middle:.0f} ms of server time in the middle, "
        f"{worst:.0f} ms at worst, of {TIMES}",
        soft_wrap=True,
    )


def _server_s(found: Site, doctor: Person) -> Iterator[float]:
    """What each of some requests took in the server; the first, which warms it, does not count."""
    before = 0.0
    for number in range(TIMES + 1):
        answer = doctor.ask("GET", "/")
        assert answer.status_code == 200
        total = float(_SECONDS.findall(found.client.get("/metrics").text)[0])
        if number:
            yield total - before
        before = total


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
