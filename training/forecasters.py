"""The twin as one of the models of an evaluation: as it is, fitted to people, or taken apart."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import count, takewhile
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from hybridtwin.assimilation.hindcasts import missed
from hybridtwin.assimilation.misses import Misses, nothing_missed
from hybridtwin.assimilation.settings import MissesSettings
from hybridtwin.climatology import CLIMATOLOGY, CLIMATOLOGY_DAYS, climatology
from hybridtwin.dynamics import Acting, Person, State
from hybridtwin.errors import ModelError
from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.history import HISTORY_STEPS, History, join
from hybridtwin.hybrid import HybridModel, People, Present, usual_basal_u_min
from hybridtwin.inputs import as_usual
from hybridtwin.native import native_walk
from hybridtwin.neural.residual import ResidualWeights
from hybridtwin.neural.spread import LEVELS
from hybridtwin.output_statistics import Correction
from hybridtwin.physiology.parameters import NAMES
from hybridtwin.registry import load_twin
from hybridtwin.twin import Twin
from hybridtwin.units import STEP_MIN, steps
from training.batch import Participants
from training.personalise import PersonalSettings, fit_people
from training.windows import FitFunction, Forecaster, Prediction, Windows

_CHUNK = 2048
_DAY: Final = steps(MINUTES_PER_DAY)
HISTORY_DAYS: Final = math.ceil(HISTORY_STEPS * STEP_MIN / MINUTES_PER_DAY)
"""Of a person's past that every forecast sees."""

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


def population(twin: Twin, days: int = CLIMATOLOGY_DAYS) -> FitFunction:
    """The twin as it is, for whomever.

    Args:
        twin: Of whom.
        days: How much of a person's past it may look at beside the history.
    """
    return lambda _: lambda windows: _predict(twin, _same(twin, windows), windows, as_it_is, days)


def personal(twin: Twin, settings: PersonalSettings, days: int = CLIMATOLOGY_DAYS) -> FitFunction:
    """The twin fitted to each person on the windows to learn from; to strangers it is as it was.

    Args:
        twin: To start from.
        settings: How it is fitted.
        days: See `population`.
    """

    def fit(learn: Windows) -> Forecaster:
        own = fitted(twin, settings, learn)

        def predict(windows: Windows) -> Prediction:
            persons = [own.get(name, twin).person for name in windows.participants]
            return _predict(twin, persons, windows, as_it_is, days)

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


def current(twin: Twin, settings: MissesSettings, days: int = CLIMATOLOGY_DAYS) -> FitFunction:
    """The twin as it is, with what its forecasts of each person missed before the window's day.

    Args:
        twin: Of whom.
        settings: How misses are learnt.
        days: See `population`.
    """

    def predict(windows: Windows) -> Prediction:
        persons = _same(twin, windows)
        own = replace(twin, misses=misses_of(twin, persons, windows, settings))
        return _predict(own, persons, windows, as_it_is, days)

    return lambda _: predict


