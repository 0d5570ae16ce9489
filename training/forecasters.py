"""The twin as one of the models of an evaluation."""

import torch

from hybridtwin.history import join
from hybridtwin.hybrid import Future, People, usual_basal_u_min
from hybridtwin.neural.spread import LEVELS
from hybridtwin.physiology.parameters import values
from hybridtwin.twin import Twin
from hybridtwin.units import STEP_MIN, steps
from training.data import Participants
from training.personalise import PersonalSettings, fit_people
from training.windows import Forecaster, Prediction, Windows

_CHUNK = 2048


def population(twin: Twin) -> Forecaster:
    """The twin as it is, for whomever."""

    def predict(windows: Windows) -> Prediction:
        return _predict(twin, [twin.person] * len(windows.participants), windows)

    return predict


def personal(twin: Twin, settings: PersonalSettings, learn: Windows) -> Forecaster:
    """The twin fitted to each person on the windows to learn from; to strangers it is as it was."""
    weight = twin.person.weight_kg.expand(len(learn.participants))
    participants = Participants(learn.participants, weight.clone(), learn.timelines)
    people = {fit.participant: fit.twin.person for fit in fit_people(twin, participants, settings)}

    def predict(windows: Windows) -> Prediction:
        return _predict(
            twin, [people.get(name, twin.person) for name in windows.participants], windows
        )

    return predict


def _predict(twin: Twin, persons: list[People], windows: Windows) -> Prediction:
    """Open-plan forecasts: nothing after the anchor is looked at."""
    grid = join(windows.timelines)
    everyone = People(
        torch.cat([person.embedding for person in persons]),
        torch.cat([person.scores for person in persons]),
        torch.cat([person.weight_kg for person in persons]),
    )
    own = values(everyone.scores, everyone.weight_kg)
    rows = torch.tensor(grid.offsets)[windows.person] + windows.anchor
    count = steps(max(windows.horizons_min))
    ahead = STEP_MIN * torch.arange(count)
    columns = torch.tensor([steps(minutes) - 1 for minutes in windows.horizons_min])
    means, quantiles = [], []
    with torch.inference_mode():
        for chunk, person in zip(rows.split(_CHUNK), windows.person.split(_CHUNK), strict=True):
            history = grid.history(chunk)
            present = twin.model.begin(history, everyone, person)
            nothing = torch.zeros(count, len(chunk))
            future = Future(
                rapid_u_min=usual_basal_u_min(history, own.rows(person)).expand(count, -1),
                long_u_min=nothing,
                carbs_g_min=nothing,
                exertion=nothing,
                minute_of_day=history.minute_of_day + ahead.unsqueeze(-1),
                is_open=torch.ones(len(chunk)),
            )
            trajectory = twin.model.roll(present, future)[:, columns]
            minutes = STEP_MIN * (columns + 1.0)
            spread = twin.model.log_quantiles(present, future.is_open, minutes)
            means.append(trajectory)
            quantiles.append(trajectory.unsqueeze(-1) * spread.exp())
    return Prediction(torch.cat(means), torch.cat(quantiles), torch.tensor(LEVELS))
