"""The living state of one person: however the stream was cut, stored and resumed."""

from dataclasses import replace

import pandas as pd
import pytest
import torch

from hybridtwin.assimilation.assimilated import (
    DAY_COLUMNS,
    Assimilated,
    Checkpoint,
    assimilate,
)
from hybridtwin.assimilation.path import FOLLOWED, path
from hybridtwin.assimilation.saved import from_bytes, to_bytes
from hybridtwin.assimilation.settings import AssimilationSettings, FilterSettings
from hybridtwin.assimilation.stream import Recent, grid_of
from hybridtwin.errors import HistoryError, ModelError, RecordError
from hybridtwin.events import Profile
from hybridtwin.native import native_walk
from hybridtwin.record import Record
from hybridtwin.registry import load_twin, untrained_twin
from hybridtwin.twin import Twin
from tests.hybridtwin.people import history

HOURS = 8
SETTINGS = AssimilationSettings(members=20, reach_hours=2)


@pytest.fixture(scope="module")
def twin() -> Twin:
    return replace(load_twin(), walk=native_walk())


@pytest.fixture(scope="module")
def record() -> Record:
    """Eight hours with a gap in the sensor, fingersticks, and doses between grid points."""
    made = history(HOURS)
    glucose = made.glucose.drop(index=range(60, 75))
    glucose.loc[[40, 80], "source"] = "fingerstick"
    return replace(made, glucose=glucose)


@pytest.fixture(scope="module")
def whole(twin: Twin, record: Record) -> Assimilated:
    return assimilate(twin, None, record, SETTINGS)


def minute(record: Record, minutes: float) -> pd.Timestamp:
    time: pd.Timestamp = record.glucose["time"].iloc[0] + pd.Timedelta(minutes=minutes)
    return time


def part(record: Record, begin: float, end: float) -> Record:
    """What was known of the stream between two minutes, as it arrives."""
    return record.before(minute(record, end)).since(minute(record, begin))


def without(record: Record, table: str, begin: float, end: float) -> Record:
    rows = getattr(record, table)
    gone = rows["time"].between(minute(record, begin), minute(record, end))
    return replace(record, **{table: rows[~gone]})


def same(a: Assimilated, b: Assimilated) -> None:
    """To the last bit, as of now and for what comes."""
    assert a.time == b.time
    now, other = a.checkpoints[-1], b.checkpoints[-1]
    assert torch.equal(now.members, other.members)
    assert torch.equal(now.log_weights, other.log_weights)
    assert list(a.days) == list(b.days)
    assert all(torch.equal(a.days[day], b.days[day]) for day in a.days)


@pytest.mark.parametrize("cuts", [(300,), (200, 203, 204, 400), (185, 395, 400, 405, 470)])
def test_the_cut_of_the_stream_does_not_matter(
    twin: Twin, record: Record, whole: Assimilated, cuts: tuple[int, ...]
) -> None:
    held = assimilate(twin, None, record.before(minute(record, cuts[0])), SETTINGS)
    for begin, end in zip(cuts, (*cuts[1:], 60 * HOURS), strict=True):
        held = assimilate(twin, held, part(record, begin, end), SETTINGS)
    same(held, whole)


@pytest.mark.parametrize("table", ["glucose", "insulin", "meals"])
def test_what_is_late_replays_the_hours_since(
    twin: Twin, record: Record, whole: Assimilated, table: str
) -> None:
    """Nothing of a table from minute 365 on arrives before the rest, an hour later."""
    gone = without(record, table, 365, 420)
    assert len(getattr(gone, table)) < len(getattr(record, table))
    held = assimilate(twin, None, gone.before(minute(record, 425)), SETTINGS)
    early = held.checkpoints[-1].members
    held = assimilate(twin, held, part(record, 360, 425), SETTINGS)
    assert not torch.equal(early, held.checkpoints[-1].members)
    same(assimilate(twin, held, part(record, 425, 60 * HOURS), SETTINGS), whole)


