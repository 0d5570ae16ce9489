"""A panel's work is the same in one process, in several, and over Ray's."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pandas as pd
import psutil
import pytest

from hybridtwin import panel
from hybridtwin.errors import ModelError
from hybridtwin.output_statistics import CHANGE
from hybridtwin.panel import for_each
from hybridtwin.physiology.parameters import PARAMETERS
from hybridtwin.record import Record
from hybridtwin.registry import load_twin
from hybridtwin.review.review import review_night
from hybridtwin.twin import Twin
from hybridtwin.virtual.clinic import clinic

EVENING = pd.Timestamp("2026-01-31 21:30", tz="Europe/Berlin")
SAME = 1e-5
PROCESSES = 2


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """Two processes of Ray, or none of these tests."""
    found = pytest.importorskip("ray", reason="the extra hybridtwin[ray] is not installed")
    yield found
    found.shutdown()


@pytest.fixture
def two_processes(ray: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(panel.VARIABLE, str(PROCESSES))


def answer(twin: Twin, record: Record) -> list[float]:
    """All numbers of a belief, a forecast and a night, one behind the other."""
    belief = twin.believe(record, EVENING)
    report = twin.forecast(belief, horizon_min=480).report()
    events = review_night(twin, record, EVENING).risk.events
    assert events is not None
    values = belief.present.people.values()
    held = [getattr(values, parameter.name) for parameter in PARAMETERS]
    # less what the last reading and the others imply: a small difference of large values
    read = belief.predictors[:, : CHANGE.start]
    held += [belief.usual_basal_u_min, read.nan_to_num()]
    numbers = [float(one) for tensor in held for one in tensor.flatten()]
    numbers += [*report.expected, *(value for row in report.quantiles for value in row)]
    return [*numbers, *events.model_dump().values()]


def where(_: int) -> int:
    time.sleep(0.3)
    return os.getpid()


def test_everyone_in_order_a_few_ahead():
    taken = []

    def people():
        for person in range(5):
            taken.append(person)
            yield person

    found = for_each(partial(pow, 2), people())
    assert next(found) == (0, 1)
    assert taken == [0]
    assert [*found] == [(1, 2), (2, 4), (3, 8), (4, 16)]


def test_two_processes_of_ray_share_the_work(two_processes):
    places = [place for _, place in for_each(where, range(8))]
    assert len(set(places)) == PROCESSES
    assert os.getpid() not in places


def test_two_processes_share_the_work_in_order():
    found = list(for_each(where, range(8), PROCESSES))
    assert [person for person, _ in found] == [*range(8)]
    places = {place for _, place in found}
    assert len(places) == PROCESSES
    assert os.getpid() not in places


def test_a_process_that_is_killed_leaves_none_behind(tmp_path):
    """Nor is any left that waits for work that nobody gives."""
    program = f"""
if __name__ == "__main__":
    from hybridtwin.panel import for_each
    from tests.hybridtwin.test_panel import where
    for _, place in for_each(where, range(1000), {PROCESSES}):
        print(place, flush=True)
"""
    script = tmp_path / "panel.py"
    script.write_text(program)
    command = [sys.executable, str(script)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as run:
        places = {int(run.stdout.readline()) for _ in range(2 * PROCESSES)}
        assert len(places) == PROCESSES
        run.kill()
    for place in places:
        ended = psutil.Process(place) if psutil.pid_exists(place) else None
        assert ended is None or ended.wait(timeout=30) is None


def alone_and_spread(monkeypatch: pytest.MonkeyPatch, processes: int) -> Any:
    records = [person.record for person in clinic(EVENING, count=3, days=3)]
    work = partial(answer, load_twin())
    spread = [numbers for _, numbers in for_each(work, records, processes)]
    monkeypatch.delenv(panel.VARIABLE, raising=False)
    return [numbers for _, numbers in for_each(work, records)], spread


def test_two_processes_of_ray_answer_as_one_does(two_processes, monkeypatch):
    assert_same(*alone_and_spread(monkeypatch, 1))


def test_two_processes_answer_as_one_does(monkeypatch):
    assert_same(*alone_and_spread(monkeypatch, PROCESSES))


def assert_same(alone: list[list[float]], spread: list[list[float]]) -> None:
    assert [len(one) for one in spread] == [len(one) for one in alone]
    for ours, theirs in zip(spread, alone, strict=True):
        assert len(ours) > 1000
        assert ours == pytest.approx(theirs, rel=SAME, abs=SAME)


def test_ray_has_to_be_there_if_it_is_asked_for(monkeypatch):
    monkeypatch.setenv(panel.VARIABLE, "2")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ModelError, match="Ray is not installed"):
        next(for_each(where, [1]))
