"""Unseen people: each fold of people is scored by models that learnt from the other folds alone.

The windows scored are those of the last part of their time, as in every other protocol. What is
learnt from is stripped of names, since names help nobody with strangers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from pydantic import Field
from rich.progress import Progress
from torch import Tensor

from hybridtwin.errors import HistoryError
from hybridtwin.record import Record
from hybridtwin.twin import Twin
from training.folds import folds
from training.forecasters import HISTORY_DAYS, population
from training.scoring import (
    Results,
    ScoringRule,
    in_order,
    predictions,
    rmse_figure,
    scorable,
    score,
)
from training.twins import Twins
from training.windows import Prediction, Split, Windows, split_by_time


class FoldsProtocol(ScoringRule):
    """What protocols of people never seen say."""

    folds: int = Field(3, ge=2, description="Groups of people, each left out once.")


class UnseenProtocol(FoldsProtocol):
    """No data of the people scored is learnt from, or looked at beside the history."""

    kind: Literal["unseen"] = "unseen"


@dataclass(frozen=True)
class Fold:
    """One group of people left out.

    Attributes:
        people: Their numbers among all.
        others: Windows of everyone else, nameless, to learn from.
        at: (n,) positions of the group's windows among all that are scored.
        strangers: (n,) those windows.
        twin: A population twin that has not seen the group.
    """

    people: list[int]
    others: Windows
    at: Tensor
    strangers: Windows
    twin: Twin


def evaluate_unseen(
    records: Sequence[Record], protocol: UnseenProtocol, twins: Twins, progress: Progress
) -> Results:
    """Score peers and twins on people that they have never seen.

    Raises:
        HistoryError: No record has enough windows, or there are too few people.
        ModelError: A fold has no twin that was trained without it.
    """
    split = scorable(split_by_time(records, protocol))
    seconds: dict[str, float] = {}
    parts: dict[str, list[tuple[Tensor, Prediction]]] = {}
    for fold in each_fold(records, split, protocol.folds, twins):
        fits = protocol.peer_fits() | {"twin": population(fold.twin, days=HISTORY_DAYS)}
        said = predictions(fits, fold.others, fold.strangers, seconds, progress)
        for name, prediction in said.items():
            parts.setdefault(name, []).append((fold.at, prediction))
    table = score(
        {name: in_order(each) for name, each in parts.items()},
        split.score,
        protocol,
        protocol.split,
    )
    return Results(table, split.skipped, seconds, {"rmse.png": rmse_figure(table)})


def each_fold(records: Sequence[Record], split: Split, count: int, twins: Twins) -> list[Fold]:
    """The folds that hold somebody who is scored.

    Args:
        records: All of them, as training knew them, those without enough windows included.
        split: Their windows.
        count: How many folds.
        twins: With one for each fold.

    Raises:
        HistoryError: All who are scored lie in one fold.
        ModelError: A fold has no twin that was trained without it.
    """
    keys = [(each.provenance.source, each.profile.participant) for each in records]
    fold_of = dict(zip(keys, folds(records, count), strict=True))
    score, learn = split.score, split.learn
    numbers = [fold_of[key] for key in zip(score.cohorts, score.participants, strict=True)]
    if len(set(numbers)) < 2:
        raise HistoryError.of(
            "records", "nobody is left to learn from", f"Send those of at least {count} people."
        )
    person_fold = torch.tensor(numbers)
    found = []
    for number in sorted(set(numbers)):
        people = [index for index, fold in enumerate(numbers) if fold == number]
        twin = twins.of_fold(number, [score.participants[index] for index in people])
        at = torch.nonzero(person_fold[score.person] == number).flatten()
        others = nameless(learn.take(person_fold[learn.person] != number))
        found.append(Fold(people, others, at, score.take(at), twin))
    return found


def nameless(windows: Windows) -> Windows:
    """The same windows where nobody can be told from anybody else."""
    count = len(windows.participants)
    return replace(windows, participants=["somebody"] * count, cohorts=["somewhere"] * count)
