"""The scenario bench: in a browser, by its address, and as the service's own answers say."""

import base64
import os
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests.serving.accessible import broken_rules
from tests.serving.chromium import resize, until_gone
from tests.serving.v1.site import batch, known_day

CONTRAST = Path(__file__).parents[1] / "contrast.js"
ZONE = "Europe/Berlin"
_PAGE = re.compile(rb"/Type\s*/Page\b(?!s)")


def _patient(site, name="Bea Bench", **readings):
    path, owner = site.patient(
        name=name, clinic="north", profile={"time_zone": ZONE, "weight_kg": 70}
    )
    for purpose in ("care", "sharing"):
        owner.put(f"{path}/consents/{purpose}", version="1")
    if readings:
        owner.post(f"{path}/observations", **readings)
    return path.rsplit("/", 1)[1], owner


@pytest.fixture(scope="module")
def patient(sqlite_site):
    """A patient of whom enough is known, and themself."""
    return _patient(sqlite_site, **known_day())


@pytest.fixture
def service(sqlite_site, browser):
    """The service's address, to somebody who is signed in nowhere."""
    browser.execute_cdp_cmd("Network.clearBrowserCookies", {})
    browser.get_log("browser")
    resize(browser, 1280)
    return f"http://localhost:{sqlite_site.client.base_url.port}"


def _press(browser, selector):
    before = browser.find_element(By.TAG_NAME, "html")
    browser.find_element(By.CSS_SELECTOR, selector).click()
    until_gone(browser, before)


def _keep(browser, name):
    """A picture for people to look at, where they ask for one."""
    if folder := os.environ.get("SCREENSHOTS"):
        whole = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
        Path(folder, f"{name}.png").write_bytes(base64.b64decode(whole["data"]))


def _good_to_read(browser, name):
    for width in (390, 1280):
        resize(browser, width)
        _keep(browser, f"{name}-{width}")
        assert broken_rules(browser) == []
        found = browser.execute_script(CONTRAST.read_text())
        assert [entry for entry in found if entry["ratio"] < 4.5] == []
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def _text(browser, selector):
    """Read at once: the page may change what stands there at any moment."""
    return browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map(one => one.textContent.trim())",
        selector,
    )


def _change(browser, field, value):
    """Type a number; what stands in the answer once it is there."""
    said = browser.find_element(By.ID, "said")
    browser.execute_script("arguments[0].textContent = ''", said)
    found = browser.find_element(By.ID, field)
    found.clear()
    found.send_keys(value)
    WebDriverWait(browser, 30).until(lambda _: said.text and not _is_busy(browser))
    assert browser.switch_to.active_element == found
    return _text(browser, "#answer .compared:first-of-type td:last-child")


_TWICE = """
    const [name, first, second, done] = arguments;
    const field = document.getElementById(name);
    const type = value => {
      field.value = value;
      field.dispatchEvent(new Event("input", {bubbles: true}));
    };
    type(first);
    setTimeout(() => { type(second); done(); }, 450);
"""
"""Something else is typed while the first is being computed."""


def _is_busy(browser):
    return browser.find_elements(By.CSS_SELECTOR, "#bench[aria-busy]")


def test_what_would_help_is_looked_for_on_what_is_known_now(browser, service, patient):
    browser.get(f"{service}/patients/{patient[0]}/help")
    _press(browser, "button[value=dr-lee]")
    assert _text(browser, "h1") == ["Bea Bench"]
    _good_to_read(browser, "help")
    said = _text(browser, "main")[0]
    assert ("Trust" in said) is not ("The data allow no forecast tonight." in said)  # by day


