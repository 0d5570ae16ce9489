"""`hybridtwin demo` as people start it: a clinic that goes on while one looks, and after a kill."""

import base64
import os
import signal
import subprocess
from contextlib import closing, contextmanager
from datetime import datetime

import numpy as np
import psutil
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from hybridtwin.virtual.clinic import RECIPE_FILE, Recipe, as_recorded, settle_clinic
from hybridtwin.virtual.life import at_first, go_on
from serving.demo.app import keep_lived, lived
from serving.demo.opening import database_url, opened
from serving.store import issued, observations
from serving.store.database import open_database
from serving.store.vault import Vault
from tests.serving.accessible import broken_rules
from tests.serving.chromium import resize
from tests.serving.server import ENVIRONMENT, HYBRIDTWIN, free_port, wait_until_ready

RECIPE = Recipe(end=datetime.fromisoformat("2026-05-04T21:30+02:00"), count=2, days=2)
SPEED = 120
PATIENCE_S = 120
AGAIN = 6
"""So many steps are sent twice."""
SHOWN = """
const text = (what) => [...document.querySelectorAll(what)].map((one) => one.textContent.trim());
return {time: text(".scope span")[0], readings: text(".now-cell .value"),
        chances: text(".chance .value"), same: window.same ?? false};
"""


@pytest.fixture
def home(tmp_path):
    (tmp_path / RECIPE_FILE).write_text(RECIPE.model_dump_json())
    return tmp_path


@contextmanager
def _demo(home, port):
    """The demonstration, from its start; it has to be over when this ends, with all it started."""
    log = home / "demo.log"
    command = [HYBRIDTWIN, "demo", str(home), "--port", str(port), "--speed", str(SPEED)]
    with log.open("wb") as out:
        started = subprocess.Popen(command, stdout=out, stderr=out, env=os.environ | ENVIRONMENT)
    with started:
        try:
            wait_until_ready(started, log)
            everyone = [psutil.Process(started.pid), *psutil.Process(started.pid).children(True)]
            yield everyone
        finally:
            started.send_signal(signal.SIGINT)
            started.wait(60)
    assert "Traceback" not in log.read_text()
    _, left = psutil.wait_procs(everyone, timeout=20)
    assert not left


def _shown(browser, which):
    """What the panel shows, once it shows what is looked for."""
    return WebDriverWait(browser, PATIENCE_S, 0.5).until(
        lambda _: which(found := browser.execute_script(SHOWN)) and found
    )


def test_a_clinic_lives_on_while_one_looks_and_nothing_is_doubled_after_a_kill(home, browser):
    port = free_port()
    with _demo(home, port) as everyone:
        resize(browser, 1280)
        browser.get(f"http://localhost:{port}/")
        browser.find_element(By.TAG_NAME, "button").click()  # at the issuer
        begin = _shown(browser, lambda found: len(found["chances"]) == 2)  # all are reviewed
        browser.execute_script("window.same = true")
        then = _shown(browser, lambda now: now["readings"] != begin["readings"])
        assert then["same"]  # nobody loaded the page anew
        assert then["time"] != begin["time"]
        assert broken_rules(browser) == []
        WebDriverWait(browser, PATIENCE_S).until(lambda _: lived(home) > RECIPE.recorded + AGAIN)
        for process in reversed(everyone):
            process.kill()
        psutil.wait_procs(everyone)

    killed = lived(home)
    keep_lived(home, killed - AGAIN)  # as if it had been killed before it kept that it had sent
    with _demo(home, port):
        browser.get(f"http://localhost:{port}/")  # the session outlived the kill
        begin = _shown(browser, lambda found: found["readings"])
        _shown(browser, lambda now: now["readings"] != begin["readings"])
        WebDriverWait(browser, PATIENCE_S).until(lambda _: lived(home) > killed + AGAIN)
    _is_what_was_lived(home, lived(home))


def _is_what_was_lived(home, count):
    """Whether the store holds what its people lived in so many steps, and all of it once."""
    lives = settle_clinic(RECIPE)
    _, diary, _ = go_on(lives, at_first(lives), count)
    diary, end = as_recorded(diary), lives.grid[count].to_pydatetime()
    known = opened(home)
    vault = Vault(base64.b64decode(known.master_key))
    with closing(open_database(database_url(home))) as database, database.reading() as session:
        for person, patient in enumerate(known.patients):
            kept = [
                row for row in observations.kept(session, vault, patient) if row.event.time < end
            ]
            shown = ~np.isnan(diary.reading_mg_dl[:, person])
            readings = [row.event for row in kept if row.kind == "glucose"]
            assert [one.time for one in readings] == list(lives.grid[:count][shown])
            assert [one.mg_dl for one in readings] == list(diary.reading_mg_dl[shown, person])
            given = sum(row.event.dose_u for row in kept if row.kind == "insulin")
            basal = diary.basal_u_h[:, person].sum() / 12
            assert given == pytest.approx(basal + diary.bolus_u[:, person].sum(), rel=1e-9)
            eaten = sum(row.event.carbs_g for row in kept if row.kind == "meals")
            assert eaten == diary.carbs_g[:, person].sum()
            assert all(
                row.replaced is None
                for row in observations.kept(session, vault, patient, every_version=True)
            )
            beliefs = issued.find(session, vault, patient, "belief", limit=100)
            assert len({one.time for one in beliefs}) > 1
