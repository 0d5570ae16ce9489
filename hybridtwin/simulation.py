"""The body alone: what the equations make of a plan, without network and without a history.

For questions of physiology: a clamp, a rescue, a night on the wrong insulin.
"""

import pandas as pd
import torch
from torch import Tensor

from hybridtwin.dynamics import body_of, person_of, state_of, step, what_acts
from hybridtwin.events import Profile
from hybridtwin.inputs import Future, acting_inputs, modulators
from hybridtwin.physiology.body import COMPARTMENTS
from hybridtwin.physiology.covariates import beta_cells, prior_scores
from hybridtwin.physiology.glucose import concentration
from hybridtwin.physiology.parameters import DEFAULT_WEIGHT_KG, BodyParameters, values
from hybridtwin.physiology.steady import MIN_PER_H, steady_state
from hybridtwin.plan import Plan, plan_timeline, planned_basal_share
from hybridtwin.timeline import CHANNEL
from hybridtwin.units import STEP_MIN


def typical_person(profile: Profile) -> BodyParameters:
    """Median parameters (1,) of people with this profile."""
    weight = torch.tensor([profile.weight_kg or DEFAULT_WEIGHT_KG])
    cells = torch.tensor([beta_cells(profile)])
    return values(prior_scores(profile).unsqueeze(0), weight, cells)


def simulate(
    p: BodyParameters,
    plan: Plan,
    profile: Profile,
    start: pd.Timestamp,
    steps: int,
    basal_u_h: float,
) -> pd.DataFrame:
    """Every compartment of one body over a plan, from rest.

    Args:
        p: One person's parameters, (1,) each.
        plan: What they do; pump basal that it does not mention goes on.
        profile: For their clock.
        start: When it begins, on the grid.
        steps: How many steps of 5 minutes.
        basal_u_h: Pump basal, U/h, at which the body rested before and that goes on.

    Returns:
        A row per grid point, `steps` + 1 of them: `minute` since the start, `glucose_mg_dl` in
        plasma, and the compartments with their units in their names.
    """
    timeline = plan_timeline([plan], profile, start, steps)
    stated = timeline.values[:, CHANNEL["basal_u"]] / STEP_MIN
    usual = (1 - planned_basal_share([plan], start, steps)) * basal_u_h / MIN_PER_H
    acts = timeline.values.unsqueeze(1)
    amounts = acting_inputs(
        acts, acts[..., CHANNEL["stated_exertion"]], (stated + usual).unsqueeze(-1)
    )
    minutes = timeline.minute_of_day.float().unsqueeze(-1)
    future = Future(
        amounts.movedim(-1, 1), modulators(acts).movedim(-1, 1), minutes, torch.zeros(1)
    )
    bodies = run(steady_state(p, torch.tensor([basal_u_h])), future, p)
    table = pd.DataFrame(bodies[..., 0].numpy(), columns=list(COMPARTMENTS))
    glucose = concentration(bodies[:, COMPARTMENTS.index("plasma_mg_kg"), 0]).numpy()
    table.insert(0, "minute", STEP_MIN * table.index.to_numpy())
    table.insert(1, "glucose_mg_dl", glucose)
    return table


def run(body: Tensor, future: Future, p: BodyParameters) -> Tensor:
    """(H + 1, S, B) bodies at every grid point, the first (S, B) as given.

    Args:
        body: Where to start.
        future: What acts.
        p: Parameters of B people.
    """
    nothing = body.new_zeros(0, body.shape[1])
    acts, person = what_acts(future, p), person_of(p, nothing, future.is_open)
    state = state_of(body, nothing, acts.at(0), person, None)
    path = [body]
    for acting in acts.steps():
        state = step(state, acting, person, None)
        path.append(body_of(state))
    return torch.stack(path)
