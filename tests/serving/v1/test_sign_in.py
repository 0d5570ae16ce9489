"""Signing in by a browser, against a real issuer, as a browser does it step by step."""

import re
import sqlite3
import time
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import httpx
import pytest
from sqlalchemy import make_url
from typer.testing import CliRunner

from serving.store.cli import commands
from tests.serving.access.issuer import RealIssuer
from tests.serving.access.provider import CLIENT_SECRET

PAGE = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Sec-Fetch-Mode": "navigate"}
HERE = {"Sec-Fetch-Site": "same-origin"}
COOKIE = "hybridtwin"


@pytest.fixture
def browser(sqlite_site):
    """One that follows no redirect by itself, and forgets all cookies in the end."""
    port = sqlite_site.client.base_url.port
    with httpx.Client(base_url=f"http://localhost:{port}", headers=PAGE, timeout=60) as found:
        yield found
    sqlite_site.issuer.twist = {}
    sqlite_site.issuer.signed_by = sqlite_site.issuer


def _to_issuer(browser, path="/"):
    """The issuer's page to which somebody who opens a page is led."""
    asked = browser.get(path)
    assert asked.status_code == 303, asked.text
    assert asked.headers["location"].startswith(f"{_origin(browser)}/sign-in?next=")
    led = browser.get(asked.headers["location"])
    assert led.status_code == 303, led.text
    return led.headers["location"]


def _origin(browser):
    return str(browser.base_url).rstrip("/")


def _back(place, login="dr-lee"):
    """The address to which the issuer sends back whoever signs in there."""
    answer = httpx.post(place, data={"login": login})
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def _enter(browser, path="/", login="dr-lee"):
    return browser.get(_back(_to_issuer(browser, path), login))


def _session(browser):
    return browser.cookies.get(COOKIE)


def _refused(answer):
    assert answer.status_code == 403, answer.text
    assert "You are not signed in" in answer.text
    assert not any(header.startswith(f"{COOKIE}=") for header in _cookies(answer))


def _cookies(answer):
    return answer.headers.get_list("set-cookie")


def _changed(address, **changes):
    asked = dict(parse_qsl(urlsplit(address).query)) | changes
    kept = {name: value for name, value in asked.items() if value is not None}
    return f"{address.split('?')[0]}?{urlencode(kept)}"


def _actions(site):
    """The audit log's last entries about sessions."""
    path = make_url(site.database).database
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        rows = database.execute(
            "SELECT actor, action, outcome FROM audit WHERE action LIKE 'session.%' "
            "ORDER BY sequence DESC LIMIT 5"
        )
        return rows.fetchall()


def test_one_lands_where_one_wanted_to_go_and_is_let_in(browser, sqlite_site):
    wanted = "/v1/patients?limit=5&clinic=north"
    entered = _enter(browser, wanted)
    assert (entered.status_code, entered.headers["location"]) == (303, wanted)
    assert browser.get(wanted).status_code == 200
    assert browser.get("/v1/keys").status_code == 403
    page = browser.get("/")
    assert "Dr Mia Lee" in page.text
    assert "Sign out" in page.text
    subject = f"{sqlite_site.issuer.url}#dr-lee"
    assert _actions(sqlite_site)[0] == (subject, "session.begin", "done")


def test_a_session_may_what_a_token_of_the_same_person_may(browser, sqlite_site):
    path, owner = sqlite_site.patient(clinic="north")
    _enter(browser)
    for purpose in ("care", None):
        if purpose:
            owner.put(f"{path}/consents/{purpose}", version="1")
        else:
            owner.delete(f"{path}/consents/care")
        for method, asked in (("GET", path), ("GET", f"{path}/export"), ("GET", "/v1/keys")):
            by_token = sqlite_site.clinician().ask(method, asked)
            by_cookie = browser.request(method, asked, headers={"Accept": "*/*"})
            assert by_cookie.status_code == by_token.status_code
            assert by_cookie.json() == by_token.json()


def test_the_session_cookie_is_for_this_host_and_no_script(browser):
    (cookie,) = [one for one in _cookies(_enter(browser)) if one.startswith(f"{COOKIE}=")]
    flags = {flag.strip().lower() for flag in cookie.split(";")[1:]}
    assert flags == {"httponly", "path=/", "samesite=lax"}  # on this machine, without TLS
    assert len(_session(browser)) >= 43


