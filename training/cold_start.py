"""Cold start: how soon a twin knows a new person.

Everyone is scored on the last part of their time by models that have seen others, and of the person
only the days just before it. Peers learn from both; the twin, trained without the person, is
personalised on these days or kept current by them, and looks back so far.
"""

from collections.abc import Sequence
from typing import Literal

import pandas as pd
from pydantic import Field
from rich.progress import Progress
from torch import Tensor

from hybridtwin.assimilation.settings import MissesSettings
from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.record import Record
from hybridtwin.units import steps
from training.features import HISTORY_MIN
from training.forecasters import HISTORY_DAYS, personal
from training.kept_current import current
from training.scoring import Results, in_order, predictions, rmse_figure, scorable, score
from training.twins import Twins
from training.unseen import FoldsProtocol, each_fold
from training.windows import (
    FitFunction,
    Prediction,
    Windows,
    side_by_side,
    split_by_time,
    together,
)


class ColdStartProtocol(FoldsProtocol):
    """People never seen before, scored after the first days of their own data."""

    kind: Literal["cold-start"] = "cold-start"
    days: tuple[int, ...] = Field(
        (0, 1, 3, 7, 14), min_length=1, description="Of the person's own data."
    )


def evaluate_cold_start(
    records: Sequence[Record], protocol: ColdStartProtocol, twins: Twins, progress: Progress
) -> Results:
    """Score peers and twins after days of a person's own data; the rows' split says how many.

    Raises:
        HistoryError: No record has enough windows, or there are too few people.
        ModelError: A fold has no twin that was trained without it.
    """
    split = scorable(split_by_time(records, protocol))
    prepared = each_fold(records, split, protocol.folds, twins)
    seconds: dict[str, float] = {}
    tables = []
    for days in protocol.days:
        parts: dict[str, list[tuple[Tensor, Prediction]]] = {}
        for fold in prepared:
            own = last_days(split.learn, fold.people, days)
            fits = {name: _after(fold.others, fit) for name, fit in protocol.peer_fits().items()}
            reach = max(days, HISTORY_DAYS)
            fits["twin-personal"] = personal(fold.twin, twins.settings, reach)
            fits["twin-current"] = current(fold.twin, MissesSettings(days=reach), reach)
            said = predictions(fits, own, fold.strangers, seconds, progress)
            for name, prediction in said.items():
                parts.setdefault(name, []).append((fold.at, prediction))
        said = {name: in_order(each) for name, each in parts.items()}
        tables.append(score(said, split.score, protocol, f"{protocol.split} after {days} days"))
    table = pd.concat(tables, ignore_index=True)
    return Results(table, split.skipped, seconds, {"rmse.png": rmse_figure(table)})


def last_days(windows: Windows, people: Sequence[int], days: int) -> Windows:
    """The windows of some people, of whose time nothing but the last days is known."""
    parts = []
    for index in people:
        whole = windows.timelines[index]
        begin = max(len(whole) - days * steps(MINUTES_PER_DAY), 0)
        kept = windows.anchor[windows.of(index)] - begin
        kept = kept[kept >= steps(HISTORY_MIN)]
        parts.append((whole.between(begin, len(whole)), kept))
    who = [(windows.participants[index], windows.cohorts[index]) for index in people]
    return side_by_side(who, parts, windows.horizons_min)


def _after(others: Windows, fit: FitFunction) -> FitFunction:
    """The model that learns from others too."""
    return lambda own: fit(together(others, own))