def test_a_clinician_compares_keeps_prints_and_deletes(browser, service, patient):
    bench = f"{service}/patients/{patient[0]}/scenarios"
    browser.get(f"{bench}?usual_meal1_g=45&if_bolus1_u=4")
    _press(browser, "button[value=dr-lee]")
    assert _text(browser, "h1") == ["What if, Bea Bench"]
    assert "bolus of 4 U" in _text(browser, ".both-plans .of-if")[0]
    assert "45 g carbohydrate" in _text(browser, ".both-plans .of-if")[0], "it is as usual"
    _good_to_read(browser, "bench")
    browser.execute_script("document.body.dataset.same = 'page'")

    less = _change(browser, "if_bolus1_u", "6")
    assert less != _change(browser, "if_bolus1_u", "2")
    assert _text(browser, "#said") == ["Both futures are computed anew."]
    assert browser.execute_script("return document.body.dataset.same") == "page"
    assert "if_bolus1_u=2" in browser.current_url
    assert "bolus of 2 U" in _text(browser, ".both-plans .of-if")[0]
    browser.execute_async_script(_TWICE, "if_bolus1_u", "3", "5")
    WebDriverWait(browser, 30).until(
        lambda _: "bolus of 5 U" in _text(browser, ".both-plans .of-if")[0]
    )
    assert "if_bolus1_u=5" in browser.current_url
    _change(browser, "if_bolus1_u", "900")
    assert _text(browser, "#if_bolus1_u-fault") == ["From 0 to 80."]
    assert _text(browser, ".scene") == []
    assert browser.find_element(By.ID, "if_bolus1_u").get_attribute("aria-invalid") == "true"
    _good_to_read(browser, "fault")
    _change(browser, "if_bolus1_u", "2")
    assert _text(browser, "#if_bolus1_u-fault") == [""]

    browser.find_element(By.ID, "keep-name").send_keys("Half <b>the</b> dose")
    _press(browser, ".keep button")
    assert _text(browser, "h1") == ["Half <b>the</b> dose"]
    kept, as_kept = browser.current_url, _text(browser, ".compared td")
    browser.refresh()
    assert _text(browser, ".compared td") == as_kept
    _good_to_read(browser, "kept")
    for page in (kept, f"{bench}?usual_meal1_g=45&if_bolus1_u=4"):
        browser.get(page)
        paper = {"preferCSSPageSize": True}
        printed = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", paper)["data"])
        assert len(_PAGE.findall(printed)) == 1
    browser.get(f"{bench}/kept")
    _good_to_read(browser, "kept-list")
    _press(browser, ".kept a")
    assert browser.current_url == kept
    _press(browser, ".do a")
    assert browser.find_element(By.ID, "if_bolus1_u").get_attribute("value") == "2"
    browser.get(kept)
    _press(browser, ".do button")
    assert _text(browser, ".nobody") == ["Nothing is kept yet."]
    assert [said for said in browser.get_log("browser") if service in said["message"]] == []


def test_the_form_does_without_script(browser, service, patient):
    browser.get(f"{service}/patients/{patient[0]}/scenarios")
    _press(browser, "button[value=dr-lee]")
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    browser.refresh()
    browser.find_element(By.ID, "if_meal1_g").send_keys("30")
    browser.find_element(By.ID, "if_exercise_min").send_keys("9999")
    _press(browser, ".whole button")
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert browser.find_element(By.ID, "if_meal1_g").get_attribute("value") == "30"
    assert browser.find_element(By.ID, "if_exercise_min").get_attribute("value") == "9999"
    assert _text(browser, "#if_exercise_min-fault") == ["From 0 to 300."]


def test_in_german_and_mmol(browser, service, patient):
    browser.get(f"{service}/patients/{patient[0]}/scenarios?if_meal1_g=40&if_basal_percent=50")
    _press(browser, "button[value=dr-lee]")
    browser.add_cookie({"name": "hybridtwin-reading", "value": "de.1.1"})
    browser.refresh()
    assert "Was wäre, wenn" in _text(browser, "h1")[0]
    assert "mmol/L" in _text(browser, "figcaption")[0]
    assert "50 % der gewohnten Rate" in _text(browser, ".both-plans .of-if")[0]
    _good_to_read(browser, "german")


def _bench(person, patient, **typed):
    answer = person.ask("GET", f"/patients/{patient}/scenarios", params=typed)
    assert answer.status_code == 200, answer.text
    return answer.text


def _rows(page):
    """Of the table of numbers: the difference's middle, low and high, by local time."""
    (table,) = re.findall(r'id="numbers-title".*?</table>', page, re.S)
    found = {}
    for row in re.findall(r"<tr>.*?</tr>", table, re.S)[1:]:
        time, *_, last = (
            unescape(re.sub("<[^>]+>", " ", cell))
            for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.S)
        )
        numbers = re.findall(r"-?\d+", last.replace("\N{MINUS SIGN}", "-"))
        found[time.strip()] = [int(number) for number in numbers]
    return found


def _differences(answer):
    """Of the service's answer, as `_rows` has them."""
    (difference,) = answer["differences"]
    return {
        f"{datetime.fromisoformat(time):%H:%M}": [
            difference["quantiles"][difference["levels"].index(level)][index]
            for level in (0.5, 0.05, 0.95)
        ]
        for index, time in enumerate(answer["forecasts"][0]["times"])
    }


