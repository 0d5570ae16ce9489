"""How many patients a minute are reviewed: 200 members, nine hours to six in the morning.

The aim is 10,000 within five minutes on two cores, 1,000 a minute on each: this is one process on
one core, and a panel spreads over as many as there are (`tests.bench.nightly`). Everyone's night is
forecast; explained are those for whom a low is likely enough.
"""

from dataclasses import replace
from time import perf_counter

import pandas as pd
import torch

from hybridtwin.native import native_walk
from hybridtwin.registry import load_twin
from hybridtwin.review.review import review_night
from hybridtwin.review.settings import ReviewSettings
from hybridtwin.virtual.drawn import draw_patients
from hybridtwin.virtual.life import TIME_ZONE, live
from tests.bench.frame import Row

PEOPLE = 60
DAYS = 14
START = pd.Timestamp("2024-03-04T21:00", tz=TIME_ZONE)
FORECAST_ONLY = ReviewSettings(explain_from=1.0, corrected_above_mg_dl=1000.0)


def rows() -> list[Row]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    twin = replace(load_twin(), walk=native_walk())
    records = [one.record for one in live(draw_patients(PEOPLE, seed=2), DAYS, START, seed=2)]
    now = START + pd.Timedelta(days=DAYS)

    def per_min(settings: ReviewSettings) -> float:
        begin = perf_counter()
        reviews = [review_night(twin, record, now, settings) for record in records]
        if sum(review.risk.status == "forecast" for review in reviews) < PEOPLE / 2:
            raise ValueError("a speed is worth nothing where most are refused")
        return 60 * PEOPLE / (perf_counter() - begin)

    per_min(FORECAST_ONLY)  # warm
    found = Row(
        name="nightly_review",
        value=per_min(ReviewSettings()),
        unit="patients/min",
        peer="forecast of the night alone",
        peer_value=per_min(FORECAST_ONLY),
    )
    torch.set_num_threads(threads)
    return [found]
