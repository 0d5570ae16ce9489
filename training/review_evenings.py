"""Evenings of virtual people with something planted, and the twins that are asked about them.

The published patients live some days, to which their twins are fitted; the evenings lie in the days
after. Each is lived twice: with a bolus too many, a long run or a missed dinner, and without.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pandas as pd
import torch
from pydantic import BaseModel, ConfigDict, Field
from rich.progress import Progress

from hybridtwin.glycemia.episodes import LOW_MG_DL, VERY_HIGH_MG_DL, lasts
from hybridtwin.native import native_walk
from hybridtwin.review.settings import ReviewSettings
from hybridtwin.twin import Twin
from hybridtwin.virtual.life import VirtualPerson
from hybridtwin.virtual.patients import Array
from hybridtwin.virtual.planted import Evening, Planted, plant
from training.batch import learning_part
from training.cause import START, published_people
from training.personalise import PersonalSettings, fit_people

NIGHT_MIN: Final = 360
"""The rows' horizon: the night that is asked about."""


class EveningsRule(BaseModel):
    """Whose evenings, and which of them are scored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    people: int = Field(30, ge=1, le=30, description="Published patients, of all ages in turn.")
    days: int = Field(14, gt=2, description="Logged days that twins are fitted to.")
    evenings: int = Field(6, ge=1, description="Of each person and kind, on the days after.")
    least_mg_dl: float = Field(
        80, gt=0, description="Last reading: below it a low is no matter of forecasting."
    )
    review: ReviewSettings = ReviewSettings()
    split: str = "planted"
    bootstrap_samples: int = Field(1000, ge=1)
    seed: int = 0


@dataclass(frozen=True)
class Asked:
    """An evening that a twin is asked about.

    Attributes:
        person: Index.
        planted: What was planted.
        evening: With it.
        untouched: Without it.
    """

    person: int
    planted: Planted
    evening: Evening
    untouched: Evening


def draw_evenings(rule: EveningsRule, people: Sequence[VirtualPerson]) -> Iterator[Asked]:
    """All evenings, of every kind in turn."""
    for index, person in enumerate(people):
        for day in range(rule.days, rule.days + rule.evenings):
            midnight = _midnight(person, day)
            for number, planted in enumerate(Planted):
                rng = np.random.default_rng([rule.seed, index, day, number])
                found = plant(person, midnight, planted, rng)
                if found is not None:
                    yield Asked(index, planted, *found)


def _midnight(person: VirtualPerson, day: int) -> pd.Timestamp:
    local = (START + pd.Timedelta(days=day)).tz_convert(person.record.profile.time_zone)
    return local.normalize()


def people_and_twins(
    rule: EveningsRule, twin: Twin, settings: PersonalSettings, progress: Progress
) -> tuple[list[VirtualPerson], list[Twin]]:
    """Who is asked about, and the twin of each, fitted to the days before."""
    people = published_people(rule.people, rule.days + rule.evenings + 1, rule.seed)
    border = START + pd.Timedelta(days=rule.days)
    learnt = learning_part([one.record.before(border) for one in people], 1.0)
    fits = fit_people(twin, learnt, settings, progress)
    return people, [replace(fit.twin, walk=native_walk()) for fit in fits]


def has_low(glucose_mg_dl: Array) -> bool:
    """Whether a course has a low of 15 minutes or longer."""
    return bool(lasts(torch.from_numpy(glucose_mg_dl < LOW_MG_DL)))


def has_very_high(glucose_mg_dl: Array) -> bool:
    """Whether a course lies above 250 mg/dL for 15 minutes or longer."""
    return bool(lasts(torch.from_numpy(glucose_mg_dl > VERY_HIGH_MG_DL)))


def is_fresh(evening: Evening, least_mg_dl: float) -> bool:
    """Whether the last reading is recent, and not yet low."""
    last = evening.record.glucose.iloc[-1]
    return bool(last["mg_dl"] >= least_mg_dl) and evening.now - last["time"] <= _FRESH


_FRESH: Final = pd.Timedelta(minutes=15)
