"""The hybrid model: body, encoder, residual and spread joined; batched and differentiable.

A `Twin` asks it for one person, training for hundreds of windows at once.
"""

from dataclasses import dataclass

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.history import History
from hybridtwin.neural.encoder import Encoder, carry_forward, features
from hybridtwin.neural.residual import Residual
from hybridtwin.neural.spread import Spread
from hybridtwin.physiology.body import DRIVEN, INTERSTITIAL, PLASMA, Drivers, body_rates
from hybridtwin.physiology.clock import dawn_factor
from hybridtwin.physiology.exercise import ONSET_MIN
from hybridtwin.physiology.glucose import tissue_at_rest
from hybridtwin.physiology.parameters import (
    DEFAULT_WEIGHT_KG,
    GLUCOSE_VOLUME_DL_KG,
    PARAMETERS,
    BodyParameters,
    values,
)
from hybridtwin.physiology.warmup import driven_state, transition
from hybridtwin.solver import Method, State, integrate
from hybridtwin.units import STEP_MIN, steps

_MIN_PER_H = 60.0
_PLASMA_MIN_MG_DL = 20.0
_LOG_FLOOR_MG_DL = 10.0


class ModelShape(BaseModel):
    """Sizes of the neural parts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    embedding: int = 8
    encoder_hidden: int = 256
    latent: int = 16
    residual_hidden: int = 48
    context: int = 48
    spread_hidden: int = 64
    dropout: float = 0.1
    feature_dropout: float = 0.0


@dataclass(frozen=True)
class People:
    """What is personal, for B windows.

    Attributes:
        embedding: (B, E).
        scores: (B, P) standard scores of the physiological parameters.
        weight_kg: (B,).
    """

    embedding: Tensor
    scores: Tensor
    weight_kg: Tensor


@dataclass(frozen=True)
class Present:
    """Where B windows stand at their anchor: all that a forecast needs.

    Attributes:
        body: (S, B) compartments.
        scores: (B, P) parameters for the coming hours.
        latent: (B, Z).
        context: (B, K).
        embedding: (B, E).
        weight_kg: (B,).
    """

    body: Tensor
    scores: Tensor
    latent: Tensor
    context: Tensor
    embedding: Tensor
    weight_kg: Tensor


@dataclass(frozen=True)
class Future:
    """What will act on the body, a row per step: (H, B) each, and whether the plan is open (B,)."""

    rapid_u_min: Tensor
    long_u_min: Tensor
    carbs_g_min: Tensor
    exertion: Tensor
    minute_of_day: Tensor
    is_open: Tensor


class HybridModel(nn.Module):
    """Body and network together."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.shape = shape
        self.encoder = Encoder(
            shape.embedding,
            shape.encoder_hidden,
            shape.latent,
            shape.context,
            shape.dropout,
            shape.feature_dropout,
        )
        self.residual = Residual(shape.embedding, shape.latent, shape.residual_hidden)
        self.spread = Spread(shape.embedding, shape.context, shape.spread_hidden)
        self.population_scores = nn.Parameter(torch.zeros(len(PARAMETERS)))
        self.population_embedding = nn.Parameter(torch.zeros(shape.embedding))

    def population(self, count: int) -> People:
        """`count` people of whom nothing personal is known."""
        return People(
            self.population_embedding.expand(count, -1),
            self.population_scores.expand(count, -1),
            torch.full((count,), DEFAULT_WEIGHT_KG),
        )

    def begin(self, history: History, people: People, distinct: Tensor | None = None) -> Present:
        """The present of B windows from their history.

        Args:
            history: B histories.
            people: Who they are; with `distinct`, its rows are the distinct people.
            distinct: (B,) each window's row in `people`; None if they are row by row.
        """
        p = values(people.scores, people.weight_kg)
        step = transition(p)
        if distinct is not None:
            step = (step[0][distinct], step[1][distinct], step[2][distinct])
            p = p.rows(distinct)
            people = People(
                people.embedding[distinct], people.scores[distinct], people.weight_kg[distinct]
            )
        driven = driven_state(*step, past_inputs(history, p))
        start = self.encoder(features(history, driven), people.embedding)
        scores = people.scores + start.scores
        glucose, _ = carry_forward(history.glucose_mg_dl, history.glucose_known)
        reading = glucose[:, -1]
        plasma_mg_dl = (reading + start.plasma_shift_mg_dl).clamp(min=_PLASMA_MIN_MG_DL)
        plasma = GLUCOSE_VOLUME_DL_KG * plasma_mg_dl
        now = values(scores, people.weight_kg)
        tissue = tissue_at_rest(plasma, driven[:, 5], now) * start.tissue_factor
        body = torch.cat(
            [
                driven[:, :7].T,
                (driven[:, 7:DRIVEN] + start.hidden_carbs_g).T,
                felt_exertion(history.exertion()).unsqueeze(0),
                torch.stack([plasma, tissue, reading]),
            ]
        )
        return Present(
            body, scores, start.latent, start.context, people.embedding, people.weight_kg
        )

    def roll(self, present: Present, future: Future, method: Method = "rk4") -> Tensor:
        """Sensor glucose (B, H) in mg/dL at the end of each coming step."""
        p = values(present.scores, present.weight_kg)
        surrounding = self.residual.surround(
            future.minute_of_day, future.exertion, future.is_open, present.embedding
        ).unbind(0)

        dawn = dawn_factor(future.minute_of_day, p)

        def field(k: int, state: State) -> State:
            body, latent = state
            drivers = Drivers(
                future.rapid_u_min[k],
                future.long_u_min[k],
                future.carbs_g_min[k],
                future.exertion[k],
                dawn[k],
            )
            drift, flux = self.residual(latent, body[PLASMA], surrounding[k])
            return body_rates(body, drivers, p, flux), drift

        count = len(future.rapid_u_min)
        states = integrate(field, (present.body, present.latent), count, STEP_MIN, method)
        return torch.stack([body[INTERSTITIAL] for body, _ in states], dim=1)

    def log_quantiles(self, present: Present, is_open: Tensor, minutes: Tensor) -> Tensor:
        """(B, H, Q) quantiles of log(sensor glucose / trajectory) at horizons (H,) in minutes."""
        quantiles: Tensor = self.spread(present.context, present.embedding, is_open, minutes)
        return quantiles


