from datetime import timedelta

import pytest
import torch

from hybridtwin.events import Activity, Dose, InsulinKind
from hybridtwin.history import HISTORY_STEPS, Grid, join
from hybridtwin.record import from_events
from hybridtwin.timeline import BOLUS, CHANNEL, Timeline, to_timeline
from tests.hybridtwin.people import START, history


@pytest.fixture(scope="module")
def timelines() -> list[Timeline]:
    """Of two people, the first of whom gets every kind of insulin and runs."""
    person = history()
    doses = [
        Dose(time=START + timedelta(hours=hour), dose_u=hour + 1, kind=kind)
        for hour, kind in enumerate(InsulinKind)
    ]
    moves = [
        Activity(time=START + timedelta(hours=h), duration_min=30, kind=kind, intensity="vigorous")
        for h, kind in ((2, "aerobic"), (4, "anaerobic"))
    ]
    glucose = to_timeline(person)
    doped = from_events(person.profile, (), doses, activity=moves)
    events = to_timeline(doped, glucose.time(len(glucose) - 1), glucose.start)
    return [events, glucose]


@pytest.fixture(scope="module")
def grid(timelines: list[Timeline]) -> Grid:
    return join(timelines)


def test_a_history_is_the_timeline_before_its_anchor(grid: Grid, timelines: list[Timeline]) -> None:
    anchors = torch.tensor([100, 200, 300])
    for person, timeline in enumerate(timelines):
        found = grid.history(anchors + grid.offsets[person])
        assert found.events.shape == (3, HISTORY_STEPS, len(CHANNEL))
        for row, anchor in enumerate(anchors.tolist()):
            past, before = slice(-anchor, None), slice(None, -anchor)
            assert torch.equal(found.events[row, past], timeline.values[:anchor])
            assert torch.equal(found.events_known[row, past], timeline.known[:anchor])
            assert not found.events_known[row, before].any()
            glucose = timeline.values[1 : anchor + 1, CHANNEL["glucose_mg_dl"]]
            assert torch.equal(found.glucose_mg_dl[row, past], glucose)
            assert found.minute_of_day[row] == timeline.minute_of_day[anchor]


def test_totals_and_efforts(grid: Grid, timelines: list[Timeline]) -> None:
    anchor = 300
    found = grid.history(torch.tensor([anchor + grid.offsets[0]]))
    short = [hour + 1 for hour, kind in enumerate(InsulinKind) if not kind.acts_long]
    assert found.total(BOLUS).shape == (1, HISTORY_STEPS)
    assert float(found.total(BOLUS).sum()) == pytest.approx(sum(short))
    assert torch.equal(found.total(["basal_u"]), found.channel("basal_u"))
    ran, sprinted = (
        (each[0, -anchor:] > 0).nonzero().flatten() for each in (found.exertion(), found.sprint())
    )
    assert ran.tolist() == list(range(24, 30))
    assert sprinted.tolist() == list(range(48, 54))
