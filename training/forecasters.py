"""The twin as one of the models of an evaluation: as it is, fitted to people, or taken apart."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import count, takewhile
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from hybridtwin.dynamics import Acting, Person, State
from hybridtwin.errors import ModelError
from hybridtwin.history import History, join
from hybridtwin.hybrid import HybridModel, People, Present, usual_basal_u_min
from hybridtwin.inputs import Future, acting_inputs, modulators
from hybridtwin.native import native_walk
from hybridtwin.neural.residual import ResidualWeights
from hybridtwin.neural.spread import LEVELS
from hybridtwin.physiology.parameters import NAMES
from hybridtwin.registry import load_twin
from hybridtwin.timeline import CHANNELS
from hybridtwin.twin import Twin
from hybridtwin.units import STEP_MIN, steps
from training.batch import Participants
from training.personalise import PersonalSettings, fit_people
from training.windows import FitFunction, Forecaster, Prediction, Windows

_CHUNK = 2048

Begin = Callable[[HybridModel, History, People, Tensor], tuple[Present, Tensor]]
"""From B histories, people and whose each history is to presents and pump basal (B,) in U/min."""


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


def population(twin: Twin) -> FitFunction:
    """The twin as it is, for whomever."""
    return lambda _: lambda windows: _predict(twin, _same(twin, windows), windows, as_it_is)


def personal(twin: Twin, settings: PersonalSettings) -> FitFunction:
    """The twin fitted to each person on the windows to learn from; to strangers it is as it was."""

    def fit(learn: Windows) -> Forecaster:
        own = fitted(twin, settings, learn)

        def predict(windows: Windows) -> Prediction:
            persons = [own.get(name, twin).person for name in windows.participants]
            return _predict(twin, persons, windows, as_it_is)

        return predict

    return fit


def fitted(twin: Twin, settings: PersonalSettings, learn: Windows) -> dict[str, Twin]:
    """A twin of each participant, fitted to their windows' timelines."""
    if not len(learn):
        return {}
    people = len(learn.participants)
    participants = Participants(
        learn.participants,
        twin.person.weight_kg.repeat(people),
        torch.zeros(people, len(NAMES)),
        twin.person.beta_cells.repeat(people),
        learn.timelines,
    )
    return {fit.participant: fit.twin for fit in fit_people(twin, participants, settings)}


def body_only(twin: Twin) -> FitFunction:
    """The twin without the network's flux; the encoder still says where the body starts."""

    def walk(
        state: State, acts: Sequence[Acting], person: Person, weights: ResidualWeights | None
    ) -> Tensor:
        return twin.walk(state, acts, person, None)

    return population(replace(twin, walk=walk))


def network_only(twin: Twin) -> FitFunction:
    """The twin whose body knows of no dose, meal or activity; the networks know of all."""
    return lambda _: lambda windows: _predict(twin, _same(twin, windows), windows, at_rest)


TWINS: Final[dict[str, Callable[[Twin, PersonalSettings], FitFunction]]] = {
    "twin": lambda twin, _: population(twin),
    "twin-personal": personal,
    "body-only": lambda twin, _: body_only(twin),
    "network-only": lambda twin, _: network_only(twin),
}


def as_it_is(
    model: HybridModel, history: History, people: People, distinct: Tensor
) -> tuple[Present, Tensor]:
    """Presents and pump basal as the twin has them."""
    present = model.begin(history, people, distinct)
    return present, usual_basal_u_min(history, people.rows(distinct).values())


def at_rest(
    model: HybridModel, history: History, people: People, distinct: Tensor
) -> tuple[Present, Tensor]:
    """The same with bodies that rest at the basal need."""
    nothing = replace(
        history,
        events=torch.zeros_like(history.events),
        events_known=torch.zeros_like(history.events_known),
    )
    resting, basal = as_it_is(model, nothing, people, distinct)
    return replace(model.begin(history, people, distinct), body=resting.body), basal


def as_usual(basal_u_min: Tensor, minute_of_day: Tensor, length: int) -> Future:
    """The open plan of B windows: the usual basal, and nothing known of what else will happen.

    Args:
        basal_u_min: (B,) pump basal.
        minute_of_day: (B,) at the anchor.
        length: Steps.
    """
    nothing = torch.zeros(length, len(basal_u_min), len(CHANNELS))
    ahead = STEP_MIN * torch.arange(length).unsqueeze(-1)
    return Future(
        amounts_per_min=acting_inputs(nothing, nothing[..., 0], basal_u_min).movedim(-1, 1),
        modulators=modulators(nothing).movedim(-1, 1),
        minute_of_day=minute_of_day + ahead,
        is_open=torch.ones(len(basal_u_min)),
    )


def everyone(persons: Sequence[People]) -> People:
    """People of one row each, row by row."""
    return People(*(torch.cat([getattr(one, f.name) for one in persons]) for f in fields(People)))


def _same(twin: Twin, windows: Windows) -> list[People]:
    return [twin.person] * len(windows.participants)


def _predict(twin: Twin, persons: list[People], windows: Windows, begin: Begin) -> Prediction:
    """Open-plan forecasts: nothing after the anchor is looked at."""
    grid, people = join(windows.timelines), everyone(persons)
    rows = torch.tensor(grid.offsets)[windows.person] + windows.anchor
    length = steps(max(windows.horizons_min))
    columns = torch.tensor([steps(minutes) - 1 for minutes in windows.horizons_min])
    means, quantiles = [], []
    with torch.inference_mode():
        for chunk, person in zip(rows.split(_CHUNK), windows.person.split(_CHUNK), strict=True):
            history = grid.history(chunk)
            present, basal = begin(twin.model, history, people, person)
            future = as_usual(basal, history.minute_of_day, length)
            trajectory = twin.model.roll(present, future, twin.walk)[:, columns]
            minutes = STEP_MIN * (columns + 1.0)
            spread = twin.model.log_quantiles(present, future.is_open, minutes)
            means.append(trajectory)
            quantiles.append(trajectory.unsqueeze(-1) * spread.exp())
    return Prediction(torch.cat(means), torch.cat(quantiles), torch.tensor(LEVELS))
