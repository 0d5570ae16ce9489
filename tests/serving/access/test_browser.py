"""Cookies and addresses, as browsers take them."""

import re
from urllib.parse import urlsplit

import pytest
from fastapi.responses import Response
from hypothesis import given
from hypothesis import strategies as st

from serving.access.browser import Browsers, own_path
from serving.access.issuers import Issuer
from serving.access.oidc import Attempt, Client

ISSUER = Issuer(issuer="https://login.example", audience="twin", client_id="pages")


def _browsers(url):
    client = Client(ISSUER, "pages", f"{url}/signed-in", "cuckoo")
    return Browsers(url, client, lambda *_: None, lambda _: "", lambda _: None, lambda _: None)


@pytest.mark.parametrize(
    ("url", "name", "more"),
    [
        ("https://twin.example", "__Host-hybridtwin", {"secure"}),
        ("http://localhost:3000", "hybridtwin", set()),
    ],
)
def test_cookies_stay_with_this_host_and_away_from_scripts(url, name, more):
    browsers = _browsers(url)
    assert browsers.cookie == name
    for cookie in (browsers.cookie, browsers.attempt_cookie(Attempt(target="/").state)):
        answer = Response()
        browsers.set(answer, cookie, "value")
        pair, *flags = answer.headers["set-cookie"].split("; ")
        assert pair == f"{cookie}=value"
        assert cookie.startswith(name)
        assert {flag.lower() for flag in flags} == {"httponly", "path=/", "samesite=lax"} | more


def test_every_sign_in_is_unguessable_and_another():
    drawn = [
        value
        for _ in range(20)
        for value in Attempt(target="/").model_dump(exclude={"target"}).values()
    ]
    assert len(set(drawn)) == 60
    assert min(map(len, drawn)) >= 43  # 256 bits in base64; a verifier's least (RFC 7636, 4.1)


def test_secrets_are_not_shown():
    assert "cuckoo" not in repr(_browsers("https://twin.example"))


@pytest.mark.parametrize("text", ["/", "/v1/tonight?unit=mmol%2FL", "/a//b", "/%2F/evil.example"])
def test_paths_of_this_service_are_kept(text):
    assert own_path(text) == text


@given(st.text(st.sampled_from("/\\:?#@. \t\r\nae%2f"), max_size=12) | st.text(max_size=12))
def test_every_path_that_one_is_led_to_is_on_this_host(text):
    """What browsers make of it: backslashes are slashes, tabs and line ends are nothing."""
    seen = re.sub(r"[\t\r\n]", "", own_path(text)).replace("\\", "/")
    found = urlsplit(f"https://host{seen}")
    assert seen.startswith("/")
    assert not seen.startswith("//")
    assert (found.scheme, found.netloc) == ("https", "host")