def past_inputs(history: History, p: BodyParameters) -> Tensor:
    """(B, K, 3) past inputs in U/min, U/min, g/min; the basal need where basal is unknown."""
    need = (p.basal_need_u_h / _MIN_PER_H).unsqueeze(-1)
    basal_known = history.channel_known("basal_u")
    rapid = history.channel("bolus_u") / STEP_MIN + torch.where(
        basal_known, history.channel("basal_u") / STEP_MIN, need
    )
    return torch.stack(
        [rapid, history.channel("long_acting_u") / STEP_MIN, history.channel("carbs_g") / STEP_MIN],
        dim=-1,
    )


def usual_basal_u_min(history: History, p: BodyParameters) -> Tensor:
    """(B,) pump basal in U/min as of late: the last day's mean where known, else the need."""
    day = slice(-steps(MINUTES_PER_DAY), None)
    known = history.channel_known("basal_u")[:, day].float()
    total = (history.channel("basal_u")[:, day] * known).sum(1)
    mean = total / (STEP_MIN * known.sum(1).clamp(min=1))
    return torch.where(known.any(1), mean, p.basal_need_u_h / _MIN_PER_H)


def felt_exertion(past: Tensor) -> Tensor:
    """(B,) exertion that muscle has caught up with, from its past (B, K): a first-order lag."""
    keep = torch.exp(torch.tensor(-STEP_MIN / ONSET_MIN))
    ages = torch.arange(past.shape[1] - 1, -1, -1, device=past.device)
    return past @ ((1 - keep) * keep**ages)


def log_ratio(observed_mg_dl: Tensor, trajectory_mg_dl: Tensor) -> Tensor:
    """log(observed / trajectory), with a floor under the trajectory."""
    return torch.log(observed_mg_dl / trajectory_mg_dl.clamp(min=_LOG_FLOOR_MG_DL))
