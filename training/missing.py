"""Missing inputs: what models lose where nothing is known of insulin, carbs or heart rate.

The twin is the same for all: it learns of what is missing by its masks alone. Peers cannot, so
each is fitted anew to windows that lack the same.
"""

from collections.abc import Sequence
from typing import Literal

import pandas as pd
from pydantic import Field
from rich.progress import Progress

from hybridtwin.record import Record
from training.scoring import (
    Results,
    ScoringRule,
    predictions,
    rmse_figure,
    scorable,
    score,
)
from training.twins import Twins
from training.windows import DRIVERS, split_by_time, withhold

Driver = Literal["carbs", "insulin", "heart-rate"]


class MissingProtocol(ScoringRule):
    """The last part of everyone's time, with drivers withheld before and after the border."""

    kind: Literal["missing"] = "missing"
    withheld: tuple[tuple[Driver, ...], ...] = Field(
        ((), ("carbs",), ("insulin",), ("heart-rate",), ("carbs", "insulin", "heart-rate")),
        min_length=1,
        description="Sets of drivers, each withheld at once; the empty one withholds nothing.",
    )


def evaluate_missing(
    records: Sequence[Record], protocol: MissingProtocol, twins: Twins, progress: Progress
) -> Results:
    """Score peers and the twin with each set of drivers withheld; the rows' split says which.

    Raises:
        HistoryError: No record has enough windows.
    """
    split = scorable(split_by_time(records, protocol))
    fits = protocol.peer_fits() | twins.fits(["twin"])
    seconds: dict[str, float] = {}
    tables = []
    for drivers in protocol.withheld:
        learn, asked = (withhold(each, drivers) for each in (split.learn, split.score))
        said = predictions(fits, learn, asked, seconds, progress)
        tables.append(score(said, asked, protocol, named(protocol.split, drivers)))
    table = pd.concat(tables, ignore_index=True)
    return Results(table, split.skipped, seconds, {"rmse.png": rmse_figure(table)})


def named(split: str, drivers: Sequence[str]) -> str:
    """The rows' split, such as last-fifth without carbs and insulin."""
    if not drivers:
        return split
    return f"{split} without {'all' if set(drivers) == set(DRIVERS) else ' and '.join(drivers)}"
