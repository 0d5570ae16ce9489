"""The hybrid model: body, encoder, residual and spread joined; batched and differentiable.

A `Twin` asks it for one person, training for hundreds of windows at once.
"""

from dataclasses import dataclass, fields, replace

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from hybridtwin.dynamics import Walk, person_of, state_of, walk, what_acts
from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.history import History
from hybridtwin.inputs import Future, acting_inputs, modulators
from hybridtwin.neural.encoder import Encoder, Start
from hybridtwin.neural.features import features, interpolated
from hybridtwin.neural.residual import Residual
from hybridtwin.neural.spread import Spread
from hybridtwin.physiology.body import INPUTS, ROW, readings, signals
from hybridtwin.physiology.clock import rhythm
from hybridtwin.physiology.counterregulation import heed, recent_lows
from hybridtwin.physiology.glucose import constants
from hybridtwin.physiology.parameters import (
    DEFAULT_WEIGHT_KG,
    GLUCOSE_VOLUME_DL_KG,
    NAMES,
    BodyParameters,
    values,
)
from hybridtwin.physiology.steady import MIN_PER_H, resting_core
from hybridtwin.physiology.warmup import driven_now
from hybridtwin.timeline import LONG_ACTING
from hybridtwin.units import STEP_MIN, steps

_PLASMA_MIN_MG_DL = 20.0
_LOG_FLOOR_MG_DL = 10.0
_LONG_ENTRIES = [INPUTS.index(name) for name in LONG_ACTING]
_GUT = [ROW["gut_1_g"], ROW["gut_2_g"]]


class ModelShape(BaseModel):
    """Sizes of the neural parts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    embedding: int = 8
    encoder_hidden: int = 256
    latent: int = 16
    residual_hidden: int = 32
    flux_hidden: int = 16
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
        beta_cells: (B,) share of healthy beta-cell function, 0 in type 1 diabetes.
    """

    embedding: Tensor
    scores: Tensor
    weight_kg: Tensor
    beta_cells: Tensor

    def values(self) -> BodyParameters:
        """The physiological parameters in their units."""
        return values(self.scores, self.weight_kg, self.beta_cells)

    def rows(self, index: Tensor) -> "People":
        """The chosen people."""
        return People(*(getattr(self, f.name).index_select(0, index) for f in fields(self)))


@dataclass(frozen=True)
class Present:
    """Where B windows stand at their anchor: all that a forecast needs.

    Attributes:
        body: (S, B) compartments.
        latent: (B, Z).
        context: (B, K).
        people: Who they are, with parameters for the coming hours.
        read: (B, F) what the encoder read.
    """

    body: Tensor
    latent: Tensor
    context: Tensor
    people: People
    read: Tensor

    def rows(self, index: Tensor) -> "Present":
        """The chosen windows."""
        return Present(
            self.body[:, index],
            self.latent[index],
            self.context[index],
            self.people.rows(index),
            self.read[index],
        )


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
        self.residual = Residual(
            shape.embedding, shape.latent, shape.residual_hidden, shape.flux_hidden
        )
        self.spread = Spread(shape.embedding, shape.context, shape.spread_hidden)
        self.population_scores = nn.Parameter(torch.zeros(len(NAMES)))
        self.population_embedding = nn.Parameter(torch.zeros(shape.embedding))

    def population(self, count: int) -> People:
        """`count` people of whom nothing personal is known."""
        return People(
            self.population_embedding.expand(count, -1),
            self.population_scores.expand(count, -1),
            torch.full((count,), DEFAULT_WEIGHT_KG),
            torch.zeros(count),
        )

    def read(self, history: History, people: People) -> Tensor:
        """(B, F) what the encoder reads of B histories, before it is made standard."""
        return features(history, driven_so_far(history, people, people, None))

    def begin(self, history: History, people: People, distinct: Tensor | None = None) -> Present:
        """The present of B windows from their history.

        Args:
            history: B histories.
            people: Who they are; with `distinct`, its rows are the distinct people.
            distinct: (B,) each window's row in `people`; None if they are row by row.
        """
        everyone = people
        if distinct is not None:
            people = people.rows(distinct)
        driven = driven_so_far(history, people, everyone, distinct)
        start = self.encoder(features(history, driven), people.embedding)
        return settled(anchor_of(history), people, driven, start)

    def roll(self, present: Present, future: Future, walk: Walk = walk) -> Tensor:
        """Sensor glucose (B, H) in mg/dL at the end of each coming step.

        Args:
            present: Where to start.
            future: What acts.
            walk: How to take the steps; see `dynamics` and `native`.
        """
        p = present.people.values()
        fixed = self.residual.fixed(future.is_open, present.people.embedding)
        person = person_of(p, fixed, future.is_open)
        weights = self.residual.weights()
        acts = what_acts(future, p)
        state = state_of(present.body, present.latent.T, acts.at(0), person, weights)
        return walk(state, acts, person, weights)

    def log_quantiles(self, present: Present, is_open: Tensor, minutes: Tensor) -> Tensor:
        """(B, H, Q) quantiles of log(sensor glucose / trajectory) at horizons (H,) in minutes."""
        quantiles: Tensor = self.spread(present.context, present.people.embedding, is_open, minutes)
        return quantiles


