"""`python -m tests.bench.fuzz_streams`: 10,000 streams of anything admissible, by both filters.

Takes half an hour or so, and fails at the first number that is none. All streams run side by side;
some more enter by the door, their parts late, doubled and out of order.
"""

from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd
import torch
from rich.console import Console

from hybridtwin.assimilation.advance import Happened, advance, chance, correct
from hybridtwin.assimilation.assimilated import assimilate
from hybridtwin.assimilation.filters import Ensemble
from hybridtwin.assimilation.settings import AssimilationSettings, FilterSettings
from hybridtwin.native import native_step, native_walk
from hybridtwin.registry import load_twin
from hybridtwin.timeline import CHANNEL, CHANNELS
from hybridtwin.twin import Twin
from hybridtwin.units import GLUCOSE_MAX_MG_DL, GLUCOSE_MIN_MG_DL
from tests.hybridtwin.people import history

STREAMS = 10_000
STEPS = 72
DOORS = 50
_LARGEST = {"bolus_u": 30.0, "basal_u": 1.0, "carbs_g": 150.0, "stated_exertion": 1.0}
"""Of a step."""


def main() -> None:
    twin = replace(load_twin(), walk=native_walk())
    kinds: tuple[Literal["ensemble-kalman", "particle"], ...] = ("ensemble-kalman", "particle")
    for kind in kinds:
        settings = AssimilationSettings(filter=FilterSettings(kind=kind))
        side_by_side(twin, settings)
        through_the_door(twin, settings)
        Console(highlight=False).print(f"{kind}: {STREAMS:,} streams and {DOORS} by the door, sane")


def side_by_side(twin: Twin, settings: AssimilationSettings) -> None:
    rng = np.random.default_rng(0)
    record = history(8)
    begun = assimilate(twin, None, record, settings).checkpoints[-1]
    ensemble = Ensemble(
        begun.members.expand(STREAMS, -1, -1), begun.log_weights.expand(STREAMS, -1)
    )
    people = twin.person_for(record.profile).rows(torch.zeros(STREAMS, dtype=torch.long))
    with torch.inference_mode():
        for k in range(STEPS):
            values = np.zeros((STREAMS, len(CHANNELS)), dtype=np.float32)
            for name, largest in _LARGEST.items():
                taken = rng.random(STREAMS) < 0.1
                values[:, CHANNEL[name]] = taken * rng.uniform(0, largest, STREAMS)
            known = np.repeat(rng.random((STREAMS, 1)) < 0.8, len(CHANNELS), axis=1)
            minute = torch.full((STREAMS,), float(5 * k % 1440))
            happened = Happened(torch.from_numpy(values), torch.from_numpy(known), minute)
            drawn = chance("step", k, settings)
            ensemble = advance(
                twin.model, people, ensemble, happened, drawn, settings, native_step()
            )
            reading = rng.uniform(GLUCOSE_MIN_MG_DL, GLUCOSE_MAX_MG_DL, STREAMS)
            reading[rng.random(STREAMS) < 0.3] = np.nan
            source: Literal["cgm", "fingerstick"] = "fingerstick" if k % 7 == 0 else "cgm"
            drawn = chance(source, k, settings)
            ensemble = correct(ensemble, torch.from_numpy(reading).float(), source, drawn, settings)
            if not bool(ensemble.members.isfinite().all()):
                raise SystemExit(f"{settings.filter.kind}: not a number after step {k}")
            weights = ensemble.log_weights.exp()
            if not bool(((weights.sum(1) - 1).abs() < 1e-3).all()):
                raise SystemExit(f"{settings.filter.kind}: weights do not sum to 1 at step {k}")


def through_the_door(twin: Twin, settings: AssimilationSettings) -> None:
    rng = np.random.default_rng(1)
    made = history(10)
    start = made.glucose["time"].iloc[0]
    for number in range(DOORS):
        glucose = made.glucose.copy()
        glucose["mg_dl"] = rng.uniform(GLUCOSE_MIN_MG_DL, GLUCOSE_MAX_MG_DL, len(glucose))
        glucose = glucose[rng.random(len(glucose)) < rng.uniform(0.6, 1)].reset_index(drop=True)
        record = replace(made, glucose=glucose)
        held = assimilate(twin, None, record.before(start + pd.Timedelta(hours=7)), settings)
        for _ in range(4):
            begin, length = rng.uniform(4, 10), rng.uniform(0, 3)
            part = record.since(start + pd.Timedelta(hours=begin))
            part = part.before(start + pd.Timedelta(hours=begin + length))
            held = assimilate(twin, held, part, settings)
        if not bool(held.checkpoints[-1].members.isfinite().all()):
            raise SystemExit(f"{settings.filter.kind}: not a number in stream {number}")


if __name__ == "__main__":
    main()
