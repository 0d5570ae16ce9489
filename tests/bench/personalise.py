"""How many people are fitted a minute: two weeks of records each, all of them side by side."""

from pathlib import Path
from time import perf_counter

import pandas as pd

from hybridtwin.config import read_config
from hybridtwin.record import Record
from hybridtwin.registry import load_twin
from hybridtwin.virtual.drawn import draw_patients
from hybridtwin.virtual.life import live
from tests.bench.frame import Row
from tests.bench.peers import ROOT
from training.personalise import PersonalSettings, personalise

PEOPLE = 200
DAYS = 14
START = pd.Timestamp("2024-03-04", tz="UTC")


def people_per_min(records: list[Record]) -> float:
    settings = read_config(Path(ROOT) / "configs" / "personal.yaml", PersonalSettings)
    begin = perf_counter()
    fits = personalise(load_twin(), records, settings)
    if not any(fit.kept for fit in fits):
        raise ValueError("a speed is worth nothing where nobody is fitted")
    return 60 * len(records) / (perf_counter() - begin)


def rows() -> list[Row]:
    lives = live(draw_patients(PEOPLE, seed=1), DAYS, START, seed=1)
    records = [one.record for one in lives]
    return [
        Row(
            name="personalise",
            value=people_per_min(records),
            unit="people/min",
            peer="one by one",
            peer_value=people_per_min(records[:1]),
        )
    ]