def test_the_bench_says_what_the_service_answers(sqlite_site, patient):
    known_by, owner = patient
    doctor = sqlite_site.clinician()
    soon = datetime.now(ZoneInfo(ZONE)) + timedelta(minutes=40)
    soon = soon.replace(minute=soon.minute // 15 * 15, second=0, microsecond=0)
    clock = f"{soon:%H:%M}"
    meals = [{"time": soon.isoformat(), "carbs_g": 60}]
    dose = {"time": soon.isoformat(), "dose_u": 5}
    plans = [{"name": "a", "meals": meals}, {"name": "b", "meals": meals, "insulin": [dose]}]
    asked = {"units": {"glucose": "mg/dL"}, "plans": plans, "horizon_min": 360}
    where = f"/v1/patients/{known_by}/scenario"
    before = _differences(owner.post(where, **asked))
    typed = {"usual_meal1_g": 60, "usual_meal1_at": clock, "if_bolus1_u": 5, "if_bolus1_at": clock}
    rows = _rows(_bench(doctor, known_by, **typed))
    after = _differences(owner.post(where, **asked))  # the twin may have learnt meanwhile
    assert len(rows) >= 11
    assert any(
        all(found == pytest.approx(expected[time], abs=1) for time, found in rows.items())
        for expected in (before, after)
    )
    assert min(low for _, low, _ in rows.values()) < -20


def test_nothing_is_drawn_where_the_data_do_not_allow_it(sqlite_site):
    doctor = sqlite_site.clinician()
    whole = known_day()
    cut = {**whole, "glucose": whole["glucose"][:-5]}
    for readings, said in (
        ({}, "too few readings"),
        (batch(24), "Insulin of the last hours is not known"),
        (cut, "too old"),
        ({**whole, "glucose": whole["glucose"][:-20]}, "too old"),
    ):
        known_by, _ = _patient(sqlite_site, **readings)
        page = _bench(doctor, known_by, if_meal1_g=20)
        assert said in page
        assert 'class="scene' not in page
        where = f"/patients/{known_by}/scenarios"
        kept = doctor.ask("POST", f"{where}/kept", data={"query": "if_meal1_g=20", "name": "x"})
        assert (kept.status_code, kept.headers["location"]) == (303, f"{where}?if_meal1_g=20")
        assert "Nothing is kept yet." in doctor.ask("GET", f"{where}/kept").text


def test_a_kept_comparison_is_the_patient_s(sqlite_site):
    known_by, owner = _patient(sqlite_site, **known_day())
    doctor, where = sqlite_site.clinician(), f"/patients/{known_by}/scenarios"
    said = {"query": "if_meal1_g=20", "name": "A snack"}
    kept = doctor.ask("POST", f"{where}/kept", data=said).headers["location"]
    carer = sqlite_site.person("carer", "caregiver")
    assert carer.ask("GET", kept).status_code == 404
    until = datetime.now(UTC) + timedelta(hours=1)
    times = {"from": datetime.now(UTC).isoformat(), "until": until.isoformat()}
    owner.post(f"/v1/patients/{known_by}/shares", subject=carer.subject, scopes=["read"], **times)
    shown = carer.ask("GET", kept)
    assert "A snack" in shown.text
    to_page = f'patients/{known_by}">'
    assert to_page not in shown.text
    assert to_page in doctor.ask("GET", kept).text
    assert to_page in doctor.ask("GET", where).text
    assert "/drop" not in shown.text
    assert carer.ask("GET", where).status_code == 403, "reading is not asking"
    other, _ = _patient(sqlite_site)
    assert doctor.ask("GET", kept.replace(known_by, other)).status_code == 404
    assert doctor.ask("POST", f"{kept.replace(known_by, other)}/drop").status_code == 404

    exported = owner.get(f"/v1/patients/{known_by}/export")
    (document,) = [one for one in exported["issued"] if one["kind"] == "comparison"]
    assert b"A snack" in base64.urlsafe_b64decode(document["content"])
    actions = [entry["action"] for entry in exported["audit"]]
    assert {"comparison.keep", "comparison.read"} <= set(actions)
    owner.delete(f"/v1/patients/{known_by}")
    assert doctor.ask("GET", kept).status_code == 404
    assert "if_meal1_g" not in sqlite_site.log.read_text()
