"""Plan: what will be done from now on."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Literal, TypeVar

import numpy as np
import pandas as pd
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from hybridtwin.errors import PlanError, Problem
from hybridtwin.event_tables import EVENT_TABLES
from hybridtwin.events import Activity, Condition, Dose, Event, Glucagon, Meal, Profile
from hybridtwin.record import Record, from_events
from hybridtwin.stepwise import spread
from hybridtwin.timeline import Timeline, to_timeline
from hybridtwin.units import STEP_MIN

HORIZON_MAX_MIN = 12 * 60
AnEvent = TypeVar("AnEvent", bound=Event)


class Plan(BaseModel):
    """Doses, meals, activity, glucagon and conditions to come.

    Pump basal that the plan does not mention goes on at the usual rate, in both modes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field("as usual", min_length=1, max_length=80, description="What to call it.")
    mode: Literal["open", "complete"] = Field(
        "open",
        description="open: life goes on as this person usually lives it, unannounced meals "
        "included. complete: nothing happens beyond what the plan says.",
    )
    insulin: list[Dose] = Field(default_factory=list, description="Doses to come, in U.")
    meals: list[Meal] = Field(default_factory=list, description="Meals to come, in g.")
    activity: list[Activity] = Field(default_factory=list, description="Exercise to come.")
    glucagon: list[Glucagon] = Field(
        default_factory=list, description="Glucagon to come, in micrograms."
    )
    conditions: list[Condition] = Field(
        default_factory=list,
        description="Illness, stress and the like that begin later; what has begun belongs into "
        "the history and goes on from there.",
    )


def check_plan(plan: Plan, now: pd.Timestamp, horizon_min: int) -> None:
    """Refuse a plan that contradicts itself or the clock.

    Args:
        plan: The plan.
        now: When it begins.
        horizon_min: How far the forecast reaches.

    Raises:
        PlanError: Something lies in the past or beyond the horizon, or overlaps.
    """
    end = now + pd.Timedelta(minutes=horizon_min)
    problems = []
    events: list[tuple[str, Event]] = []
    for part in EVENT_TABLES:
        events += [(f"{part}[{i}]", event) for i, event in enumerate(getattr(plan, part))]
    for where, event in events:
        time = pd.Timestamp(event.time)
        if time < now:
            problems.append(
                Problem(
                    f"plan {plan.name!r}: {where}.time",
                    f"{time.isoformat()} is before now, {now.isoformat()}",
                    "Put what has happened into the history; a plan begins now.",
                )
            )
        if time >= end:
            problems.append(
                Problem(
                    f"plan {plan.name!r}: {where}.time",
                    f"{time.isoformat()} is beyond the horizon, {end.isoformat()}",
                    "Raise horizon_min or leave it out.",
                )
            )
    basal = [dose for dose in plan.insulin if dose.purpose == "basal" and dose.duration_min > 0]
    problems += _overlaps(plan.name, "basal", basal) + _overlaps(
        plan.name, "activity", plan.activity
    )
    if problems:
        raise PlanError(problems)


def _overlaps(name: str, what: str, spans: Sequence[Dose | Activity]) -> list[Problem]:
    ordered = sorted(spans, key=lambda span: span.time)
    return [
        Problem(
            f"plan {name!r}: {what}",
            f"the entry at {later.time.isoformat()} begins before the one at "
            f"{earlier.time.isoformat()} ends",
            "Plan one at a time: shorten the first or merge them.",
        )
        for earlier, later in pairwise(ordered)
        if later.time < earlier.time + timedelta(minutes=earlier.duration_min)
    ]


def plan_timeline(
    plans: Sequence[Plan], profile: Profile, start: pd.Timestamp, steps: int
) -> Timeline:
    """All events of the plans on the grid: `steps` grid points from `start`."""
    record = from_events(
        profile,
        glucose=(),
        insulin=_on_grid((d for plan in plans for d in plan.insulin), start),
        meals=_on_grid((m for plan in plans for m in plan.meals), start),
        activity=_on_grid((a for plan in plans for a in plan.activity), start),
        glucagon=_on_grid((g for plan in plans for g in plan.glucagon), start),
        conditions=_on_grid((c for plan in plans for c in plan.conditions), start),
    )
    end = start + pd.Timedelta(minutes=STEP_MIN * (steps - 1))
    return to_timeline(record, end, start)


def _on_grid(events: Iterable[AnEvent], start: pd.Timestamp) -> list[AnEvent]:
    """Events in order of time, none before the grid, whose start may lie just after now."""
    first = start.to_pydatetime()
    moved = (
        event.model_copy(update={"time": first}) if event.time < first else event
        for event in events
    )
    return sorted(moved, key=lambda event: event.time)


def under_way(record: Record, time: pd.Timestamp) -> list[Condition]:
    """What is left at `time` of every condition that began before it."""
    rows = record.conditions
    if rows.empty:
        return []
    ends = rows["time"] + pd.to_timedelta(rows["duration_min"], unit="min")
    lasting = (rows["time"] < time) & (ends > time)
    left_min = (ends - time) / pd.Timedelta(minutes=1)
    # Two that differ in their beginnings alone are one from here on.
    rest = rows.assign(time=time, duration_min=left_min)[lasting].drop_duplicates()
    return [Condition.model_validate(row) for row in rest.to_dict("records")]


def planned_basal_share(plans: Sequence[Plan], start: pd.Timestamp, steps: int) -> Tensor:
    """(H,) share, 0 to 1, of each step whose pump basal the plans state."""
    stated = [
        ((pd.Timestamp(dose.time) - start) / pd.Timedelta(minutes=STEP_MIN), dose.duration_min)
        for dose in _on_grid((d for plan in plans for d in plan.insulin), start)
        if dose.purpose == "basal" and not dose.kind.acts_long
    ]
    minutes = np.zeros(steps, dtype=np.float32)
    if stated:
        begin, duration_min = np.array(stated, dtype=float).T
        spread(begin, duration_min / STEP_MIN, duration_min, minutes)
    return torch.from_numpy(minutes / STEP_MIN).clamp(max=1)
