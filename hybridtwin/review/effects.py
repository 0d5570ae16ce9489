"""Effects of drivers: the forecast as it is, less the forecast with one of them taken away.

Taking a driver away changes two things: what is still on its way in the body, and where glucose
would be by now. For the second, the hours before are lived again by the body's equations, with the
driver and without.

What the twin concluded of the person from their trace stays, as do its output statistics and the
errors of its sample paths: doses and meals act through physiology alone, backwards as forwards. For
the same reason effects are those of a complete plan, whose residual flux does not read glucose: how
people would have answered another glucose is no part of what a dose does.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Final

import torch
from torch import Tensor

from hybridtwin.ahead import future_of
from hybridtwin.belief import Belief
from hybridtwin.climatology import CLIMATOLOGY, CLIMATOLOGY_DAYS, nothing_usual
from hybridtwin.history import HISTORY_STEPS, Grid, join, stretches
from hybridtwin.hybrid import (
    People,
    anchor_of,
    driven_so_far,
    settled,
    usual_basal_u_min,
)
from hybridtwin.inputs import Future, as_recorded
from hybridtwin.neural.encoder import Start
from hybridtwin.neural.features import features
from hybridtwin.output_statistics import EXPECTED
from hybridtwin.physiology.parameters import NAMES
from hybridtwin.plan import Plan
from hybridtwin.review.drivers import TAKEN_AWAY, Driver, Past
from hybridtwin.review.usual import DAY, Usual, usual
from hybridtwin.rows import stacked
from hybridtwin.timeline import CHANNEL
from hybridtwin.twin import Twin
from hybridtwin.units import GLUCOSE_MIN_MG_DL, STEP_MIN, steps

_LIVED_AGAIN_MIN: Final = 480
_SENSITIVITY: Final = [
    NAMES.index(name) for name in ("uptake_sensitivity", "liver_half_insulin", "basal_need_u_h")
]
_CLIMATOLOGY: Final = slice(EXPECTED.start - CLIMATOLOGY, EXPECTED.start)
_COMPLETE: Final = Plan(mode="complete")


@dataclass(frozen=True)
class _Standing:
    """Where somebody would stand now.

    Attributes:
        past: Which of the pasts lies behind them.
        start: What is concluded from their trace; one row.
        change_mg_dl: By how much glucose would differ from the last reading.
    """

    past: int
    start: Start
    change_mg_dl: Tensor


def effects(twin: Twin, belief: Belief, horizon_min: int) -> dict[Driver | None, Tensor]:
    """(H,) mg/dL by which each driver moves what is expected; None is all of them together.

    Args:
        twin: The patient's.
        belief: From which it is looked ahead.
        horizon_min: How far.
    """
    as_usual = usual(belief.timeline)
    drivers, pasts = _pasts(Past(belief.timeline, belief.since), as_usual)
    lives = _Lives(twin, twin.person_for(belief.profile), pasts)
    change = lives.change_by_now_mg_dl()
    level = torch.zeros(())
    if as_usual.level_mg_dl is not None:
        level = as_usual.level_mg_dl - lives.reading_mg_dl() - change[-1]

    start, usual_start = lives.start_now(), lives.usual_start()
    standing: dict[Driver | None, _Standing] = {
        driver: _Standing(row, start, change[row]) for row, driver in enumerate(drivers, 1)
    }
    standing[Driver.SENSITIVITY] = _Standing(0, usual_start, change[0])
    standing[Driver.LEVEL] = _Standing(0, start, level)
    standing[None] = _Standing(len(pasts) - 1, usual_start, change[-1] + level)
    ahead = lives.ahead([_Standing(0, start, change[0]), *standing.values()], belief, horizon_min)
    found = dict(zip(standing, ahead[:1] - ahead[1:], strict=True))
    found[Driver.HABIT] = _habit(twin, belief, ahead[:1])
    found[None] = found[None] + found[Driver.HABIT]
    return found


def _pasts(happened: Past, as_usual: Usual) -> tuple[list[Driver], list[Past]]:
    """Drivers that there are; the past as it was, without each of them, and without any."""
    found, usual_past = {}, happened
    for driver, take_away in TAKEN_AWAY.items():
        past = take_away(happened, as_usual)
        if past is not happened:
            found[driver] = past
        usual_past = take_away(usual_past, as_usual)
    return list(found), [happened, *found.values(), usual_past]


class _Lives:
    """One person's trace with several pasts behind it, the first as it was.

    It is looked at from now and from some hours ago with each past, and from this hour of the days
    before with the past as it was: all rows of one batch.
    """

    def __init__(self, twin: Twin, person: People, pasts: Sequence[Past]) -> None:
        self.twin, self.pasts = twin, pasts
        length, self.count = len(pasts[0].timeline), len(pasts)
        self.back = min(steps(_LIVED_AGAIN_MIN), length - 1)
        recent = max(length - HISTORY_STEPS - self.back, 0)
        other = [past.timeline.between(recent, length) for past in pasts[1:]]
        self.grid = join([pasts[0].timeline, *other])
        ends = [*self.grid.offsets[1:], self.grid.values.shape[1] + HISTORY_STEPS]
        now = torch.tensor(ends) - HISTORY_STEPS - 1
        self.ago = now - self.back
        days = [
            DAY * day for day in range(1, CLIMATOLOGY_DAYS + 1) if length - 1 - DAY * day >= DAY
        ]
        history = self.grid.history(torch.cat([now, self.ago, now[0] - torch.tensor(days).long()]))
        self.people = person.rows(torch.zeros(len(history.minute_of_day), dtype=torch.long))
        self.driven = driven_so_far(history, self.people, self.people, None)
        self.anchor = anchor_of(history)
        self.basal_u_min = usual_basal_u_min(history, self.people.values())
        self.start: Start = twin.model.encoder(
            features(history, self.driven), self.people.embedding
        )

    def reading_mg_dl(self) -> Tensor:
        """The last one."""
        return self.anchor.reading_mg_dl[0]

    def start_now(self) -> Start:
        """What is concluded from the trace as it was."""
        return self.start.rows(torch.tensor([0]))

    def usual_start(self) -> Start:
        """With the sensitivity that was concluded at this hour of the days before."""
        start, then = self.start_now(), self.start.scores[2 * self.count :]
        if not len(then):
            return start
        scores = start.scores.clone()
        scores[:, _SENSITIVITY] = then[:, _SENSITIVITY].mean(0)
        return replace(start, scores=scores)

    def change_by_now_mg_dl(self) -> Tensor:
        """(P,) where glucose would be now with each past, less where it would be as it was."""
        ago = torch.arange(self.count, 2 * self.count)
        start = self.start.rows(ago[:1].expand(self.count))
        begun = settled(self.anchor.rows(ago), self.people.rows(ago), self.driven[:, ago], start)
        happened = _happened(self.grid, self.ago, self.back, self.basal_u_min[ago])
        lived = self.twin.model.roll(begun, happened, self.twin.walk)
        return lived[:, -1] - lived[0, -1]

    def ahead(self, standing: Sequence[_Standing], belief: Belief, horizon_min: int) -> Tensor:
        """(S, H) what is expected of those who stand so, if nothing more happens; mg/dL."""
        now = torch.tensor([each.past for each in standing])
        anchor = self.anchor.rows(now)
        moved = anchor.reading_mg_dl + torch.stack([each.change_mg_dl for each in standing])
        present = settled(
            replace(anchor, reading_mg_dl=moved.clamp(min=GLUCOSE_MIN_MG_DL)),
            self.people.rows(now),
            self.driven[:, now],
            stacked([each.start for each in standing]),
        )
        since = [self.pasts[each.past].since for each in standing]
        future = _future(belief, self.basal_u_min[now], since, steps(horizon_min))
        return self.twin.model.roll(present, future, self.twin.walk)


def _habit(twin: Twin, belief: Belief, expected_mg_dl: Tensor) -> Tensor:
    """(H,) what output statistics make of the fortnight before, and what was missed lately."""
    stranger = belief.predictors.clone()
    stranger[:, _CLIMATOLOGY] = nothing_usual()
    person = twin.person_for(belief.profile)
    minutes = STEP_MIN * torch.arange(1.0, expected_mg_dl.shape[1] + 1)
    known, unknown = (
        correction.moved(expected_mg_dl, minutes)
        for correction in (belief.correction, twin.usual_correction(person, stranger))
    )
    return (known - unknown)[0]


def _happened(grid: Grid, begin: Tensor, count: int, basal_u_min: Tensor) -> Future:
    """What was done in the steps from grid points (B,) on; the basal given where not known."""
    values, known = (
        stretches(each, begin, count).movedim(0, -1) for each in (grid.values, grid.known)
    )
    pumped = values[..., CHANNEL["basal_u"]] / STEP_MIN
    basal = torch.where(known[..., CHANNEL["basal_u"]], pumped, basal_u_min.unsqueeze(-1))
    minute = stretches(grid.minute_of_day, begin, count).float()
    return as_recorded(values, known, basal, minute, torch.zeros(len(begin)))


def _future(belief: Belief, basal_u_min: Tensor, since: Sequence[Plan], count: int) -> Future:
    """What comes for each of S (S,), after what came since the last reading."""

    def after(plan: Plan) -> Future:
        own = replace(belief, usual_basal_u_min=basal_u_min, since=plan)
        return future_of(_COMPLETE, own, count)

    found = after(since[0])
    others: list[Plan] = []
    for plan in since:
        if plan != since[0] and plan not in others:
            others.append(plan)
    for plan in others:
        here = torch.tensor([each == plan for each in since])
        found = _where(here, after(plan), found)
    return found


def _where(here: Tensor, first: Future, second: Future) -> Future:
    """Of the first for people (S,) here, of the second for the others."""
    names = (f.name for f in fields(Future))
    return Future(*(torch.where(here, getattr(first, n), getattr(second, n)) for n in names))
