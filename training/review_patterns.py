"""Patterns: whether what was planted in virtual people is found, and nothing else.

Every person lives some weeks by equations that the search for patterns does not know, with one
habit, illness or fault planted in them, or none. Everything that is found in those without a plant
counts as false, even where their ways make it true (some are often low at night without a plant).
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field
from rich.progress import Progress

from hybridtwin.patterns.pattern import Pattern
from hybridtwin.patterns.registry import find_patterns
from hybridtwin.patterns.settings import PatternSettings
from hybridtwin.virtual.drawn import draw_patients
from hybridtwin.virtual.plants import PlantedPerson, PlantKind, Strengths, live_with_plants
from training.metrics import ALL, MEAN, ROW, bootstrap_mean, interval
from training.scoring import Results

COHORT: Final = "virtual"
MODEL: Final = "patterns"
_MONTH_DAYS: Final = 28
_START: Final = pd.Timestamp("2026-02-01T23:00Z")


class PatternsProtocol(BaseModel):
    """What is planted and looked for; see configs/protocols/review-patterns.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["patterns"] = "patterns"
    name: str = "review-patterns"
    split: str = Field("patterns", description="The rows' word for what was scored.")
    people_per_plant: int = Field(20, ge=1, description="Newly drawn people, of all ages in turn.")
    untouched: int = Field(40, ge=1, description="People without a plant.")
    days: int = Field(28, ge=14, description="Of each.")
    strengths: Strengths = Field(Strengths(), description="How strong plants are.")
    settings: PatternSettings = Field(PatternSettings(), description="What is looked for.")
    bootstrap_samples: int = Field(1000, ge=1)
    seed: int = 0


@dataclass(frozen=True)
class Searched:
    """One person, and what was found of them."""

    planted: PlantedPerson
    found: list[Pattern]


def evaluate_patterns(protocol: PatternsProtocol, progress: Progress | None = None) -> Results:
    """Tidy rows: how often each plant is found, and how many false patterns a month has."""
    progress = progress or Progress(disable=True)
    task = progress.add_task("patterns", total=len(PlantKind) + 1)
    everyone: list[Searched] = []
    seconds = 0.0
    for position, kind in enumerate((*PlantKind, None)):
        progress.update(task, description=f"patterns: {kind or 'untouched'}")
        people = _live(protocol, kind, position)
        began = time.perf_counter()
        everyone += [search(one, protocol.settings) for one in people]
        seconds += time.perf_counter() - began
        progress.advance(task)
    return Results(rows(everyone, protocol), seconds={MODEL: seconds})


def _live(protocol: PatternsProtocol, kind: PlantKind | None, position: int) -> list[PlantedPerson]:
    count = protocol.untouched if kind is None else protocol.people_per_plant
    seed = protocol.seed + position
    patients = draw_patients(count, seed)
    return live_with_plants(
        patients, [kind] * count, protocol.days, _START, seed, protocol.strengths
    )


def search(planted: PlantedPerson, settings: PatternSettings) -> Searched:
    """Look for patterns in one person's record."""
    found = find_patterns(planted.person.record, settings=settings)
    return Searched(planted, [pattern for pattern in found if pattern.status == "found"])


def is_plant(pattern: Pattern, planted: PlantedPerson) -> bool:
    """Whether a pattern that was found is what was planted."""
    match planted.kind:
        case PlantKind.EARLY_NIGHT_LOWS:
            return (pattern.kind, pattern.part) == ("night lows", "early")
        case PlantKind.LATE_NIGHT_LOWS:
            return (pattern.kind, pattern.part) == ("night lows", "late")
        case PlantKind.MISSED_BOLUSES | PlantKind.LATE_BOLUSES:
            return (pattern.kind, pattern.part) == ("late or missed boluses", planted.part)
        case PlantKind.AEROBIC_EXERCISE:
            return _exercise(pattern, f"aerobic, {planted.part}", -1)
        case PlantKind.ANAEROBIC_EXERCISE:
            return _exercise(pattern, f"anaerobic, {planted.part}", 1)
        case PlantKind():
            return (pattern.kind, pattern.part) == (str(planted.kind), "")
    return False


def _exercise(pattern: Pattern, part: str, sign: int) -> bool:
    right = pattern.size is not None and pattern.size * sign > 0
    return pattern.kind == "exercise" and pattern.part == part and right


def rows(everyone: Sequence[Searched], protocol: PatternsProtocol) -> pd.DataFrame:
    """Tidy rows of each person and of all; intervals come from resampled people.

    Metrics are `found_` with the plant's name: whether it is found; `beside_it`: further patterns a
    month in people with a plant; `false_per_month`: patterns in people without, all and by kind.
    """
    scores: list[tuple[str, str, float]] = []
    months = protocol.days / _MONTH_DAYS
    for each in everyone:
        planted = each.planted
        # Drawn again for every plant, people of different plants share their names.
        label = str(planted.kind or "untouched").replace(" ", "_")
        name = f"{planted.person.record.profile.participant}-{label}"
        hits = [is_plant(pattern, planted) for pattern in each.found]
        if planted.kind is None:
            counts = Counter(_named(pattern) for pattern in each.found)
            scores.append((name, "false_per_month", len(each.found) / months))
            scores += [(name, f"false_per_month_{key}", n / months) for key, n in counts.items()]
        else:
            scores.append((name, f"found_{label}", float(any(hits))))
            scores.append((name, "beside_it", (len(hits) - sum(hits)) / months))
    table = pd.DataFrame(scores, columns=["participant", "metric", "value"])
    return _with_means(table, protocol)


def _named(pattern: Pattern) -> str:
    return f"{pattern.kind} {pattern.part}".strip().replace(",", "").replace(" ", "_")


def _with_means(table: pd.DataFrame, protocol: PatternsProtocol) -> pd.DataFrame:
    rng = np.random.default_rng(protocol.seed)
    untouched = int((table["metric"] == "false_per_month").sum())
    found: list[dict[str, Any]] = []
    for metric, group in table.groupby("metric", sort=False):
        values = group["value"].to_numpy(dtype=float)
        if str(metric).startswith("false_per_month_"):  # those who have none have no row
            values = np.concatenate([values, np.zeros(untouched - len(values))])
        for name, value in zip(group["participant"], group["value"], strict=True):
            found.append(_row(name, metric, value, 1) | {"ci_low": value, "ci_high": value})
        mean = _row(MEAN, metric, values.mean(), len(values))
        mean |= interval(bootstrap_mean(values, protocol.bootstrap_samples, rng))
        found += [mean, mean | {"cohort": ALL}]
    return pd.DataFrame(found).assign(model=MODEL, split=protocol.split, horizon_min=0)[list(ROW)]


def _row(name: str, metric: object, value: float, people: int) -> dict[str, Any]:
    return {
        "cohort": COHORT,
        "participant": name,
        "metric": metric,
        "value": value,
        "participants": people,
        "windows": people,
    }
