"""The night: who will have a low between midnight and six, foreseen in the evening."""

import time
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from pydantic import Field, field_validator
from rich.progress import Progress

from hybridtwin.assimilation.settings import MissesSettings
from hybridtwin.errors import HistoryError, Problem
from hybridtwin.record import Record
from training.event_scores import bins, event_rows
from training.metrics import ROW
from training.night_models import (
    NIGHT_PEERS,
    NightFit,
    Probabilities,
    current,
    personal,
    population,
)
from training.nights import LOWS, NightRule, Nights, NightSplit, split_nights
from training.scoring import Results
from training.twins import Twins


class NightProtocol(NightRule):
    """Lows of the last part of everyone's nights."""

    kind: Literal["night"] = "night"
    name: str
    split: str = Field(description="The rows' word for what was learnt from and scored.")
    peers: tuple[str, ...] = Field(tuple(NIGHT_PEERS), description=f"Of {', '.join(NIGHT_PEERS)}.")
    bootstrap_samples: int = Field(500, ge=1)
    seed: int = 0

    @field_validator("peers")
    @classmethod
    def _known(cls, peers: tuple[str, ...]) -> tuple[str, ...]:
        for name in peers:
            if name not in NIGHT_PEERS:
                raise ValueError(f"no peer {name!r}; choose of {', '.join(NIGHT_PEERS)}")
        return peers


def evaluate_night(
    records: Sequence[Record], protocol: NightProtocol, twins: Twins, progress: Progress
) -> Results:
    """Score twins and peers on the same nights.

    Raises:
        HistoryError: There is no night to learn from or none to score.
    """
    split = split_nights(records, protocol)
    if not len(split.score):
        reasons = [Problem(each.participant, each.reason, "Send more.") for each in split.skipped]
        raise HistoryError(reasons or [Problem("records", "there are none", "Send some.")])
    fits: dict[str, NightFit] = {name: NIGHT_PEERS[name] for name in protocol.peers}
    fits["twin"] = population(twins.population)
    fits["twin-current"] = current(twins.population, MissesSettings())
    fits["twin-personal"] = personal(twins.population, twins.settings)
    return night_contest(split, fits, protocol, progress)


def night_contest(
    split: NightSplit, fits: Mapping[str, NightFit], protocol: NightProtocol, progress: Progress
) -> Results:
    """Fit models on the nights to learn from and score them on the others."""
    said: dict[str, Probabilities] = {}
    seconds: dict[str, float] = {}
    task = progress.add_task("evaluate", total=len(fits))
    for name, fit in fits.items():
        progress.update(task, description=f"evaluate {name}")
        began = time.perf_counter()
        said[name] = fit(split.learn)(split.score)
        seconds[name] = time.perf_counter() - began
        progress.advance(task)
    tables = [
        event_rows(
            model,
            low.name,
            split.score.windows,
            split.score.happened[low.name].numpy(),
            each[low.name].double().numpy(),
            protocol.bootstrap_samples,
            protocol.seed,
        ).assign(horizon_min=low.end_min - low.begin_min)
        for model, each in said.items()
        for low in LOWS
    ]
    table = pd.concat(tables, ignore_index=True).assign(split=protocol.split)[list(ROW)]
    figures = {"reliability.png": reliability_figure(said, split.score)}
    return Results(table, split.skipped, seconds, figures)


def reliability_figure(said: Mapping[str, Probabilities], nights: Nights) -> Figure:
    """What happened against what was said, over all nights; a panel per low."""
    drawn = Figure(figsize=(10, 7), layout="constrained")
    panels = drawn.subplots(2, len(LOWS) // 2).flatten()
    for panel, low in zip(panels, LOWS, strict=True):
        happened = nights.happened[low.name].numpy()
        for model, each in said.items():
            panel.plot(*bins(happened, each[low.name].double().numpy()), marker="o", label=model)
        end = float(np.nanmax([each[low.name].max() for each in said.values()]))
        panel.plot([0, end], [0, end], color="grey", linewidth=0.8)
        panel.set(title=low.name, xlabel="probability said", ylabel="share that happened")
    panels[0].legend()
    return drawn
