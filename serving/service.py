"""The BentoML service: `bentoml serve serving.service:HybridTwin`, or `hybridtwin serve`."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Thread

import bentoml
import pandas as pd
import torch

from hybridtwin.events import GlucoseReading, Profile
from hybridtwin.native import native_walk
from hybridtwin.record import from_events
from hybridtwin.registry import load_twin
from hybridtwin.twin import Twin
from hybridtwin.units import STEP_MIN
from serving.api import app
from serving.doors import guarded
from serving.settings import from_environment
from serving.tonight import review_clinic

torch.set_num_threads(1)  # requests run side by side; threads inside one would only contend


@bentoml.asgi_app(guarded(app), path="/")
@bentoml.service
class HybridTwin:
    """One twin, loaded once, and the night of the clinic, reviewed beside it."""

    def __init__(self) -> None:
        settings = from_environment()
        twin = load_twin(settings.model)
        _warm_up(twin)
        app.state.settings = settings
        app.state.twin = twin
        if settings.compiled:
            Thread(target=_compile, args=(twin,), daemon=True).start()
        app.state.review = settings.clinic and ThreadPoolExecutor(1).submit(
            review_clinic, settings.clinic, twin, settings
        )


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
