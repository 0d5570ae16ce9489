"""The twins that an evaluation scores, and the models that are made of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count, takewhile
from pathlib import Path
from typing import Final

from hybridtwin.assimilation.settings import MissesSettings
from hybridtwin.errors import ModelError
from hybridtwin.native import native_walk
from hybridtwin.registry import load_twin
from hybridtwin.twin import Twin
from training.forecasters import body_only, network_only, personal, population, uncorrected
from training.kept_current import current
from training.personalise import PersonalSettings
from training.windows import FitFunction

TWINS: Final[dict[str, Callable[[Twin, PersonalSettings], FitFunction]]] = {
    "twin": lambda twin, _: population(twin),
    "twin-personal": personal,
    "twin-current": lambda twin, _: current(twin, MissesSettings()),
    "twin-personal-current": lambda twin, own: current(twin, MissesSettings(), own=own),
    "uncorrected": lambda twin, _: uncorrected(twin),
    "body-only": lambda twin, _: body_only(twin),
    "network-only": lambda twin, _: network_only(twin),
}


@dataclass(frozen=True)
class Twins:
    """The twins that an evaluation scores.

    Attributes:
        population: The population twin.
        settings: How it is fitted to people.
        of_folds: For each fold of people, a population twin that has not seen them.
    """

    population: Twin
    settings: PersonalSettings
    of_folds: Sequence[Twin] = ()

    def fits(self, names: Sequence[str]) -> dict[str, FitFunction]:
        """Some of `TWINS`, by name."""
        return {name: TWINS[name](self.population, self.settings) for name in names}

    def of_fold(self, number: int, people: Sequence[str]) -> Twin:
        """The twin that has not seen these people of a fold.

        Raises:
            ModelError: There is none, or it has seen one of them.
        """
        where = f"fold {number}"
        if number >= len(self.of_folds):
            raise ModelError.of(
                where,
                "there is no twin that was trained without its people",
                "Train one per fold with hybridtwin train --data.fold, see "
                "configs/protocols/unseen.yaml, and name their folder by --fold-models.",
            )
        twin = self.of_folds[number]
        seen = sorted(set(people) & set(twin.config.learnt_from))
        if seen:
            what = f"its twin has learnt from {seen[0]}, who is scored there"
            raise ModelError.of(
                where, what, "Train it on the same records, with that fold left out."
            )
        return twin


def load_twins(source: str | None, of_folds: Path | None, settings: PersonalSettings) -> Twins:
    """The twins to score, as machine code where a compiler is at hand.

    Args:
        source: Of the population twin, see `hybridtwin.registry.load_twin`.
        of_folds: A folder of twins, one per fold of people: fold-0, fold-1, ...; None if not asked.
        settings: How the twin is fitted to people.

    Raises:
        ModelError: A twin cannot be read.
    """
    walk = native_walk()
    numbered = (of_folds / f"fold-{number}" for number in count()) if of_folds else ()
    folders = takewhile(Path.is_dir, numbered)
    population, *others = (replace(load_twin(each), walk=walk) for each in (source, *folders))
    return Twins(population, settings, others)
