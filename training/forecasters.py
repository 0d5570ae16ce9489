"""The twin as one of the models of an evaluation."""

from dataclasses import fields

import torch

from hybridtwin.history import join
from hybridtwin.hybrid import People, usual_basal_u_min
from hybridtwin.inputs import Future, acting_inputs, modulators
from hybridtwin.neural.spread import LEVELS
from hybridtwin.physiology.parameters import NAMES
from hybridtwin.timeline import CHANNELS
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
    count = len(learn.participants)
    participants = Participants(
        learn.participants,
        twin.person.weight_kg.repeat(count),
        torch.zeros(count, len(NAMES)),
        twin.person.beta_cells.repeat(count),
        learn.timelines,
    )
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
        *(torch.cat([getattr(one, f.name) for one in persons]) for f in fields(People))
    )
    rows = torch.tensor(grid.offsets)[windows.person] + windows.anchor
    count = steps(max(windows.horizons_min))
    ahead = STEP_MIN * torch.arange(count)
    columns = torch.tensor([steps(minutes) - 1 for minutes in windows.horizons_min])
    means, quantiles = [], []
    with torch.inference_mode():
        for chunk, person in zip(rows.split(_CHUNK), windows.person.split(_CHUNK), strict=True):
            history = grid.history(chunk)
            present = twin.model.begin(history, everyone, person)
            basal = usual_basal_u_min(history, everyone.rows(person).values())
            nothing = torch.zeros(count, len(chunk), len(CHANNELS))
            amounts = acting_inputs(nothing, nothing[..., 0], basal)
            future = Future(
                amounts_per_min=amounts.movedim(-1, 1),
                modulators=modulators(nothing).movedim(-1, 1),
                minute_of_day=history.minute_of_day + ahead.unsqueeze(-1),
                is_open=torch.ones(len(chunk)),
            )
            trajectory = twin.model.roll(present, future)[:, columns]
            minutes = STEP_MIN * (columns + 1.0)
            spread = twin.model.log_quantiles(present, future.is_open, minutes)
            means.append(trajectory)
            quantiles.append(trajectory.unsqueeze(-1) * spread.exp())
    return Prediction(torch.cat(means), torch.cat(quantiles), torch.tensor(LEVELS))
