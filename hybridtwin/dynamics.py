"""Body and residual over one step of the grid, for many people side by side.

First what inputs alone drive, then the latent state, then glucose between the two; the sensor and
the memory of lows follow. Every tensor has people in its last dimension.
"""

import functools
import logging
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.inputs import Future
from hybridtwin.neural.residual import ResidualWeights, flux, read, surroundings, target
from hybridtwin.physiology.body import (
    DRIVEN,
    ENTRY,
    INPUTS,
    ROUTING,
    Readings,
    rates_of_emptying,
    readings,
    signals,
)
from hybridtwin.physiology.cascade import advance, between
from hybridtwin.physiology.clock import Rhythm, rhythm
from hybridtwin.physiology.counterregulation import (
    ADRENALINE_BELOW_MG_DL,
    LOW_MEMORY_MIN,
    below,
    heed,
    low_memory_after,
)
from hybridtwin.physiology.glucose import (
    Constants,
    Core,
    concentration,
    constants,
    core_rates,
)
from hybridtwin.physiology.parameters import BodyParameters
from hybridtwin.physiology.sensor import interstitial_after, interstitial_rate
from hybridtwin.solver import STAGES, adaptive_step, rk4_step
from hybridtwin.units import STEP_MIN

_LOG = logging.getLogger(__name__)


class State(NamedTuple):
    """Where B bodies and their residuals stand.

    Attributes:
        driven: (n, B).
        core: (8, B), the rows of `Core`.
        interstitial_mg_dl: (B,).
        low_memory: (B,).
        latent: (Z, B).
        drawn_to: (Z, B) where the latent state was drawn to a step before.
    """

    driven: Tensor
    core: Tensor
    interstitial_mg_dl: Tensor
    low_memory: Tensor
    latent: Tensor
    drawn_to: Tensor


class Person(NamedTuple):
    """What stays the same during a forecast.

    Attributes:
        rates_per_min: (n, B) of emptying of the driven compartments.
        readings: (12, B), the rows of `Readings`.
        constants: (10, B), the rows of `Constants`.
        sensor_rate_per_min: (B,).
        fixed: (R, B) what plan and embedding contribute to the residual.
        is_open: (B,) 1 where life goes on as usual, 0 where the plan is complete.
    """

    rates_per_min: Tensor
    readings: Tensor
    constants: Tensor
    sensor_rate_per_min: Tensor
    fixed: Tensor
    is_open: Tensor


class Acting(NamedTuple):
    """What acts during one step, or, with H in front of each shape, during H of them.

    Attributes:
        amounts_per_min: (m, B) in the order of `INPUTS`.
        before: (3, B), the rows of `Rhythm` as the step begins.
        after: (3, B), and as it ends.
        surroundings: (5, B) what the residual reads of clock and exertion.
    """

    amounts_per_min: Tensor
    before: Tensor
    after: Tensor
    surroundings: Tensor

    def at(self, step: int) -> "Acting":
        """During one of the steps."""
        return Acting(*(part[step] for part in self))

    def steps(self) -> list["Acting"]:
        """Step by step."""
        return [Acting(*each) for each in zip(*self, strict=True)]


def what_acts(future: Future, p: BodyParameters) -> Acting:
    """During every step of a future."""
    end = (future.minute_of_day[-1:] + STEP_MIN) % MINUTES_PER_DAY
    minutes = torch.cat([future.minute_of_day, end])
    severities = torch.cat([future.modulators, future.modulators[-1:]])
    factors = torch.stack(rhythm(minutes, severities, p), dim=1)
    exertion = future.amounts_per_min[:, INPUTS.index("exertion")]
    read = surroundings(future.minute_of_day, exertion)
    return Acting(future.amounts_per_min, factors[:-1], factors[1:], read)


def person_of(p: BodyParameters, fixed: Tensor, is_open: Tensor) -> Person:
    """What a step needs of parameters, of plan and embedding (`fixed`, (R, B)) and of the plan."""
    return Person(
        rates_of_emptying(p),
        torch.stack(readings(p)),
        torch.stack(constants(p)),
        p.sensor_delay_min.reciprocal(),
        fixed,
        is_open,
    )


def state_of(
    body: Tensor, latent: Tensor, acting: Acting, person: Person, weights: ResidualWeights | None
) -> State:
    """A body (S, B) and its latent state (Z, B), about to take its first step."""
    driven, core = len(DRIVEN), len(Core._fields)
    drawn_to = latent
    if weights is not None:
        context = person.fixed + torch.mm(weights.surroundings, acting.surroundings)
        drawn_to = target(read(latent, context, weights)[0], weights)
    parts = (body[:driven], body[driven : driven + core], body[-2], body[-1], latent, drawn_to)
    # Tensors of their own, as every step returns them: a compiled step depends on the layout.
    return State(*(part.clone(memory_format=torch.contiguous_format) for part in parts))


def body_of(state: State) -> Tensor:
    """(S, B) in the order of `COMPARTMENTS`."""
    outside = torch.stack([state.interstitial_mg_dl, state.low_memory])
    return torch.cat([state.driven, state.core, outside])


