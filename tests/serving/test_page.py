import re
from pathlib import Path

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

from tests.serving.chromium import resize, until_gone


@pytest.fixture
def page(browser, url, tonight):
    resize(browser, 1280)
    browser.get(f"{url}/")
    return browser


def _listed(page, group):
    return [name.text for name in page.find_elements(By.CSS_SELECTOR, f"#{group} h3")]


def _expected_group(risk):
    if risk["status"] == "refused":
        return "refused"
    if risk["events"]["below_70"] >= 0.5:
        return "low"
    if risk["events"]["below_70"] >= 0.2 or risk["trust"]["level"] == "low":
        return "watch"
    return "quiet"


def test_everybody_is_listed_where_they_belong(page, tonight, stale):
    assert len(tonight["patients"]) == 4
    for group in ("refused", "low", "watch", "quiet"):
        expected = [
            risk["participant"] for risk in tonight["patients"] if _expected_group(risk) == group
        ]
        assert _listed(page, group) == expected
        count = page.find_element(By.CSS_SELECTOR, f".summary .{group} .count").text
        assert int(count) == len(expected)
    assert _listed(page, "refused") == [stale]
    assert "2 h 55 min before" in page.find_element(By.CSS_SELECTOR, "#refused .refusal").text


def test_nothing_is_blocked_or_missing(page):
    for hidden in page.find_elements(By.CSS_SELECTOR, "details:not([open])"):
        page.execute_script("arguments[0].open = true", hidden)
    images = page.find_elements(By.CSS_SELECTOR, "figure img")
    assert len(images) == 3
    for image in images:
        page.execute_script("arguments[0].scrollIntoView()", image)
        WebDriverWait(page, 20).until(lambda _, i=image: i.get_property("naturalWidth") > 0)
        assert "glucose is expected at" in image.get_attribute("alt")
    assert page.get_log("browser") == []


def test_the_keyboard_opens_the_details(page):
    details = page.find_element(By.CSS_SELECTOR, "#refused details")
    reason = details.find_element(By.CSS_SELECTOR, ".reason")
    assert not reason.is_displayed()
    summary = details.find_element(By.TAG_NAME, "summary")
    for _ in range(20):
        page.switch_to.active_element.send_keys(Keys.TAB)
        if page.switch_to.active_element == summary:
            break
    page.switch_to.active_element.send_keys(Keys.ENTER)
    assert reason.is_displayed()
    assert "minutes old" in reason.text


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_runs_off_the_side(page, width):
    resize(page, width)
    page.refresh()
    page.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    wide = page.execute_script("return document.documentElement.scrollWidth")
    assert wide <= width


def _choose(page, **choices):
    page.find_element(By.CSS_SELECTOR, ".reading summary").click()
    for name, value in choices.items():
        Select(page.find_element(By.NAME, name)).select_by_visible_text(value)
    before = page.find_element(By.TAG_NAME, "html")
    page.find_element(By.CSS_SELECTOR, ".reading button").click()
    until_gone(page, before)


def test_unit_clock_and_language_can_be_chosen_and_stay(page, url):
    _choose(page, unit="mmol/L", clock="12 h", language="Deutsch")
    page.get(f"{url}/")
    assert page.find_element(By.TAG_NAME, "html").get_attribute("lang") == "de"
    main = page.find_element(By.TAG_NAME, "main").text
    assert "unter 3,9 mmol/L" in main
    assert "below" not in main
    assert page.find_element(By.TAG_NAME, "h1").text == "Die Liste für heute Nacht"
    assert "Stand 9:25 PM" in page.find_element(By.CSS_SELECTOR, ".scope").text
    page.delete_all_cookies()


def test_another_site_chooses_nothing(client):
    said = {"language": "de", "unit": "mmol/L", "clock": "12 h"}
    for site, status in (("cross-site", 403), ("same-origin", 303)):
        answer = client.post("/reading", data=said, headers={"Sec-Fetch-Site": site})
        assert answer.status_code == status
    client.cookies.clear()


def test_text_stands_out_from_its_ground(page):
    """WCAG AA: 4.5 to 1, for every piece of text on the page."""
    page.execute_script("document.querySelectorAll('details').forEach(d => d.open = true)")
    found = page.execute_script(Path(__file__).with_name("contrast.js").read_text())
    assert len(found) > 30
    assert [entry for entry in found if entry["ratio"] < 4.5] == []


def test_every_block_of_the_style_is_closed(client):
    # A browser closes one at the end by itself: what follows then holds for some widths only.
    depth = 0
    for bracket in re.findall("[{}]", client.get("/static/style.css").text):
        depth += 1 if bracket == "{" else -1
        assert 0 <= depth <= 2
    assert depth == 0


def test_the_page_lets_nothing_in_from_elsewhere(client, tonight):
    response = client.get("/")
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert '<html lang="en">' in response.text
    assert "://" not in response.text.replace("http://www.w3.org", "")


def test_both_units_of_the_list_tell_the_same(client, tonight):
    other = client.get("/v1/tonight", params={"unit": "mmol/L"}).json()
    for mg, mmol in zip(tonight["patients"], other["patients"], strict=True):
        if mg["nadir"]:
            low = 18.0156 * mmol["nadir"]["median"]
            assert low == pytest.approx(mg["nadir"]["median"], abs=1)