def test_the_secret_of_a_session_is_kept_nowhere(browser, sqlite_site):
    _enter(browser)
    heard = sqlite_site.log.read_text() + sqlite_site.client.get("/metrics").text
    home = Path(make_url(sqlite_site.database).database).parent
    stored = b"".join(file.read_bytes() for file in home.glob("store.db*"))
    assert len(sqlite_site.issuer.secrets) >= 2
    for secret in (_session(browser), *sqlite_site.issuer.secrets, CLIENT_SECRET, "Dr Mia Lee"):
        assert secret not in heard
        assert secret.encode() not in stored


@pytest.mark.parametrize(
    "headers",
    [
        {"Accept": "application/json"},
        {"Accept": "*/*"},
        {"Sec-Fetch-Mode": "cors"},
        {"Authorization": "Bearer x"},
    ],
    ids=str,
)
def test_what_is_no_page_opened_by_somebody_gets_a_problem(browser, headers):
    answer = browser.get("/", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert browser.post("/v1/patients", json={}).status_code == 401


@pytest.mark.parametrize(
    "changes",
    [
        *({"state": other} for other in ("x" * 43, "", None)),
        *({"code": other} for other in ("x", None)),
        *({"iss": other} for other in ("https://other.example", None)),
        {"error": "access_denied", "code": None},
    ],
    ids=str,
)
def test_what_did_not_come_from_the_issuer_is_refused(browser, sqlite_site, changes):
    _refused(browser.get(_changed(_back(_to_issuer(browser)), **changes)))
    actor, *what = _actions(sqlite_site)[0]
    assert (actor, what) == ("127.0.0.1", ["session.begin", "denied"])
    assert browser.get("/v1/patients", headers={"Accept": "*/*"}).status_code == 401


def test_a_sign_in_ends_in_the_browser_where_it_began(browser, sqlite_site):
    back = _back(_to_issuer(browser))
    _refused(httpx.get(back, headers=PAGE))
    assert browser.get(back).status_code == 303


def test_a_code_is_good_once(browser):
    back = _back(_to_issuer(browser))
    cookies = dict(browser.cookies)
    assert browser.get(back).status_code == 303
    _refused(browser.get(back))
    browser.cookies = cookies
    _refused(browser.get(back))


def test_another_sign_in_s_code_is_refused(browser):
    """The verifier, of which the issuer has the hash, is another one (RFC 7636)."""
    stolen = dict(parse_qsl(urlsplit(_back(_to_issuer(browser))).query))["code"]
    _refused(browser.get(_changed(_back(_to_issuer(browser)), code=stolen)))


def _twists():
    old = int(time.time()) - 3600
    return {
        "another nonce": {"nonce": "x" * 43},
        "no nonce": {"nonce": None},
        "another audience": {"aud": "https://twin.example/api"},
        "for others too": {"aud": ["twin-pages", "elsewhere"]},
        "by another client": {"azp": "elsewhere"},
        "another issuer": {"iss": "https://other.example"},
        "expired": {"iat": old, "exp": old + 60},
        "never expires": {"exp": None},
        "not yet": {"nbf": old + 7200},
        "nobody": {"sub": None},
        "a script for a name": {"sub": "dr\nlee"},
        "roles that are none": {"roles": {"admin": True}},
    }


@pytest.mark.parametrize("trick", _twists())
def test_tricks_with_the_id_token_are_refused(browser, sqlite_site, trick):
    sqlite_site.issuer.twist = _twists()[trick]
    _refused(_enter(browser))
    assert _session(browser) is None


def test_a_token_signed_by_another_is_refused(browser, sqlite_site):
    forger = RealIssuer()
    forger.add("main")
    try:
        sqlite_site.issuer.signed_by = forger
        _refused(_enter(browser))
    finally:
        forger.stop()


def test_several_audiences_are_fine_where_this_client_is_meant(browser, sqlite_site):
    sqlite_site.issuer.twist = {"aud": ["twin-pages", "elsewhere"], "azp": "twin-pages"}
    assert _enter(browser).status_code == 303


def test_who_has_no_role_here_is_told_so(browser, sqlite_site):
    answer = _enter(browser, login="visitor")
    assert answer.status_code == 403
    assert "Vi Sitor, has no role" in answer.text
    subject = f"{sqlite_site.issuer.url}#visitor"
    assert _actions(sqlite_site)[0] == (subject, "session.begin", "denied")


def test_signing_in_again_ends_the_session_before(browser):
    _enter(browser)
    before = _session(browser)
    browser.get(_back(browser.get("/sign-in").headers["location"], "dr-roe"))
    assert _session(browser) not in (None, before)
    browser.cookies = {COOKIE: before}
    assert browser.get("/").status_code == 303


def test_signing_out_ends_it_here_and_at_the_issuer(browser, sqlite_site):
    _enter(browser)
    secret = _session(browser)
    out = browser.post("/sign-out", headers=HERE)
    assert out.status_code == 200
    assert _session(browser) is None
    (onward,) = set(re.findall(r'href="(http[^"]+)"', out.text))
    asked = parse_qs(urlsplit(onward.replace("&amp;", "&")).query)
    assert onward.startswith(f"{sqlite_site.issuer.url}/end?")
    assert asked["post_logout_redirect_uri"] == [str(browser.base_url.join("/signed-out"))]
    assert "You are signed out" in browser.get("/signed-out").text
    browser.cookies = {COOKIE: secret}
    assert browser.get("/v1/patients", headers={"Accept": "*/*"}).status_code == 401
    subject = f"{sqlite_site.issuer.url}#dr-lee"
    assert _actions(sqlite_site)[0] == (subject, "session.end", "done")
    assert browser.post("/sign-out", headers=HERE).headers["location"] == "/signed-out"


ELSEWHERE = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {},
]


