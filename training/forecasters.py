"""The twin as one of the models of an evaluation: as it is, fitted to people, or taken apart."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from hybridtwin.climatology import CLIMATOLOGY, CLIMATOLOGY_DAYS, climatology
from hybridtwin.dynamics import Acting, Person, State
from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.history import HISTORY_STEPS, History, join
from hybridtwin.hybrid import HybridModel, People, Present, usual_basal_u_min
from hybridtwin.inputs import as_usual
from hybridtwin.neural.residual import ResidualWeights
from hybridtwin.neural.spread import LEVELS
from hybridtwin.output_statistics import Correction
from hybridtwin.physiology.parameters import NAMES
from hybridtwin.rows import stacked
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


def population(twin: Twin, days: int = CLIMATOLOGY_DAYS) -> FitFunction:
    """The twin as it is, for whomever.

    Args:
        twin: Of whom.
        days: How much of a person's past it may look at beside the history.
    """
    return lambda _: lambda windows: predict(twin, same(twin, windows), windows, as_it_is, days)


def personal(twin: Twin, settings: PersonalSettings, days: int = CLIMATOLOGY_DAYS) -> FitFunction:
    """The twin fitted to each person on the windows to learn from; to strangers it is as it was.

    Args:
        twin: To start from.
        settings: How it is fitted.
        days: See `population`.
    """

    def fit(learn: Windows) -> Forecaster:
        who = own_persons(twin, settings, learn)
        return lambda windows: predict(twin, who(windows), windows, as_it_is, days)

    return fit


def own_persons(
    twin: Twin, settings: PersonalSettings, learn: Windows
) -> Callable[[Windows], list[People]]:
    """The people of any windows, fitted to those to learn from; strangers are the twin's own."""
    own = fitted(twin, settings, learn)
    return lambda windows: [own.get(name, twin).person for name in windows.participants]


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

    def walk(state: State, acts: Acting, person: Person, weights: ResidualWeights | None) -> Tensor:
        return twin.walk(state, acts, person, None)

    return population(replace(twin, walk=walk, statistics=None))


def network_only(twin: Twin) -> FitFunction:
    """The twin whose body knows of no dose, meal or activity; the networks know of all."""
    plain = replace(twin, statistics=None)
    return lambda _: lambda windows: predict(plain, same(twin, windows), windows, at_rest)


def uncorrected(twin: Twin) -> FitFunction:
    """The twin without its output statistics."""
    return population(replace(twin, statistics=None))


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


def same(twin: Twin, windows: Windows) -> list[People]:
    """The twin's own person in everybody's place."""
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
    grid, people = join(windows.timelines), stacked(persons)
    rows = torch.tensor(grid.offsets)[windows.person] + windows.anchor
    if not len(windows):
        return
    for at in torch.arange(len(windows)).split(size):
        history, person = grid.history(rows[at]), windows.person[at]
        present, basal = begin(twin.model, history, people, person)
        yield Moments(at, history, people.rows(person), present, basal)


def predict(
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
