"""A virtual clinic on this machine: its people, where to sign in, and the service."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Final

import typer
from pydantic import SecretStr
from rich.console import Console

from hybridtwin.errors import TwinError
from hybridtwin.virtual.clinic import RECIPE_FILE, Recipe, as_recorded, settle_clinic
from hybridtwin.virtual.diary import Diary, to_record
from hybridtwin.virtual.life import Lives, Moment, at_first, go_on
from serving import clock
from serving.access.issuers import Issuer
from serving.client import Client
from serving.clock import Pace
from serving.demo import pace
from serving.demo.app import App, keep_lived, lived
from serving.demo.issuer import HOST, issuing
from serving.demo.opening import CLINIC, Opened, database_url, open_clinic, opened
from serving.running import check_port, run
from serving.settings import PREFIX, Settings, from_environment

_REQUESTS_PER_MIN: Final = 6000


def show(home: Path, port: int, speed: float) -> None:
    """Let a clinic's people live on, and show its panel, until Ctrl-C.

    Args:
        home: The clinic's folder, which keeps how far they have come.
        port: Where its panel is; people sign in at the next port.
        speed: How much of their time passes in one of ours.

    Raises:
        TwinError: There is no clinic, or a port is taken.
    """
    for one in (port, port + 1):
        check_port(HOST, one)
    file = home / RECIPE_FILE
    if not file.is_file():
        raise TwinError.of(str(file), "is not there", f"Run: hybridtwin clinic --out {home}")
    recipe = Recipe.model_validate_json(file.read_bytes())
    lives = settle_clinic(recipe)
    moment, diary, _ = go_on(lives, at_first(lives), recipe.recorded)
    known = opened(home)
    if known:
        moment, _, _ = go_on(lives, moment, lived(home) - moment.step)
    origin = lives.grid[moment.step].to_pydatetime()
    still = Pace(origin=origin, speed=speed)
    clock.follow(still)
    if known is None:
        keep_lived(home, moment.step)
        known = _open(home, lives, diary)

    url = f"http://localhost:{port}"
    ready = f"Ready: open {url}/ and sign in. There it is {origin:%A, %H:%M} now."
    with issuing(port + 1, url, CLINIC) as issuer:
        settings = _settings(home, known, issuer, url)
        pace.state(home, still)
        client = Client(f"http://{HOST}:{port}", known.app_key)
        with _living(App(home, client, known.patients, lives, still, typer.echo), moment):
            run("serving.demo.service:HybridTwin", settings, HOST, port, ready)


def _open(home: Path, lives: Lives, diary: Diary) -> Opened:
    """Enter everybody with what they have recorded so far."""
    logged, grid = as_recorded(diary), lives.grid[: len(diary.bolus_u)]
    everyone = range(len(lives.patients))
    records = [to_record(logged, person, lives.patients, grid) for person in everyone]
    with Console().status(f"{len(records)} virtual people come, and their night is reviewed"):
        return open_clinic(home, records)


def _settings(home: Path, known: Opened, issuer: Issuer, url: str) -> Settings:
    """Those of the demonstration alone, whatever service is at home in this environment."""
    found = from_environment()
    for name in Settings.model_fields:
        os.environ.pop(PREFIX + name.upper(), None)
    return Settings(
        model=found.model,
        compiled=found.compiled,
        database=SecretStr(database_url(home)),
        master_key=SecretStr(known.master_key),
        issuers=(issuer,),
        public_url=url,
        session_idle_min=found.session_max_min,  # to look on is enough
        requests_per_min=_REQUESTS_PER_MIN,
    )


@contextmanager
def _living(app: App, moment: Moment) -> Iterator[None]:
    """They live on beside what is done meanwhile."""
    stopping = Event()
    Thread(target=app.keep_sending, args=(moment, stopping), daemon=True).start()
    try:
        yield
    finally:
        stopping.set()  # it may be waiting for the service, which is gone: nobody waits for it
