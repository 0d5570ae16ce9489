"""Two futures of a patient side by side, or why they are not shown."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import pandas as pd
from pydantic import AwareDatetime, BaseModel, ConfigDict

from hybridtwin.errors import HistoryError, StaleHistoryError
from hybridtwin.glycemia.summary import recent_trace
from hybridtwin.plan import Plan
from hybridtwin.record import Record
from hybridtwin.review.suggestions import insulin_known
from hybridtwin.scenario import ScenarioReport, compare
from hybridtwin.timeline import to_timeline
from hybridtwin.trust import TrustNote
from hybridtwin.twin import Twin
from serving.clinic.scenario_form import NAMES, SIDES, Fault, Question

BEFORE_H: Final = 3
"""So much of what happened is shown before what may."""
_MIN_PER_H: Final = 60


class Comparison(BaseModel):
    """What was asked and what the twin answered; glucose in mg/dL.

    Attributes:
        name: As whoever kept it calls it.
        by: Who kept it, as pages call them.
        typed: The fields of the bench from which it comes.
        plans: As usual, and what if.
        usual_basal_u_h: The pump's rate where a plan says nothing.
        origin: From when the readings before it are.
        before_mg_dl: (T,) readings on the grid; None where there is none.
        report: The futures and their difference.
    """

    model_config = ConfigDict(frozen=True)

    name: str = ""
    by: str = ""
    typed: dict[str, str] = {}
    plans: list[Plan]
    usual_basal_u_h: float
    origin: AwareDatetime
    before_mg_dl: list[float | None]
    report: ScenarioReport


@dataclass(frozen=True)
class Refusal:
    """Why there is no picture.

    Attributes:
        kind: Which text says it: stale, short, trust, insulin or fields.
        notes: What the twin says of its trust.
        faults: By field, what cannot be asked of this patient.
    """

    kind: str
    notes: list[TrustNote] = field(default_factory=list)
    faults: dict[str, Fault] = field(default_factory=dict)


def answer(twin: Twin, record: Record, now: datetime, question: Question) -> Comparison | Refusal:
    """Both futures; a refusal where doses cannot be compared on what is known.

    Args:
        twin: The patient's.
        record: Their last days.
        now: The present.
        question: What is asked.
    """
    try:
        belief = twin.believe(record, pd.Timestamp(now))
    except StaleHistoryError:
        return Refusal("stale")
    except HistoryError:
        return Refusal("short")
    notes = belief.trust.notes
    if any(note.kind == "stale" for note in notes):
        return Refusal("stale", notes)
    if not insulin_known(to_timeline(record.before(belief.now), belief.time)):
        return Refusal("insulin", notes)
    if belief.trust.level == "low":
        return Refusal("trust", notes)
    usual_u_h = _MIN_PER_H * float(belief.usual_basal_u_min[0])
    if usual_u_h <= 0:
        changed = [side for side in SIDES if question.sides[side].basal]
        if changed:
            faults = {f"{side}_basal_percent": Fault("no pump") for side in changed}
            return Refusal("fields", notes, faults)
    plans = [question.sides[side].plan(NAMES[side], question.mode, usual_u_h) for side in SIDES]
    found = compare(twin, belief, plans, question.horizon_min)
    before = recent_trace(record, days=timedelta(hours=BEFORE_H) / timedelta(days=1))
    return Comparison(
        plans=plans,
        usual_basal_u_h=round(usual_u_h, 3),
        origin=before.time(0).to_pydatetime(),
        before_mg_dl=[None if value != value else value for value in before.mg_dl.tolist()],
        report=found.report(),
    )
