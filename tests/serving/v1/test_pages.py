"""A clinician's evening in a real browser: sign in, the panel, follow-up, sign out."""

import base64
import os
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from pypdf import PdfReader
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from tests.serving.accessible import broken_rules
from tests.serving.chromium import resize, until_gone
from tests.serving.clinic.ward import KINDS, fill, fill_page

CONTRAST = Path(__file__).parents[1] / "contrast.js"


@pytest.fixture
def service(sqlite_site, browser):
    """The service's address, to somebody who is signed in nowhere."""
    browser.execute_cdp_cmd("Network.clearBrowserCookies", {})
    browser.get_log("browser")
    resize(browser, 1280)
    return f"http://localhost:{sqlite_site.client.base_url.port}"


def _sign_in(browser, login):
    """At the issuer, where one is led."""
    _press(browser, f"button[value={login}]")


def _press(browser, selector):
    before = browser.find_element(By.TAG_NAME, "html")
    browser.find_element(By.CSS_SELECTOR, selector).click()
    until_gone(browser, before)


def _heading(browser, expected):
    read = "return document.querySelector('h1')?.textContent"
    WebDriverWait(browser, 60).until(lambda _: browser.execute_script(read) == expected, expected)


def _keep(browser, name):
    """A picture for people to look at, where they ask for one."""
    if folder := os.environ.get("SCREENSHOTS"):
        whole = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
        Path(folder, f"{name}.png").write_bytes(base64.b64decode(whole["data"]))


def _good_to_read(browser):
    assert broken_rules(browser) == []
    found = browser.execute_script(CONTRAST.read_text())
    assert [entry for entry in found if entry["ratio"] < 4.5] == []
    wide = browser.execute_script("return document.documentElement.scrollWidth")
    assert wide <= browser.execute_script("return window.innerWidth")


def test_the_evening_of_a_clinician(browser, service, sqlite_site):
    browser.get(f"{service}/?from=afar")
    assert browser.current_url.startswith(sqlite_site.issuer.url)
    _sign_in(browser, "dr-lee")
    assert browser.current_url == f"{service}/?from=afar"
    _heading(browser, "Who needs attention")
    assert "Signed in as Dr Mia Lee" in browser.find_element(By.CSS_SELECTOR, ".guest").text
    for width in (390, 1280):
        resize(browser, width)
        _good_to_read(browser)
        _keep(browser, f"list-{width}")
    assert browser.execute_script("return document.cookie") == "", "scripts can read a cookie"

    _press(browser, ".guest button")
    _heading(browser, "You are signed out")
    WebDriverWait(browser, 20).until(lambda _: browser.current_url == f"{service}/signed-out")
    assert "close the browser" in browser.find_element(By.TAG_NAME, "main").text
    _good_to_read(browser)
    _keep(browser, "signed-out")
    browser.back()
    browser.get(f"{service}/")
    assert browser.current_url.startswith(sqlite_site.issuer.url), "not signed out at the issuer"
    assert [said for said in browser.get_log("browser") if service in said["message"]] == []


def _in_group(browser, group):
    return [name.text for name in browser.find_elements(By.CSS_SELECTOR, f"#{group} tbody th")]


def test_ten_minutes_with_the_panel(browser, service, sqlite_site):
    """Forty patients: who needs attention, what is done about them, and what becomes of it."""
    kinds = ["well"] * 32 + list(KINDS[1:])
    fill(sqlite_site.database, sqlite_site.master_key, "north", kinds)
    browser.get(f"{service}/")
    _sign_in(browser, "dr-lee")
    _heading(browser, "Who needs attention")
    assert len(_in_group(browser, "very_low")) == 1
    for group, least in (("low", 1), ("missing", 3), ("watch", 1), ("lows", 1), ("rising", 1)):
        assert len(_in_group(browser, group)) >= least, group
    for width in (390, 1280):
        resize(browser, width)
        _good_to_read(browser)
        _keep(browser, f"panel-{width}")

    name = _in_group(browser, "low")[0]
    row = "#low tbody tr:first-child"
    _press(browser, f"{row} button")
    _heading(browser, "Who needs attention")
    assert "Seen by Dr Mia Lee" in browser.find_element(By.CSS_SELECTOR, row).text
    _press(browser, f"{row} th a")
    _heading(browser, name)
    _press(browser, "a[href$=follow-up]")
    _heading(browser, name)
    browser.find_element(By.ID, "comment").send_keys("Called: eats 15 g <b>now</b>")
    _press(browser, "form[action$=comment] button")
    browser.find_element(By.ID, "tag").send_keys("ward 3")
    _press(browser, "form[action$=tag] button")
    _press(browser, "form[action$=snooze] button")
    done = browser.find_element(By.CSS_SELECTOR, ".steps").text
    assert "Called: eats 15 g <b>now</b>" in done
    for width in (390, 1280):
        resize(browser, width)
        _good_to_read(browser)
        _keep(browser, f"follow-up-{width}")
    browser.get(f"{service}/?tag=ward+3")
    assert _in_group(browser, "snoozed") == [name + "\nward 3"]
    assert _in_group(browser, "low") == []

    browser.get(f"{service}/?order=name")
    names = _in_group(browser, "well")
    assert names == sorted(names)
    header = browser.find_element(By.CSS_SELECTOR, "#well [aria-sort]")
    assert header.get_attribute("aria-sort") == "ascending"
    field = browser.find_element(By.CSS_SELECTOR, ".filter [name=name]")
    field.send_keys(names[0])
    shown = [
        row for row in browser.find_elements(By.CSS_SELECTOR, "tbody tr") if row.is_displayed()
    ]
    assert len(shown) == 1

    browser.get(f"{service}/nights")
    _heading(browser, "Was the twin right?")
    for width in (390, 1280):
        resize(browser, width)
        _good_to_read(browser)
        _keep(browser, f"nights-{width}")
    assert [said for said in browser.get_log("browser") if service in said["message"]] == []


