"""The BentoML service: `bentoml serve serving.service:HybridTwin`, or `hybridtwin serve`."""

import gc
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Condition, Event, Thread
from types import FrameType
from typing import Any

import bentoml
import pandas as pd
import torch
from anyio import Semaphore
from cachetools import TTLCache, cached

from hybridtwin.events import GlucoseReading, Profile
from hybridtwin.native import native_walk
from hybridtwin.record import from_events
from hybridtwin.registry import load_twin
from hybridtwin.twin import Twin
from hybridtwin.units import STEP_MIN
from serving.app import create_app
from serving.doors import guarded, readable
from serving.evening import start_evenings
from serving.jobs import start_working
from serving.meters import measured
from serving.settings import from_environment
from serving.timely import LONGEST_S, timely
from serving.tonight import review_clinic
from serving.v1.access import access_to
from serving.v1.store import open_store

_COLLECT_AFTER = (100_000, 20, 100)
"""Cycles are looked for after so many new objects: a page makes some ten thousand, and no cycle."""

_LOOK_EVERY_S = 1.0

settings = from_environment()
app = create_app(stored=settings.database is not None)
torch.set_num_threads(1)  # requests run side by side; threads inside one would only contend


@bentoml.asgi_app(measured(timely(guarded(app))), path="/")
@bentoml.service(
    workers=settings.workers,
    traffic={"timeout": 2 * LONGEST_S},  # its answer would have a shape of its own
    metrics={"enabled": False},  # they would name patients' paths to everyone
    logging={"access": {"enabled": False}},  # so would it, and who asks could write lines of it
)
class HybridTwin:
    """One twin, loaded once, and the night of the clinic, reviewed beside it."""

    def __init__(self) -> None:
        if settings.database is not None:
            app.state.store = open_store(settings)
            app.state.access = access_to(app.state.store, settings)
        twin = load_twin(settings.model)
        _warm_up(twin)
        app.state.settings = settings
        app.state.twin, app.state.turn = twin, Semaphore(1)
        if settings.database is not None:
            app.state.working = start_working(app.state.store, lambda: app.state.twin, settings)
            start_evenings(app.state.store, settings, app.state.working.stopping)
            _tell_at_once(app.state.working.stopping)
        if settings.compiled:
            Thread(target=_compile, args=(twin,), daemon=True).start()
        app.state.review = settings.clinic and ThreadPoolExecutor(1).submit(
            review_clinic, settings.clinic, twin, settings
        )
        gc.collect()
        gc.freeze()  # what stays for good need not be looked through again and again
        gc.set_threshold(*_COLLECT_AFTER)

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]
    def stop(self) -> None:
        """Give back what is in hand, for others to go on with."""
        if settings.database is not None:
            app.state.working.stop()

    def __is_ready__(self) -> bool:
        """Whether questions can be answered now."""
        return settings.database is None or _usable()


HybridTwin.add_asgi_middleware(readable)  # type: ignore[attr-defined]


@cached(TTLCache(1, ttl=_LOOK_EVERY_S), condition=Condition())
def _usable() -> bool:
    """Whether the database is; looking writes to it, and anybody may ask as often as they like."""
    found: bool = app.state.store.database.usable()
    return found


def _tell_at_once(stopping: Event) -> None:
    """Set the event when the process is told to end: the server tells only after its last answer,
    and a stream of news would go on for a quarter of an hour.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        if callable(then := signal.getsignal(number)):

            def told(number: int, frame: FrameType | None, then: Any = then) -> None:
                stopping.set()
                then(number, frame)

            signal.signal(number, told)


def _compile(twin: Twin) -> None:
    """Put a compiled twin in the place of the one that answers meanwhile."""
    fast = replace(twin, walk=native_walk())
    _warm_up(fast)
    app.state.twin = fast


def _warm_up(twin: Twin) -> None:
    """A first forecast, so that the first request does not pay for it."""
    now = pd.Timestamp.now("UTC").floor(f"{STEP_MIN}min")
    times = pd.date_range(end=now, periods=100, freq=f"{STEP_MIN}min")
    readings = [GlucoseReading(time=time.to_pydatetime(), mg_dl=120) for time in times]
    twin.forecast(twin.believe(from_events(Profile(), readings), now)).report()
