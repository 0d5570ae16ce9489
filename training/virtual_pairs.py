"""Pairs of futures of virtual people, for a training that sees causes.

From one moment, with one logged history: what happened, and what would have happened with one dose
or meal changed. The people are drawn anew; none is one of the published patients, who are scored.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import torch

from hybridtwin.events import Profile
from hybridtwin.history import Grid
from hybridtwin.physiology.covariates import beta_cells, prior_scores
from hybridtwin.physiology.parameters import DEFAULT_WEIGHT_KG
from hybridtwin.virtual.changes import Change, ChangeKind
from hybridtwin.virtual.drawn import draw_patients
from hybridtwin.virtual.life import live
from training.batch import Batch, Participants
from training.virtual_futures import Futures, draw_moments, make_futures

_START: Final = pd.Timestamp("2023-03-06", tz="UTC")
# Other chance than any scored person's, whatever their seed.
_SEED: Final = 7_000_000
_FIRST_DAY: Final = 2.0
_FACTOR: Final = (0.0, 2.0)
_MOVED_MIN: Final = 60


@dataclass(frozen=True)
class Pairs:
    """Moments of virtual people with the futures that begin there.

    Attributes:
        participants: The people, in the order of the index `person` of a batch, without timelines.
            They can be given rows of their own beside the recorded ones, or be nameless.
        futures: See `Futures`; of each moment one or more in which something is changed.
    """

    participants: Participants
    futures: Futures

    def draw(self, count: int, generator: torch.Generator | None = None) -> tuple[Batch, Batch]:
        """Draw what happened from some moments on, and from each of them one other future.

        Args:
            count: How many moments, B.
            generator: Of the draw.

        Returns:
            Two batches of B windows with one history, persons and clock; they differ in `events`
            and in `target_mg_dl`, which is true glucose.
        """
        futures = self.futures
        other = futures.changed[torch.randint(len(futures.changed), (count,), generator=generator)]
        happened = futures.batch(futures.happened[futures.moment[other]])
        return happened, replace(
            happened, events=futures.events(other), target_mg_dl=futures.glucose_mg_dl[other]
        )


def make_pairs(
    people: int, days: float = 14, moments: int = 60, horizon_min: int = 240, seed: int = 0
) -> Pairs:
    """Let new people live, and ask what they could have done otherwise.

    Args:
        people: How many.
        days: How long each lives; the moments lie after the first two days.
        moments: Of each person.
        horizon_min: How far the futures reach.
        seed: Fixes everything that is left to chance.
    """
    rng = np.random.default_rng([_SEED, seed])

    def alternatives() -> list[Change]:
        """A change of each kind, of a size of its own."""
        factor = rng.uniform(*_FACTOR, len(ChangeKind))
        amounts = dict(zip(ChangeKind, factor, strict=True))
        amounts[ChangeKind.LEFT_OUT_BOLUS] = 0
        amounts[ChangeKind.MEAL_TIME] = rng.integers(-_MOVED_MIN, _MOVED_MIN + 1)
        return [Change(kind, amount) for kind, amount in amounts.items()]

    lives = live(draw_patients(people, _SEED + seed), days, _START, _SEED + seed)
    chosen = draw_moments(lives, moments, _FIRST_DAY, horizon_min, _SEED + seed)
    futures = make_futures(lives, chosen, alternatives, horizon_min)
    profiles = [one.record.profile for one in lives]
    return Pairs(_known_of(profiles), futures)


def _known_of(profiles: Sequence[Profile]) -> Participants:
    """What is known of people by their profiles alone."""
    return Participants(
        [profile.participant for profile in profiles],
        torch.tensor([profile.weight_kg or DEFAULT_WEIGHT_KG for profile in profiles]),
        torch.stack([prior_scores(profile) for profile in profiles]),
        torch.tensor([beta_cells(profile) for profile in profiles]),
        [],
    )


def save_pairs(pairs: Pairs, path: Path) -> None:
    """Write pairs to a file, to be made once."""
    futures = pairs.futures
    parts: dict[str, Participants | Futures | Grid]
    parts = {"participants": pairs.participants, "futures": futures, "grid": futures.grid}
    torch.save({name: _fields(part) for name, part in parts.items()}, path)


def load_pairs(path: Path) -> Pairs:
    """Read what `save_pairs` wrote."""
    parts = torch.load(path, weights_only=True)
    futures = parts["futures"] | {"grid": Grid(**parts["grid"])}
    return Pairs(Participants(**parts["participants"]), Futures(**futures))


def _fields(part: Participants | Futures | Grid) -> dict[str, object]:
    return {f.name: getattr(part, f.name) for f in fields(part) if f.name != "grid"}