def test_what_is_doubled_changes_nothing(twin: Twin, record: Record, whole: Assimilated) -> None:
    same(assimilate(twin, whole, part(record, 300, 60 * HOURS), SETTINGS), whole)


def test_a_correction_replaces_the_reading(twin: Twin, record: Record, whole: Assimilated) -> None:
    wrong = record.glucose.copy()
    wrong.loc[wrong.index[-10], "mg_dl"] = 300.0
    held = assimilate(twin, None, replace(record, glucose=wrong), SETTINGS)
    assert not torch.equal(held.checkpoints[-1].members, whole.checkpoints[-1].members)
    same(assimilate(twin, held, part(record, 400, 60 * HOURS), SETTINGS), whole)


@pytest.mark.parametrize("kind", ["ensemble-kalman", "particle"])
def test_resuming_equals_never_having_stopped(twin: Twin, record: Record, kind: str) -> None:
    settings = SETTINGS.model_copy(update={"filter": FilterSettings(kind=kind)})
    held = assimilate(twin, None, record.before(minute(record, 400)), settings)
    resumed = from_bytes(to_bytes(held), twin)
    after = [
        assimilate(twin, one, part(record, 400, 60 * HOURS), settings) for one in (held, resumed)
    ]
    same(*after)
    assert to_bytes(after[0]) == to_bytes(after[1])


def test_months_of_days_stay_below_100_kb(whole: Assimilated) -> None:
    full, size = AssimilationSettings(), whole.checkpoints[0].members.shape[1]
    generator = torch.Generator().manual_seed(0)
    checkpoints = tuple(
        Checkpoint(
            whole.time,
            torch.randn(full.members, size, generator=generator),
            torch.randn(full.members, generator=generator),
        )
        for _ in range(4)
    )
    dates = pd.date_range("2025-01-01", periods=full.path_days).strftime("%Y-%m-%d")
    days = {date: torch.randn(3, len(DAY_COLUMNS), generator=generator).half() for date in dates}
    recent = Recent.of(history(60))
    grid = grid_of(recent.events, whole.time, whole.time)
    full_hours = Assimilated(whole.twin, recent, grid, checkpoints, days)
    assert len(to_bytes(full_hours)) < 100_000


def test_another_twins_or_persons_state_is_refused(
    twin: Twin, record: Record, whole: Assimilated
) -> None:
    other = untrained_twin()
    with pytest.raises(ModelError, match="Begin anew"):
        assimilate(other, whole, record, SETTINGS)
    for content, whose in ((to_bytes(whole), other), (b"not a state", twin)):
        with pytest.raises(ModelError, match="Begin anew"):
            from_bytes(content, whose)
    stranger = replace(record, profile=Profile(participant="somebody-else"))
    with pytest.raises(RecordError, match="is not 'made-up'"):
        assimilate(twin, whole, stranger, SETTINGS)


def test_too_little_to_begin_is_refused(twin: Twin) -> None:
    with pytest.raises(HistoryError, match="too short"):
        assimilate(twin, None, history(hours=1), SETTINGS)


def test_the_path_has_a_row_per_local_day(twin: Twin, record: Record) -> None:
    # There midnight comes within these hours.
    profile = record.profile.model_copy(update={"time_zone": "Pacific/Auckland"})
    held = assimilate(twin, None, replace(record, profile=profile), SETTINGS)
    found = path(held, FOLLOWED[0], widening=1.0)
    local = record.glucose["time"].dt.tz_convert(profile.time_zone).dt.strftime("%Y-%m-%d")
    assert found["date"].tolist() == sorted(set(local))
    assert len(found) == 2
    assert (found["low"] < found["median"]).all()
    assert (found["median"] < found["high"]).all()
    assert found["median"].between(0.4, 2.5).all()  # of what is usual
    wide = path(held, FOLLOWED[0], widening=2.0)
    assert wide["median"].equals(found["median"])
    for end in ("low", "high"):  # in logarithms
        assert wide[end].to_numpy() == pytest.approx(found[end] ** 2 / found["median"])