@dataclass(frozen=True)
class Anchor:
    """What B histories say of the present, whoever the people are.

    Attributes:
        reading_mg_dl: (B,) the last one.
        lows: (B,) memory of recent lows.
        minute_of_day: (B,).
        modulators: (4, B).
    """

    reading_mg_dl: Tensor
    lows: Tensor
    minute_of_day: Tensor
    modulators: Tensor

    def rows(self, index: Tensor) -> "Anchor":
        """The chosen histories."""
        return Anchor(
            self.reading_mg_dl[index],
            self.lows[index],
            self.minute_of_day[index],
            self.modulators[:, index],
        )


def anchor_of(history: History) -> Anchor:
    """The anchor of B histories."""
    glucose, _ = interpolated(history.glucose_mg_dl, history.glucose_known)
    return Anchor(
        glucose[:, -1],
        recent_lows(glucose),
        history.minute_of_day,
        modulators(history.events[:, -1]).T,
    )


def settled(anchor: Anchor, people: People, driven: Tensor, start: Start) -> Present:
    """The present of B windows, at rest but for what acts and what the encoder concludes.

    Args:
        anchor: What the histories say.
        people: Row by row, as they usually are.
        driven: (n, B) what inputs have left in the compartments that they drive.
        start: What the encoder concludes.
    """
    people = replace(people, scores=people.scores + start.scores)
    now = people.values()
    driven = driven.index_add(0, torch.tensor(_GUT), start.hidden_carbs_g.T)
    plasma = GLUCOSE_VOLUME_DL_KG * (anchor.reading_mg_dl + start.plasma_shift_mg_dl).clamp(
        min=_PLASMA_MIN_MG_DL
    )
    clock = rhythm(anchor.minute_of_day, anchor.modulators, now)
    core, _ = resting_core(
        plasma, signals(driven, clock, readings(now)), heed(anchor.lows), constants(now)
    )
    core = core._replace(tissue_mg_kg=core.tissue_mg_kg * start.tissue_factor)
    body = torch.cat([driven, torch.stack([*core, anchor.reading_mg_dl, anchor.lows])])
    return Present(body, start.latent, start.context, people, start.read)


def driven_so_far(
    history: History, people: People, everyone: People, distinct: Tensor | None
) -> Tensor:
    """(n, B) what the past has left in the driven compartments of B people.

    `distinct` is each one's row in `everyone`; None if these are the B themselves.
    """
    own = people.values()
    past = past_inputs(history, own)
    theirs = own if distinct is None else everyone.values()
    return driven_now(past, resting_inputs(past, history, own), theirs, distinct)


def past_inputs(history: History, p: BodyParameters) -> Tensor:
    """(B, K, m) past inputs per minute; the basal need where basal is unknown."""
    # The need is learnt from what follows; through two days of guesses it would teach little.
    need = (p.basal_need_u_h.detach() / MIN_PER_H).unsqueeze(-1)
    known = history.channel_known("basal_u")
    basal = torch.where(known, history.channel("basal_u") / STEP_MIN, need)
    return acting_inputs(history.events, history.exertion(), basal)


def resting_inputs(past: Tensor, history: History, p: BodyParameters) -> Tensor:
    """(B, m) at what inputs the body rested before its past (B, K, m) was known.

    The basal need as pump basal, and long-acting insulin at the rate of the time since.
    """
    rest = torch.zeros_like(past[:, 0])
    rest[:, INPUTS.index("bolus_u")] = p.basal_need_u_h.detach() / MIN_PER_H
    known = history.channel_known(LONG_ACTING[0]).float().sum(1, keepdim=True)
    rest[:, _LONG_ENTRIES] = past[..., _LONG_ENTRIES].sum(1) / known.clamp(
        min=steps(MINUTES_PER_DAY)
    )
    return rest


def usual_basal_u_min(history: History, p: BodyParameters) -> Tensor:
    """(B,) pump basal in U/min as of late: the last day's mean where known, else the need."""
    day = slice(-steps(MINUTES_PER_DAY), None)
    known = history.channel_known("basal_u")[:, day].float()
    total = (history.channel("basal_u")[:, day] * known).sum(1)
    mean = total / (STEP_MIN * known.sum(1).clamp(min=1))
    return torch.where(known.any(1), mean, p.basal_need_u_h / MIN_PER_H)


def log_ratio(observed_mg_dl: Tensor, trajectory_mg_dl: Tensor) -> Tensor:
    """log(observed / trajectory), with a floor under the trajectory."""
    return torch.log(observed_mg_dl / trajectory_mg_dl.clamp(min=_LOG_FLOOR_MG_DL))
