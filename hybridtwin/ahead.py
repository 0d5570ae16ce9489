"""What lies ahead of a belief: whether a question can be asked, and what will act on the body."""

from collections.abc import Sequence

import pandas as pd
import torch

from hybridtwin.belief import Belief
from hybridtwin.errors import PlanError
from hybridtwin.events import Activity, Condition, Dose, Glucagon, Meal
from hybridtwin.inputs import Future, acting_inputs, modulators
from hybridtwin.plan import (
    HORIZON_MAX_MIN,
    Plan,
    check_plan,
    plan_timeline,
    planned_basal_share,
    under_way,
)
from hybridtwin.record import Record, late
from hybridtwin.timeline import CHANNEL
from hybridtwin.units import STEP_MIN


def check_question(plans: Sequence[Plan], belief: Belief, horizon_min: int) -> None:
    """Refuse what cannot be asked.

    Raises:
        PlanError: A plan is impossible, two share a name, or the horizon is too long.
    """
    if not STEP_MIN <= horizon_min <= HORIZON_MAX_MIN:
        raise PlanError.of(
            "horizon_min",
            f"{horizon_min} lies outside {STEP_MIN} to {HORIZON_MAX_MIN} minutes",
            "Ask for at most 12 hours; beyond that a forecast is no better than habit.",
        )
    names = [plan.name for plan in plans]
    doubled = {name for name in names if names.count(name) > 1}
    if doubled:
        raise PlanError.of(
            "plans", f"the name {doubled.pop()!r} is used twice", "Give each plan its own name."
        )
    for plan in plans:
        check_plan(plan, belief.now, horizon_min)


def since(record: Record, time: pd.Timestamp) -> Plan:
    """Doses, meals and activity after the last reading, as events."""

    def rows(table: pd.DataFrame) -> list[dict[str, object]]:
        after = late(table, time)
        if after.empty:  # as nearly always, and to_dict takes a millisecond to say so
            return []
        return [
            {key: value for key, value in row.items() if pd.notna(value)}
            for row in after.to_dict("records")
        ]

    return Plan(
        name="since the last reading",
        insulin=[Dose.model_validate(row) for row in rows(record.insulin)],
        meals=[Meal.model_validate(row) for row in rows(record.meals)],
        activity=[Activity.model_validate(row) for row in rows(record.activity)],
        glucagon=[Glucagon.model_validate(row) for row in rows(record.glucagon)],
        conditions=[
            *(Condition.model_validate(row) for row in rows(record.conditions)),
            *under_way(record, time),
        ],
    )


def future_of(plan: Plan, belief: Belief, count: int) -> Future:
    """What acts on M members under a plan, in the model's units: (H, M)."""
    timeline = plan_timeline([belief.since, plan], belief.profile, belief.time, count)
    members = belief.usual_basal_u_min.shape[0]

    planned = planned_basal_share([belief.since, plan], belief.time, count)
    stated = timeline.values[:, CHANNEL["basal_u"]] / STEP_MIN
    basal = stated.unsqueeze(-1) + (1 - planned).unsqueeze(-1) * belief.usual_basal_u_min
    acts = timeline.values.unsqueeze(1)
    exertion = acts[..., CHANNEL["stated_exertion"]]
    return Future(
        amounts_per_min=acting_inputs(acts, exertion, basal).movedim(-1, 1),
        modulators=modulators(acts).movedim(-1, 1).expand(-1, -1, members),
        minute_of_day=timeline.minute_of_day.float().unsqueeze(-1),
        is_open=torch.full((members,), float(plan.mode == "open")),
    )
