"""One clock for what is about patients; what is about safety goes by the machine's alone."""

import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import serving
from hybridtwin.errors import ModelError
from serving import clock
from serving.access.issuers import Issuer
from serving.demo import pace
from serving.settings import Settings

ORIGIN = datetime(2026, 11, 23, 20, 30, tzinfo=UTC)
# Sessions, tokens, keys, shares, consents, the audit log and jobs; and the clock itself.
BY_THE_MACHINE = {
    "access/door.py",
    "clock.py",
    "demo/app.py",
    "demo/opening.py",
    "examples/python_client.py",
    "store/api_keys.py",
    "store/audit.py",
    "store/consents.py",
    "store/database.py",
    "store/imports.py",
    "store/jobs.py",
    "store/patients.py",
    "store/research.py",
    "store/shares.py",
    "v1/browsers.py",
    "v1/events.py",
    "v1/keys.py",
    "v1/patients.py",
    "v1/shares.py",
}


@pytest.fixture
def hasty():
    begun = datetime.now(UTC)
    clock.follow(clock.Pace(origin=ORIGIN, begun=begun, speed=3600))
    yield begun
    clock.follow(None)


def test_the_machine_s_time_is_the_service_s():
    before = datetime.now(UTC)
    assert before <= clock.now() <= datetime.now(UTC)
    assert clock.wait_s(timedelta(minutes=1)) == 60


def test_something_is_done_as_of_another_moment_and_time_goes_on_as_before(hasty):
    moment = ORIGIN - timedelta(days=3)
    with clock.standing_at(moment):
        assert clock.now() == moment
    assert clock.now() > ORIGIN


def test_a_virtual_clinic_s_hour_may_be_a_second(hasty):
    time.sleep(0.01)
    before = datetime.now(UTC)
    shown = clock.now()
    after = datetime.now(UTC)
    assert 3600 * (before - hasty) <= shown - ORIGIN <= 3600 * (after - hasty)
    assert clock.wait_s(timedelta(hours=1)) == 1


def test_only_what_is_named_goes_by_the_machine_s_time():
    home = Path(serving.__file__).parent
    asks = re.compile(r"datetime\.now\(|Timestamp\.now\(|time\.time\(|\.utcnow\(|\.today\(")
    found = {
        str(file.relative_to(home)) for file in home.rglob("*.py") if asks.search(file.read_text())
    }
    ours = {"service.py"}  # a first forecast, which nobody sees
    signed = {"demo/issuer.py"}  # tokens
    assert found == BY_THE_MACHINE | ours | signed


def _settings(**changed):
    issuer = Issuer(issuer=changed.pop("issuer", "http://127.0.0.1:3001"), audience="a")
    return Settings(**{"issuers": (issuer,), "public_url": "http://localhost:3000"} | changed)


def test_only_a_demonstration_lives_by_another_time(monkeypatch, tmp_path):
    monkeypatch.setenv("HYBRIDTWIN_DEMO_PACE", "")  # so that it is put back
    monkeypatch.delenv("HYBRIDTWIN_DEMO_PACE")
    with pytest.raises(ModelError, match="Run hybridtwin demo"):
        pace.follow(_settings())
    pace.state(tmp_path, clock.Pace(origin=ORIGIN, speed=60))
    for elsewhere in (
        {"issuer": "https://login.example"},
        {"public_url": "https://twin.example"},
        {"public_url": None},
    ):
        with pytest.raises(ModelError, match="on this machine alone"):
            pace.follow(_settings(**elsewhere))


def test_time_stands_still_until_it_begins(monkeypatch, tmp_path):
    monkeypatch.setenv("HYBRIDTWIN_DEMO_PACE", "")
    still = clock.Pace(origin=ORIGIN, speed=3600)
    pace.state(tmp_path, still)
    try:
        pace.follow(_settings())
        assert clock.now() == clock.now() == ORIGIN
        begun = datetime.now(UTC)
        pace.state(tmp_path, still.model_copy(update={"begun": begun}))
        while clock.now() == ORIGIN:
            assert datetime.now(UTC) < begun + timedelta(seconds=30)
            time.sleep(0.01)
        before = datetime.now(UTC)
        assert clock.now() - ORIGIN >= 3600 * (before - begun) > timedelta(0)
    finally:
        clock.follow(None)
