"""The scenario bench: in a browser, by its address, and as true as the service's own answers."""

import base64
import os
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.wait import WebDriverWait

from tests.serving.accessible import broken_rules
from tests.serving.chromium import resize
from tests.serving.v1.conftest import sqlite_site, ward  # noqa: F401
from tests.serving.v1.site import known_day

CONTRAST = Path(__file__).parents[1] / "contrast.js"


@pytest.fixture(scope="module")
def patient(sqlite_site):  # noqa: F811
    """A patient of whom enough is known, and themself."""
    path, owner = sqlite_site.patient(
        name="Bea Bench", clinic="north", profile={"time_zone": "Europe/Berlin", "weight_kg": 70}
    )
    for purpose in ("care", "sharing"):
        owner.put(f"{path}/consents/{purpose}", version="1")
    owner.post(f"{path}/observations", **known_day())
    return path.rsplit("/", 1)[1], owner


@pytest.fixture
def service(sqlite_site, browser):  # noqa: F811
    """The service's address, to somebody who is signed in nowhere."""
    browser.execute_cdp_cmd("Network.clearBrowserCookies", {})
    browser.get_log("browser")
    resize(browser, 1280)
    return f"http://localhost:{sqlite_site.client.base_url.port}"


def _press(browser, selector):
    before = browser.find_element(By.TAG_NAME, "html")
    browser.find_element(By.CSS_SELECTOR, selector).click()
    WebDriverWait(browser, 30).until(staleness_of(before))


def _keep(browser, name):
    """A picture for people to look at, where they ask for one."""
    if folder := os.environ.get("SCREENSHOTS"):
        whole = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
        Path(folder, f"{name}.png").write_bytes(base64.b64decode(whole["data"]))


def _good_to_read(browser, width):
    assert broken_rules(browser) == []
    found = browser.execute_script(CONTRAST.read_text())
    assert [entry for entry in found if entry["ratio"] < 4.5] == []
    wide = browser.execute_script("return document.documentElement.scrollWidth")
    assert wide <= width


def test_a_clinician_compares(browser, service, patient):
    browser.get(
        f"{service}/patients/{patient[0]}/scenarios?usual_meal1_g=45&if_meal1_g=45&if_bolus1_u=4"
    )
    _press(browser, "button[value=dr-lee]")
    assert browser.find_element(By.TAG_NAME, "h1").text == "What if, Bea Bench"
    for width in (390, 1280):
        resize(browser, width)
        _keep(browser, f"bench-{width}")
        _good_to_read(browser, width)
