"""`python -m tests.bench.mixed`: ten minutes of all that apps ask, and what memory it takes.

Apps send readings, ask for forecasts, scenarios and what was forecast; a stream of news is open.
It fails at the first error, and where the service takes more memory in the end than after its
first third, beyond what figures of memory vary by.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

import httpx
import psutil
from rich.console import Console

from tests.bench.peers import CORES
from tests.bench.service import question
from tests.serving.v1.site import Person, Site, batch, site, ward

MINUTES = 10
CLIENTS = 4
LOOK_EVERY_S = 5
GROWTH_MAX = 1.05


def ask_everything(person: Person, path: str, asked: Counter[str], end: float) -> None:
    """All that an app asks, in turns, until the monotonic clock says `end`."""
    units = {"units": {"glucose": "mg/dL"}}

    def reading() -> httpx.Response:
        now = {"time": datetime.now(UTC).isoformat(), "value": 120}
        return person.ask("POST", f"{path}/observations", json=batch(0) | {"glucose": [now]})

    def scenario() -> httpx.Response:
        later = (datetime.now(UTC) + timedelta(minutes=30)).isoformat()
        snack = {"name": "snack", "meals": [{"time": later, "carbs_g": 20}]}
        plans = {"plans": [{"name": "as usual"}, snack]}
        return person.ask("POST", f"{path}/scenario", json=units | plans)

    kinds: dict[str, Callable[[], httpx.Response]] = {
        "reading": reading,
        "forecast": lambda: person.ask("POST", f"{path}/forecast", json=units),
        "scenario": scenario,
        "stateless": lambda: person.ask("POST", "/v1/forecast", json=question()),
        "forecasts": lambda: person.ask("GET", f"{path}/forecasts"),
        "belief": lambda: person.ask("GET", f"{path}/belief"),
        "export": lambda: person.ask("GET", f"{path}/export"),
        "news": lambda: person.ask("GET", f"{path}/events", params={"wait_s": 0}),
    }
    for kind in cycle(kinds):
        if time.monotonic() >= end:
            return
        kinds[kind]().raise_for_status()
        asked[kind] += 1


def memory_mib() -> float:
    """What the services that this process started hold for themselves."""
    found = 0.0
    for child in psutil.Process().children(recursive=True):
        try:
            found += child.memory_full_info().uss
        except psutil.NoSuchProcess:
            continue
    return found / 2**20


def _patient(service: Site, end: float) -> tuple[str, Person]:
    """A new patient with a day of readings, whose token lasts to the end."""
    path, person = service.patient(consents={"care": "1"})
    person.post(f"{path}/observations", **batch(24))
    expires = time.time() + end - time.monotonic() + 60
    name, known_by = person.subject.split("#")[1], path.rsplit("/", 1)[1]
    return path, service.person(name, "patient", patient=known_by, exp=int(expires))


def mixed(service: Site, minutes: float) -> tuple[Counter[str], list[float]]:
    """How often what was asked, and the memory along the way, MiB."""
    end = time.monotonic() + 60 * minutes
    people = [_patient(service, end) for _ in range(CLIENTS)]
    asked: Counter[str] = Counter()
    seen: list[float] = []
    with ThreadPoolExecutor(CLIENTS) as pool:
        work = [pool.submit(ask_everything, person, path, asked, end) for path, person in people]
        while not all(each.done() for each in work):
            time.sleep(LOOK_EVERY_S)
            seen.append(memory_mib())
        for each in work:
            each.result()
    return asked, seen


def main(minutes: float = MINUTES) -> None:
    with TemporaryDirectory() as folder:
        home = Path(folder)
        as_run = {"HYBRIDTWIN_COMPILED": "true", "HYBRIDTWIN_WORKERS": str(CORES)}
        with site(home, f"sqlite:///{home / 'store.db'}", ward(home), **as_run) as found:
            asked, seen = mixed(found, minutes)
    third = len(seen) // 3
    early, late = mean(seen[third : 2 * third]), mean(seen[2 * third :])
    Console(highlight=False).print(
        f"{sum(asked.values()):,} requests in {minutes:g} min without an error "
        f"({', '.join(f'{kind} {times:,}' for kind, times in asked.items())}); "
        f"memory {early:.0f} MiB in the second third, {late:.0f} MiB in the last",
        soft_wrap=True,
    )
    if late > GROWTH_MAX * early:
        raise SystemExit(f"memory grew by {100 * (late / early - 1):.0f} %")


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