def step(
    state: State,
    acting: Acting,
    person: Person,
    weights: ResidualWeights | None,
) -> State:
    """The state one step later, by Runge-Kutta's fourth order.

    What is driven and the latent state do not read glucose, so each is carried over the step on its
    own, and glucose sees them run smoothly between its ends.

    Args:
        state: Where to start.
        acting: What acts.
        person: Who they are.
        weights: Of the residual; None leaves the body alone.
    """
    reads, c = Readings(*person.readings.unbind(0)), Constants(*person.constants.unbind(0))
    routing, entry = ROUTING.to(state.driven), ENTRY.to(state.driven)
    rates = person.rates_per_min * STEP_MIN
    filled = torch.mm(entry, acting.amounts_per_min) * STEP_MIN
    driven = advance(state.driven, rates, filled, routing)
    slope = filled + torch.mm(routing, rates * state.driven)
    slope_after = filled + torch.mm(routing, rates * driven)
    at = {}
    for share in STAGES:
        content = between(state.driven, driven, slope, slope_after, share)
        clock = Rhythm(*torch.lerp(acting.before, acting.after, share).unbind(0))
        at[share] = signals(content, clock, reads)
    before = concentration(state.core[0])
    # What lows leave of the response falls within a step; as it is in the middle.
    response = heed(low_memory_after(state.low_memory, before, 0.5))

    latent, drawn_to = state.latent, state.drawn_to
    if weights is not None:
        context = person.fixed + torch.mm(weights.surroundings, acting.surroundings)
        for_drift, flux_begin = read(latent, context, weights)
        drawn_to = target(for_drift, weights)
        # Second order with one evaluation: half a step on, as its last change continues.
        middle = 1.5 * drawn_to - 0.5 * state.drawn_to
        latent = middle + (latent - middle) * torch.exp(-STEP_MIN * weights.rate_per_min)
        _, flux_end = read(latent, context, weights)

    def field(share: float, core: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        missed = None
        if weights is not None:
            missed = flux(core[0], torch.lerp(flux_begin, flux_end, share), person.is_open, weights)
        return core_rates(Core(*core), at[share], response, c, missed)

    core, rates_before = rk4_step(field, state.core.unbind(0), STEP_MIN)
    after = concentration(core[0])
    return State(
        driven,
        torch.stack(core),
        interstitial_after(
            state.interstitial_mg_dl,
            before,
            after,
            concentration(rates_before[0]) * STEP_MIN,
            person.sensor_rate_per_min * STEP_MIN,
        ),
        low_memory_after(state.low_memory, 0.5 * (before + after)),
        latent,
        drawn_to,
    )


def adaptive(
    state: State, acting: Acting, person: Person, weights: ResidualWeights | None
) -> State:
    """The same step as one vector field, solved adaptively and tight, to check against."""
    reads, c = Readings(*person.readings.unbind(0)), Constants(*person.constants.unbind(0))
    routing, entry = ROUTING.to(state.driven), ENTRY.to(state.driven)
    filled = torch.mm(entry, acting.amounts_per_min)

    def field(share: float, parts: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        s = State(*parts)
        clock = Rhythm(*torch.lerp(acting.before, acting.after, share).unbind(0))
        core = Core(*s.core.unbind(0))
        glucose = concentration(core.plasma_mg_kg)
        missed, slope = None, torch.zeros_like(s.latent)
        if weights is not None:
            context = person.fixed + torch.mm(weights.surroundings, acting.surroundings)
            for_drift, for_flux = read(s.latent, context, weights)
            missed = flux(core.plasma_mg_kg, for_flux, person.is_open, weights)
            slope = (target(for_drift, weights) - s.latent) * weights.rate_per_min
        rates = core_rates(core, signals(s.driven, clock, reads), heed(s.low_memory), c, missed)
        return State(
            torch.addmm(filled, routing, person.rates_per_min * s.driven),
            torch.stack(rates),
            interstitial_rate(s.interstitial_mg_dl, glucose, person.sensor_rate_per_min),
            (below(glucose, ADRENALINE_BELOW_MG_DL) - s.low_memory) / LOW_MEMORY_MIN,
            slope,
            torch.zeros_like(s.drawn_to),
        )

    return State(*adaptive_step(field, state, STEP_MIN))


Step = Callable[[State, Acting, Person, ResidualWeights | None], State]


Walk = Callable[[State, Acting, Person, ResidualWeights | None], Tensor]


def walk(
    state: State,
    acts: Acting,
    person: Person,
    weights: ResidualWeights | None,
    advance: Step = step,
) -> Tensor:
    """(B, H) sensor glucose in mg/dL at the end of every step."""
    path = []
    for acting in acts.steps():
        state = advance(state, acting, person, weights)
        path.append(state.interstitial_mg_dl)
    return torch.stack(path, dim=1)


@functools.cache
def compiled_step(columns: int) -> Step:
    """`step` compiled by torch for this machine and for so many people side by side.

    It keeps gradients, for training; the first call takes a minute. For other numbers of people,
    and where no compiler is at hand, it is `step` itself.
    """
    try:
        torch.compile(torch.sin)(torch.zeros(1))
    except Exception as error:  # whatever a missing or broken compiler may raise
        _LOG.warning("no compiler at hand, steps are slower: %s", str(error).splitlines()[0])
        return step
    # Without the matcher, which turns sums into products with a copied bias.
    compiled: Step = torch.compile(
        step, fullgraph=True, dynamic=False, options={"pattern_matcher": False}
    )

    def advance(
        state: State, acting: Acting, person: Person, weights: ResidualWeights | None
    ) -> State:
        chosen = compiled if state.driven.shape[1] == columns else step
        return chosen(state, acting, person, weights)

    return advance
