"""A laboratory for bodies: people side by side, left to themselves or on a glucose clamp."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor

from hybridtwin.dynamics import body_of, person_of, state_of, step, what_acts
from hybridtwin.events import Activity, Dose, InsulinKind, Meal, Profile
from hybridtwin.inputs import Future, acting_inputs, modulators
from hybridtwin.physiology.body import COMPARTMENTS, DRIVEN
from hybridtwin.physiology.covariates import beta_cells, prior_scores
from hybridtwin.physiology.glucose import concentration
from hybridtwin.physiology.parameters import (
    DEFAULT_WEIGHT_KG,
    GLUCOSE_VOLUME_DL_KG,
    BodyParameters,
    values,
)
from hybridtwin.physiology.steady import MIN_PER_H, steady_state
from hybridtwin.physiology.warmup import driven_now
from hybridtwin.plan import Plan, plan_timeline
from hybridtwin.simulation import run
from hybridtwin.timeline import CHANNEL
from hybridtwin.units import MG_DL_PER_MMOL_L, STEP_MIN

PROFILE = Profile()
MIDNIGHT = pd.Timestamp("2026-03-01T00:00", tz="UTC")
HOUR = 60 // STEP_MIN
DAY = 24 * HOUR
NOON_MIN = 12 * 60.0  # far from the dawn and from the hours that matter to exercise
_SECANTS = 6
_NEAR = 1e-5  # of the logarithm; beyond it is rounding
_WEEK = 2048  # steps, a power of two


def at(minutes: float) -> pd.Timestamp:
    """An instant, minutes after midnight of the first day."""
    return MIDNIGHT + pd.Timedelta(minutes=minutes)


def dose(kind: str, units: float, minutes: float = 0, duration_min: float = 0) -> Dose:
    """A dose; basal where the kind acts long."""
    purpose = "basal" if InsulinKind(kind).acts_long else "bolus"
    return Dose(
        time=at(minutes), kind=kind, purpose=purpose, dose_u=units, duration_min=duration_min
    )


def meal(carbs_g: float, minutes: float = 0, **composition: float) -> Meal:
    """A meal."""
    return Meal(time=at(minutes), carbs_g=carbs_g, **composition)


def exercise(kind: str, intensity: str, duration_min: float = 45, minutes: float = 0) -> Activity:
    """A bout of exercise."""
    return Activity(time=at(minutes), kind=kind, intensity=intensity, duration_min=duration_min)


def people(count: int, profile: Profile = PROFILE) -> BodyParameters:
    """Median parameters (count,) of people with this profile."""
    scores = prior_scores(profile).expand(count, -1)
    weight = torch.tensor(profile.weight_kg or DEFAULT_WEIGHT_KG).expand(count)
    return values(scores, weight, torch.tensor(beta_cells(profile)).expand(count))


def basal_at(p: BodyParameters, glucose_mg_dl: float) -> Tensor:
    """Pump basal (B,), U/h, at which people rest at a glucose level."""

    def above(basal_u_h: Tensor) -> Tensor:
        return torch.log(glucose(steady_state(p, basal_u_h)) / glucose_mg_dl)

    # By secants: the logarithms of the two are almost on a line.
    last, basal = torch.full_like(p.weight_kg, 0.7), torch.full_like(p.weight_kg, 1.0)
    last_above = above(last)
    for _ in range(_SECANTS):
        now_above = above(basal)
        change = now_above * torch.log(basal / last) / (now_above - last_above)
        last, last_above = basal, now_above
        basal = basal * torch.where(now_above.abs() > _NEAR, torch.exp(-change), 1.0)
    return basal


@functools.cache
def _usual_basal(glucose_mg_dl: float) -> Tensor:
    """`basal_at` of one median person."""
    return basal_at(people(1), glucose_mg_dl)


def future(
    plans: Sequence[Plan], steps: int, basal_u_h: Tensor, start_min: float | None = None
) -> Future:
    """What acts on B people with a plan each.

    Args:
        plans: One per person.
        steps: Steps of 5 minutes, H.
        basal_u_h: Pump basal, (H, B) or what broadcasts to it.
        start_min: The hour at which it begins, minutes after midnight; None begins at midnight by
            a clock that stands at noon.
    """
    timelines = [plan_timeline([plan], PROFILE, at(start_min or 0), steps) for plan in plans]
    acts = torch.stack([timeline.values for timeline in timelines], dim=1)
    u_min = basal_u_h.expand(steps, len(plans)) / MIN_PER_H
    amounts = acting_inputs(acts, acts[..., CHANNEL["stated_exertion"]], u_min)
    clock = torch.full((steps,), NOON_MIN)
    if start_min is not None:
        clock = timelines[0].minute_of_day.float()
    return Future(
        amounts.movedim(-1, 1),
        modulators(acts).movedim(-1, 1),
        clock.unsqueeze(-1).expand(steps, len(plans)),
        torch.zeros(len(plans)),
    )


def courses(
    plans: Sequence[Plan],
    rest_mg_dl: float,
    steps: int,
    p: BodyParameters | None = None,
    start_min: float | None = None,
) -> Tensor:
    """(H + 1, S, B) bodies of people who rested at a glucose level, then follow a plan each."""
    basal = _usual_basal(rest_mg_dl).expand(len(plans)) if p is None else basal_at(p, rest_mg_dl)
    p = p or people(len(plans))
    return run(steady_state(p, basal), future(plans, steps, basal, start_min), p)


def accustomed(p: BodyParameters, day: Future, glucose_mg_dl: float) -> Tensor:
    """Bodies (S, B) at a glucose level, with a week of one day's doses behind them."""
    past = day.amounts_per_min[:DAY].permute(2, 0, 1).repeat(1, _WEEK // DAY + 1, 1)[:, -_WEEK:]
    body = steady_state(p, basal_at(p, glucose_mg_dl)).clone()
    body[: len(DRIVEN)] = driven_now(past, torch.zeros_like(past[:, 0]), p)
    return body


class Clamped(NamedTuple):
    """A glucose clamp.

    Attributes:
        infused: (H, B) glucose infusion rate, mg/kg/min, over each step.
        bodies: (H, S, B) at the end of each step.
    """

    infused: Tensor
    bodies: Tensor


def clamp(
    p: BodyParameters,
    body: Tensor,
    acting: Future,
    level_mg_dl: Tensor | float,
    tapered: int | None = None,
) -> Clamped:
    """Infuse what keeps glucose at a level.

    Args:
        p: B people.
        body: (S, B) where they start.
        acting: What else acts on them.
        level_mg_dl: (H, B) the target, or what broadcasts to it.
        tapered: Steps until intravenous insulin is gone, which takes what is above the target as a
            negative infusion; then glucose rises when insulin no longer holds it. None is never.
    """
    acts = what_acts(acting, p).steps()
    nothing = body.new_zeros(0, body.shape[1])
    person = person_of(p, nothing, acting.is_open)
    target = torch.as_tensor(level_mg_dl).expand(len(acts), body.shape[1]) * GLUCOSE_VOLUME_DL_KG
    state = state_of(body, nothing, acts[0], person, None)
    infused, bodies = [], []
    for k, now in enumerate(acts):
        state = step(state, now, person, None)
        free, *others = state.core.unbind(0)
        held = target[k] if tapered is None or k < tapered else torch.maximum(free, target[k])
        infused.append((held - free) / STEP_MIN)
        state = state._replace(core=torch.stack([held, *others]))
        bodies.append(body_of(state))
    return Clamped(torch.stack(infused), torch.stack(bodies))


def of(bodies: Tensor, compartment: str) -> Tensor:
    """(..., B) of one compartment."""
    return bodies.select(-2, COMPARTMENTS.index(compartment))


def glucose(bodies: Tensor) -> Tensor:
    """(..., B) plasma glucose, mg/dL."""
    return concentration(of(bodies, "plasma_mg_kg"))


def mmol(mg_dl: Tensor) -> Tensor:
    """Glucose in mmol/L."""
    return mg_dl / MG_DL_PER_MMOL_L


def peak_min(course: Tensor) -> float:
    """Minute of the highest point of (H,) values over each step, between grid points."""
    k = int(course.argmax())
    before, top, after = course[k - 1 : k + 2].tolist()
    return float(STEP_MIN * (k + 0.5 + 0.5 * (before - after) / (before - 2 * top + after)))


def half_min(course: Tensor, late: bool = False) -> float:
    """Minute at which (H,) values over each step reach half of their most, early or late."""
    padded = torch.cat([course.new_zeros(1), course])
    peak, half = int(padded.argmax()), 0.5 * float(course.max())
    if late:
        k = peak + int((padded[peak:] >= half).nonzero()[-1])
    else:
        k = int((padded[:peak] < half).nonzero()[-1])
    here, there = padded[k : k + 2].tolist()
    return float(STEP_MIN * (k - 0.5 + (half - here) / (there - here)))


def half_total_min(course: Tensor) -> float:
    """Minute by which (H,) values have summed to half of their total."""
    sums = course.cumsum(0)
    k = int((sums < 0.5 * sums[-1]).sum())
    return STEP_MIN * (k + float((0.5 * sums[-1] - sums[k - 1]) / course[k]))


def until_min(course: Tensor, limit: float) -> float:
    """Minute at which (H,) values at the end of each step first exceed a limit."""
    above = (course > limit).nonzero()
    return STEP_MIN * int(above[0]) if len(above) else float("inf")
