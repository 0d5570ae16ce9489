"""A laboratory for bodies: people side by side, left to themselves or on a glucose clamp."""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor

from hybridtwin.dynamics import body_of, person_of, state_of, step, what_acts
from hybridtwin.events import Dose, InsulinKind, Profile
from hybridtwin.inputs import Future, acting_inputs, modulators
from hybridtwin.physiology.body import COMPARTMENTS, DRIVEN
from hybridtwin.physiology.covariates import beta_cells, prior_scores
from hybridtwin.physiology.glucose import GLUCOSE_VOLUME_DL_KG, concentration
from hybridtwin.physiology.parameters import DEFAULT_WEIGHT_KG, BodyParameters, values
from hybridtwin.physiology.steady import steady_state
from hybridtwin.physiology.warmup import driven_now
from hybridtwin.plan import Plan, plan_timeline
from hybridtwin.timeline import CHANNEL
from hybridtwin.units import STEP_MIN

PROFILE = Profile()
MIDNIGHT = pd.Timestamp("2026-03-01T00:00", tz="UTC")
NOON_MIN = 12 * 60.0  # far from the dawn and from the hours that matter to exercise
_HIGHEST_U_H = 5.0
_HALVINGS = 40


def at(minutes: float) -> pd.Timestamp:
    """An instant, minutes after midnight of the first day."""
    return MIDNIGHT + pd.Timedelta(minutes=minutes)


def dose(kind: str, units: float, minutes: float = 0.0, duration_min: float = 0.0) -> Dose:
    """One dose of a kind; basal where the kind acts long."""
    purpose = "basal" if InsulinKind(kind).acts_long else "bolus"
    return Dose(
        time=at(minutes), kind=kind, purpose=purpose, dose_u=units, duration_min=duration_min
    )


def people(count: int, profile: Profile = PROFILE) -> BodyParameters:
    """Median parameters (count,) of people with this profile."""
    weight = torch.tensor([profile.weight_kg or DEFAULT_WEIGHT_KG])
    cells = torch.tensor([beta_cells(profile)])
    scores = prior_scores(profile).expand(count, -1)
    return values(scores, weight.expand(count), cells.expand(count))


def basal_at(p: BodyParameters, glucose_mg_dl: float) -> Tensor:
    """Pump basal (B,), U/h, at which people rest at a glucose level."""
    low = torch.zeros_like(p.weight_kg)
    high = torch.full_like(low, _HIGHEST_U_H)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        above = of(steady_state(p, middle), "interstitial_mg_dl") > glucose_mg_dl
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    return middle


def of(bodies: Tensor, compartment: str) -> Tensor:
    """(..., B) of one compartment."""
    return bodies.select(-2, COMPARTMENTS.index(compartment))


def glucose(bodies: Tensor) -> Tensor:
    """(..., B) plasma glucose, mg/dL."""
    return concentration(of(bodies, "plasma_mg_kg"))


def future(
    plans: Sequence[Plan],
    steps: int,
    basal_u_h: Tensor | float = 0.0,
    start_min: float = 0.0,
    by_the_clock: bool = False,
) -> Future:
    """What acts on B people with a plan each.

    Args:
        plans: One per person.
        steps: Steps of 5 minutes, H.
        basal_u_h: Pump basal, U/h, (H, B) or what broadcasts to it.
        start_min: When it begins, minutes after midnight.
        by_the_clock: Whether the hours of the day count; else it is always noon.
    """
    timelines = [plan_timeline([plan], PROFILE, at(start_min), steps) for plan in plans]
    acts = torch.stack([timeline.values for timeline in timelines], dim=1)
    u_min = torch.as_tensor(basal_u_h).expand(steps, len(plans)) / 60
    amounts = acting_inputs(acts, acts[..., CHANNEL["stated_exertion"]], u_min)
    minutes = timelines[0].minute_of_day.float() if by_the_clock else torch.tensor(NOON_MIN)
    return Future(
        amounts.movedim(-1, 1),
        modulators(acts).movedim(-1, 1),
        minutes.reshape(-1, 1).expand(steps, len(plans)),
        torch.zeros(len(plans)),
    )


def warmed_up(
    p: BodyParameters, acting: Future, glucose_mg_dl: float, days: int = 7
) -> Tensor:
    """Bodies (S, B) at a glucose level, with `days` of `acting`, one day's, behind them."""
    body = steady_state(p, basal_at(p, glucose_mg_dl))
    past = acting.amounts_per_min.repeat(days, 1, 1).movedim(-1, 0).movedim(-1, -2)
    raise NotImplementedError


class Clamped(NamedTuple):
    """A glucose clamp.

    Attributes:
        infused: (H, B) glucose infusion rate, mg/kg/min, during each step.
        bodies: (H, S, B) at the end of each step.
    """

    infused: Tensor
    bodies: Tensor


def clamp(
    p: BodyParameters,
    body: Tensor,
    acting: Future,
    level_mg_dl: Tensor | float,
    insulin_until: int | None = None,
) -> Clamped:
    """Infuse what keeps glucose at a level.

    Args:
        p: B people.
        body: (S, B) where they start.
        acting: What else acts on them.
        level_mg_dl: (H, B) the target, or what broadcasts to it.
        insulin_until: Steps during which intravenous insulin takes what is above the target, as a
            negative infusion; after them glucose rises when insulin no longer holds it. None is
            always.
    """
    acts = what_acts(acting, p)
    nothing = body.new_zeros(0, body.shape[1])
    person = person_of(p, nothing)
    target = torch.as_tensor(level_mg_dl).expand(len(acts), body.shape[1]) * GLUCOSE_VOLUME_DL_KG
    state = state_of(body, nothing, acts[0], person, None)
    infused, bodies = [], []
    for k, acting_now in enumerate(acts):
        state = step(state, acting_now, person, None)
        core = state.core.clone()
        held = target[k] if insulin_until is None or k < insulin_until else core[0].clamp(target[k])
        infused.append((held - core[0]) / STEP_MIN)
        core[0] = held
        state = state._replace(core=core)
        bodies.append(body_of(state))
    return Clamped(torch.stack(infused), torch.stack(bodies))