def misses_of(
    twin: Twin, persons: Sequence[People], windows: Windows, settings: MissesSettings
) -> Misses:
    """Of each window (W,): what was missed when its day began, as a service learns it once a day.

    Args:
        twin: Who forecasts.
        persons: One row for each person of the windows.
        windows: From where.
        settings: How it is learnt.
    """
    found = nothing_missed(len(windows))
    for person, timeline in enumerate(windows.timelines):
        at = windows.of(person)
        if not len(at):
            continue
        days, row = (windows.anchor[at] // _DAY).unique(return_inverse=True)
        name = windows.participants[person]
        learnt = missed(twin, timeline, persons[person], name, days * _DAY, settings).rows(row)
        found.coefficients_mg_dl[at] = learnt.coefficients_mg_dl
        found.widening[at] = learnt.widening
    return found


def body_only(twin: Twin) -> FitFunction:
    """The twin without the network's flux; the encoder still says where the body starts."""

    def walk(state: State, acts: Acting, person: Person, weights: ResidualWeights | None) -> Tensor:
        return twin.walk(state, acts, person, None)

    return population(replace(twin, walk=walk, statistics=None))


def network_only(twin: Twin) -> FitFunction:
    """The twin whose body knows of no dose, meal or activity; the networks know of all."""
    plain = replace(twin, statistics=None)
    return lambda _: lambda windows: _predict(plain, _same(twin, windows), windows, at_rest)


def uncorrected(twin: Twin) -> FitFunction:
    """The twin without its output statistics."""
    return population(replace(twin, statistics=None))


TWINS: Final[dict[str, Callable[[Twin, PersonalSettings], FitFunction]]] = {
    "twin": lambda twin, _: population(twin),
    "twin-personal": personal,
    "twin-current": lambda twin, _: current(twin, MissesSettings()),
    "uncorrected": lambda twin, _: uncorrected(twin),
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


def everyone(persons: Sequence[People]) -> People:
    """People of one row each, row by row."""
    return People(*(torch.cat([getattr(one, f.name) for one in persons]) for f in fields(People)))


def _same(twin: Twin, windows: Windows) -> list[People]:
    return [twin.person] * len(windows.participants)


@dataclass(frozen=True)
class Moments:
    """Some windows as a twin sees them; B rows.

    Attributes:
        at: (B,) their positions among all.
        history: What was.
        people: Who they are.
        present: Where they stand.
        usual_basal_u_min: (B,) pump basal.
    """

    at: Tensor
    history: History
    people: People
    present: Present
    usual_basal_u_min: Tensor

    def read_by(self, twin: Twin, usual: Tensor) -> Tensor:
        """(B, F) predictors, from the climatology (W, C) of all windows."""
        own = usual[self.at]
        return twin.predictors(self.history, self.present, self.usual_basal_u_min, own)

    def corrected_by(self, twin: Twin, usual: Tensor) -> Correction:
        """What it puts right, by the climatology (W, C) of all windows and their misses, if any."""
        read = self.read_by(twin, usual)
        if twin.misses:
            twin = replace(twin, misses=twin.misses.rows(self.at))
        return twin.correction(self.history, self.people, self.present, read)


def moments(
    twin: Twin,
    persons: Sequence[People],
    windows: Windows,
    begin: Begin = as_it_is,
    size: int = _CHUNK,
) -> Iterator[Moments]:
    """All windows in turn, so many at once.

    Args:
        twin: Whose weights.
        persons: One row for each person of the windows.
        windows: From where.
        begin: How the present follows from the history.
        size: At most.
    """
    grid, people = join(windows.timelines), everyone(persons)
    rows = torch.tensor(grid.offsets)[windows.person] + windows.anchor
    if not len(windows):
        return
    for at in torch.arange(len(windows)).split(size):
        history, person = grid.history(rows[at]), windows.person[at]
        present, basal = begin(twin.model, history, people, person)
        yield Moments(at, history, people.rows(person), present, basal)


def _predict(
    twin: Twin,
    persons: list[People],
    windows: Windows,
    begin: Begin,
    days: int = CLIMATOLOGY_DAYS,
) -> Prediction:
    """Open-plan forecasts: nothing after the anchor is looked at."""
    usual = usual_of(windows, torch.full((len(windows),), days))
    length = steps(max(windows.horizons_min))
    columns = torch.tensor([steps(minutes) - 1 for minutes in windows.horizons_min])
    minutes = STEP_MIN * (columns + 1.0)
    means, quantiles = [], []
    with torch.inference_mode():
        for each in moments(twin, persons, windows, begin):
            basal, present = each.usual_basal_u_min, each.present
            future = as_usual(basal, each.history.minute_of_day, length)
            rolled = twin.model.roll(present, future, twin.walk)[:, columns]
            spread = twin.model.log_quantiles(present, future.is_open, minutes)
            correction = each.corrected_by(twin, usual)
            trajectory = correction.moved(rolled, minutes)
            means.append(trajectory)
            quantiles.append(trajectory.unsqueeze(-1) * correction.widened(spread, minutes).exp())
    return Prediction(torch.cat(means), torch.cat(quantiles), torch.tensor(LEVELS))


def usual_of(windows: Windows, days: Tensor) -> Tensor:
    """(W, C) climatology of windows from so many days (W,) before each."""
    found = torch.zeros(len(windows), CLIMATOLOGY)
    for person, timeline in enumerate(windows.timelines):
        at = windows.of(person)
        if len(at):
            found[at] = climatology(timeline, windows.anchor[at], days[at])
    return found