def _asked(browser, link):
    """What a link downloads, asked for with the browser's own cookies."""
    cookies = {one["name"]: one["value"] for one in browser.get_cookies()}
    answer = httpx.get(link.get_attribute("href"), cookies=cookies, timeout=60)
    assert answer.status_code == 200, answer.text
    assert "attachment" in answer.headers["content-disposition"]
    return answer.content


def test_a_patient_s_page(browser, service, sqlite_site):
    """From the panel to one patient: the night, why, and the weeks before."""
    fill_page(sqlite_site.database, sqlite_site.master_key, "north", "Zoë Page")
    browser.get(f"{service}/?name=zo")
    _sign_in(browser, "dr-lee")
    _heading(browser, "Who needs attention")
    _press(browser, "#low tbody th a")
    _heading(browser, "Zoë Page")
    said = browser.find_element(By.TAG_NAME, "main").text
    assert "Exercise −31 +38" in said
    assert "A snack of 15 g of carbohydrate" in said
    assert "Lows between 00:00 and 03:00" in browser.find_element(By.CSS_SELECTOR, ".patterns").text
    for width in (390, 1280):
        resize(browser, width)
        for details in browser.find_elements(By.CSS_SELECTOR, "main details:not([open]) summary"):
            details.click()
        _good_to_read(browser)
        _keep(browser, f"patient-{width}")
    browser.execute_script("window.scrollTo(0, 0)")
    mark = browser.find_element(By.CSS_SELECTOR, "form[action$=acknowledge] button")
    mark.send_keys(Keys.ENTER)  # by the keyboard alone
    until_gone(browser, mark)
    _heading(browser, "Zoë Page")
    assert "Seen by Dr Mia Lee" in browser.find_element(By.TAG_NAME, "main").text
    paper = _asked(browser, browser.find_element(By.CSS_SELECTOR, "a[href$=pdf]"))
    (sheet,) = PdfReader(BytesIO(paper)).pages
    assert "Zoë Page" in sheet.extract_text()
    _press(browser, "nav a")
    _heading(browser, "Who needs attention")
    table = _asked(browser, browser.find_element(By.CSS_SELECTOR, "a[href*='panel.csv']"))
    assert "Zoë Page,north,Low now or tonight" in table.decode("utf-8-sig")
    assert [said for said in browser.get_log("browser") if service in said["message"]] == []


def test_who_is_no_clinician_is_told_so_and_can_leave(browser, service):
    browser.get(f"{service}/")
    _sign_in(browser, "ada")
    _heading(browser, "Not with your role")
    assert "Signed in as Ada Eng" in browser.find_element(By.CSS_SELECTOR, ".guest").text
    _good_to_read(browser)
    _keep(browser, "not-with-your-role")
    browser.get(f"{service}/v1/jobs/00000000-0000-4000-8000-000000000000")
    _heading(browser, "Nothing here")
    _press(browser, ".guest button")
    _heading(browser, "You are signed out")


def test_who_has_no_role_is_told_so(browser, service):
    browser.get(f"{service}/")
    _sign_in(browser, "visitor")
    _heading(browser, "You are not signed in")
    _good_to_read(browser)
    _keep(browser, "no-role")


def test_a_page_s_script_asks_and_another_site_s_cannot(browser, service, sqlite_site):
    browser.get(f"{service}/")
    _sign_in(browser, "dr-lee")
    _heading(browser, "Who needs attention")
    # The pages' own policy lets no script ask.
    browser.execute_cdp_cmd("Page.setBypassCSP", {"enabled": True})
    browser.refresh()
    ask = """
        const [address, method, done] = arguments;
        const body = method === "POST" ? JSON.stringify({clinic: "north"}) : undefined;
        const headers = {"Content-Type": "application/json"};
        fetch(address, {method, body, headers, credentials: "include"})
          .then(answer => done(answer.status), () => done("blocked"));
    """
    for method, expected in (("GET", 200), ("POST", 201)):
        found = browser.execute_async_script(ask, f"{service}/v1/patients", method)
        assert found == expected
    browser.get(f"{sqlite_site.issuer.url}/authorize-nothing")
    for method in ("GET", "POST"):
        found = browser.execute_async_script(ask, f"{service}/v1/patients", method)
        assert found == "blocked"
    browser.execute_script(f"""
        document.body.innerHTML = '<form method="post" action="{service}/sign-out"><button>';
        document.querySelector("button").click();
    """)
    WebDriverWait(browser, 20).until(lambda _: browser.current_url.startswith(service))
    assert "not-allowed" in browser.page_source
    browser.get(f"{service}/")
    _heading(browser, "Who needs attention")
    browser.execute_cdp_cmd("Page.setBypassCSP", {"enabled": False})