@pytest.mark.parametrize("headers", ELSEWHERE, ids=str)
def test_another_site_changes_nothing_by_the_cookie(browser, sqlite_site, headers):
    _enter(browser)
    assert browser.post("/sign-out", headers=headers).status_code == 403
    made = {"clinic": "north"}
    assert browser.post("/v1/patients", json=made, headers=headers).status_code == 401
    fetched = {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": "cross-site"}
    assert browser.get("/v1/patients", headers=fetched).status_code == 401
    assert browser.get("/v1/patients").status_code == 200  # still signed in
    credentials = sqlite_site.clinician().headers | headers
    assert browser.post("/v1/patients", json=made, headers=credentials).status_code == 201


@pytest.mark.parametrize("headers", [HERE, {}], ids=["by its fetch metadata", "by its origin"])
def test_the_service_s_own_pages_may_change_things(browser, headers):
    _enter(browser)
    headers = headers or {"Origin": _origin(browser)}
    answer = browser.post("/v1/patients", json={"clinic": "north"}, headers=headers)
    assert answer.status_code == 201


def test_bad_credentials_are_not_mended_by_a_cookie(browser):
    _enter(browser)
    answer = browser.get("/v1/patients", headers={"Authorization": "Bearer x"})
    assert answer.status_code == 401


OPEN_REDIRECTS = [
    "//evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    "\n//evil.example",
    "https://evil.example",
    "https:evil.example",
    "javascript:alert(1)",
    "evil.example",
    "",
    " /",
    "/" + "a" * 2000,
    "/über",
]


@pytest.mark.parametrize("wanted", OPEN_REDIRECTS)
def test_nobody_is_led_elsewhere(browser, wanted):
    led = browser.get("/sign-in", params={"next": wanted})
    assert browser.get(_back(led.headers["location"])).headers["location"] == "/"


def test_pages_around_the_sign_in_let_nothing_in_either(browser):
    for answer in (browser.get("/signed-out"), browser.get("/signed-in")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
    assert browser.get("/").headers["cache-control"] == "no-store"


def test_they_are_revoked_from_the_command_line(browser, sqlite_site):
    _enter(browser)
    subject = f"{sqlite_site.issuer.url}#dr-lee"
    for whose, left in (("somebody else", 200), (subject, 303)):
        arguments = ["sign-out", "--database", sqlite_site.database, "--subject", whose]
        assert CliRunner().invoke(commands, arguments).exit_code == 0
        assert browser.get("/v1/patients").status_code == left
