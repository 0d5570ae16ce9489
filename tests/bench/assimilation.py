"""How fast a twin is kept current: one reading of one patient, and one of each of ten thousand."""

from dataclasses import replace
from functools import partial

import pandas as pd
import torch

from hybridtwin.assimilation.advance import Happened, advance, chance, correct
from hybridtwin.assimilation.assimilated import Assimilated, assimilate
from hybridtwin.assimilation.filters import Ensemble
from hybridtwin.assimilation.saved import to_bytes
from hybridtwin.assimilation.settings import AssimilationSettings
from hybridtwin.native import native_step, native_walk
from hybridtwin.record import Record
from hybridtwin.registry import load_twin
from hybridtwin.twin import Twin
from tests.bench.frame import Row, median_s
from tests.hybridtwin.people import history

PATIENTS = 10_000
HOURS = 27


def rows() -> list[Row]:
    twin, settings = replace(load_twin(), walk=native_walk()), AssimilationSettings()
    record = history(HOURS)
    times = record.glucose["time"]
    before = record.before(times.iloc[-2])
    held = assimilate(twin, None, before, settings)
    reading = Record(profile=record.profile, glucose=record.glucose.tail(1))
    one_s = median_s(partial(assimilate, twin, held, reading, settings), repeats=41)
    again_s = median_s(partial(assimilate, twin, None, record, settings), repeats=1, warm_ups=0)
    step_s = median_s(partial(_step, twin, held, settings, 1), repeats=21)
    many_s = median_s(partial(_step, twin, held, settings, PATIENTS), repeats=3, warm_ups=1)
    return [
        Row(
            "assimilate_one_reading",
            1000 * one_s,
            "ms p50",
            f"all {HOURS} hours again",
            1000 * again_s,
            less_is_better=True,
        ),
        Row(
            "assimilate_many",
            many_s,
            f"s, {PATIENTS:,} patients",
            "one after the other",
            PATIENTS * step_s,
            less_is_better=True,
        ),
        Row(
            "assimilate_memory",
            held.checkpoints[-1].members.nbytes * PATIENTS / 1e6,
            f"MB, {PATIENTS:,} patients",
            "as stored, with their last hours",
            len(to_bytes(held)) * PATIENTS / 1e6,
            less_is_better=True,
        ),
    ]


def _step(twin: Twin, held: Assimilated, settings: AssimilationSettings, patients: int) -> Ensemble:
    """A step of the grid and a reading of so many patients at once."""
    each = torch.zeros(patients, dtype=torch.long)
    last, grid = held.checkpoints[-1], held.grid
    row = round((last.time - grid.start) / pd.Timedelta(minutes=5))
    happened = Happened(
        grid.values[row].expand(patients, -1),
        grid.known[row].expand(patients, -1),
        grid.minute_of_day[row].expand(patients),
    )
    ensemble = Ensemble(
        last.members.expand(patients, -1, -1), last.log_weights.expand(patients, -1)
    )
    people = twin.person_for(held.recent.events.profile).rows(each)
    drawn, by_reading = chance("step", 1, settings), chance("cgm", 1, settings)
    with torch.inference_mode():
        moved = advance(twin.model, people, ensemble, happened, drawn, settings, native_step())
        readings = torch.linspace(60, 300, patients)
        return correct(moved, readings, "cgm", by_reading, settings)
