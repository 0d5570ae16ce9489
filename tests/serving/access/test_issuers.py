"""Keys come from the issuer itself, are renewed in time, and outlive its absences."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from serving.access.issuers import REFRESH_S, RETRY_S, STALE_S, Issuer, IssuerAway, fetch_keys
from serving.access.tokens import Refused, verifier
from tests.serving.access.issuer import AUDIENCE, RealIssuer, published

CONFIGURATION = "/.well-known/openid-configuration"


@pytest.fixture
def verify(own_issuer, clock):
    return verifier([Issuer(issuer=own_issuer.url, audience=AUDIENCE)], clock)


def _refused(verify, token):
    with pytest.raises(Refused):
        verify(token)


def _away(verify, token):
    with pytest.raises(IssuerAway):
        verify(token)


@pytest.mark.parametrize(
    "url", ["https://id.example", "https://id.example/a/", "http://[::1]:80/a"]
)
def test_safe_addresses(url):
    assert Issuer(issuer=url, audience="a").issuer == url


@pytest.mark.parametrize(
    "url",
    [
        "http://id.example",
        "http://127.0.0.1@id.example",
        "http://127.0.0.1.id.example",
        "ftp://127.0.0.1",
        "file:///etc/passwd",
        "https://",
        "https://id.example?a=b",
        "https://id.example#a",
        "id.example",
    ],
)
def test_unsafe_addresses_are_no_issuers(url):
    with pytest.raises(ValidationError):
        Issuer(issuer=url, audience="a")


def test_a_trailing_slash_belongs_to_the_name_but_not_to_the_path(own_issuer):
    name = own_issuer.url + "/realm/"
    document = {"issuer": name, "jwks_uri": own_issuer.url + "/keys"}
    own_issuer.answers["/realm" + CONFIGURATION] = (200, json.dumps(document).encode())
    assert len(fetch_keys(name)) == 1
    with pytest.raises(IssuerAway):
        fetch_keys(name.rstrip("/"))  # the metadata there are those of the other name


def test_keys_are_fetched_once_for_many_tokens(own_issuer, verify):
    for _ in range(20):
        verify(own_issuer.token("first"))
    assert own_issuer.asked == [CONFIGURATION, "/keys"]


def test_a_new_key_is_found_as_soon_as_it_signs(own_issuer, verify, clock):
    verify(own_issuer.token("first"))
    own_issuer.add("second")
    clock.now_s += RETRY_S
    verify(own_issuer.token("second"))
    verify(own_issuer.token("first"))


def test_a_key_that_is_taken_back_is_soon_refused(own_issuer, verify, clock):
    token = own_issuer.token("first")
    verify(token)
    own_issuer.add("second")
    del own_issuer.keys["first"]
    clock.now_s += REFRESH_S + 1
    _refused(verify, token)


def test_another_key_under_an_old_name_takes_its_place(own_issuer, verify, clock):
    before = own_issuer.token("first")
    verify(before)
    own_issuer.add("first")
    clock.now_s += REFRESH_S + 1
    verify(own_issuer.token("first"))
    _refused(verify, before)


def test_unknown_names_do_not_hammer_the_issuer(own_issuer, verify, clock):
    verify(own_issuer.token("first"))
    asked = len(own_issuer.asked)
    clock.now_s += RETRY_S
    unknown = [own_issuer.token("first", {"kid": f"k{count}"}) for count in range(40)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda token: _refused(verify, token), unknown))
    assert len(own_issuer.asked) == asked + 2
    clock.now_s += RETRY_S
    _refused(verify, unknown[0])
    assert len(own_issuer.asked) == asked + 4


def test_known_keys_outlive_the_issuers_absence(own_issuer, verify, clock):
    verify(own_issuer.token("first"))
    own_issuer.stop()
    clock.now_s += REFRESH_S + 1
    verify(own_issuer.token("first"))
    _away(verify, own_issuer.token("first", {"kid": "other"}))
    _refused(verify, own_issuer.token("first", aud="other"))
    clock.now_s += STALE_S
    _away(verify, own_issuer.token("first"))
    own_issuer.start()
    clock.now_s += RETRY_S
    verify(own_issuer.token("first"))


def test_an_issuer_never_met_lets_nobody_in(own_issuer, verify, clock):
    own_issuer.stop()
    for _ in range(3):
        _away(verify, own_issuer.token("first"))
    own_issuer.start()
    _away(verify, own_issuer.token("first"))  # it was asked just now
    clock.now_s += RETRY_S
    verify(own_issuer.token("first"))


def test_a_silent_issuer_holds_neither_known_keys_nor_every_thread(own_issuer, verify, clock):
    verify(own_issuer.token("first"))
    own_issuer.add("second")
    clock.now_s += REFRESH_S + 1
    own_issuer.answering.clear()
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(verify, own_issuer.token("second"))
        while len(own_issuer.asked) < 3:
            time.sleep(0.01)
        verify(own_issuer.token("first"))
        _away(verify, own_issuer.token("second"))
        assert not waiting.done()
        own_issuer.answering.set()
        assert waiting.result().subject.endswith("#ada")


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        (CONFIGURATION, 500, b""),
        (CONFIGURATION, 200, b"<html>"),
        (CONFIGURATION, 200, b"[]"),
        (CONFIGURATION, 200, b'{"issuer": "https://other.example", "jwks_uri": "https://a.b"}'),
        (CONFIGURATION, 302, b""),
        ("/keys", 404, b""),
        ("/keys", 200, b'{"keys": 7}'),
        ("/keys", 200, b"[" * 100_000),
        ("/keys", 200, b"\xff\xfe"),
    ],
)
def test_an_issuer_that_talks_nonsense_is_away(path, status, body, own_issuer, verify, clock):
    own_issuer.answers[path] = status, body
    _away(verify, own_issuer.token("first"))
    own_issuer.answers.clear()
    clock.now_s += RETRY_S
    verify(own_issuer.token("first"))


@pytest.mark.parametrize(
    "uri", ["http://0.0.0.0:{}/keys", "file:///keys", "//keys", "http://[", ""]
)
def test_keys_are_not_read_from_an_unsafe_address(uri, own_issuer, verify):
    """The first would answer: it is this machine, but by an address that others may have."""
    port = own_issuer.url.rsplit(":", 1)[1]
    document = {"issuer": own_issuer.url, "jwks_uri": uri.format(port)}
    own_issuer.answers[CONFIGURATION] = 200, json.dumps(document).encode()
    _away(verify, own_issuer.token("first"))
    assert own_issuer.asked == [CONFIGURATION]


def _publish(issuer: RealIssuer, *keys: object) -> None:
    issuer.answers["/keys"] = 200, json.dumps({"keys": keys}).encode()


@pytest.mark.parametrize(
    "unfit",
    [
        published(rsa.generate_private_key(65537, 1024), "RS256", kid="a"),  # noqa: S505
        published(ec.generate_private_key(ec.SECP384R1()), "ES384", kid="a"),
        published(rsa.generate_private_key(65537, 2048), "RS256", kid="a", use="enc"),
        published(rsa.generate_private_key(65537, 2048), "RS256", kid="a", alg="RSA-OAEP"),
        published(rsa.generate_private_key(65537, 2048), "RS256", kid="a", key_ops=["encrypt"]),
        {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0", "alg": "HS256", "kid": "a"},
        {"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA", "kid": "a"},
        {"kid": "a"},
    ],
    ids=lambda key: f"{key.get('kty')} {key.get('alg')} {key.get('use')} {key.get('crv')}",
)
def test_an_unfit_key_is_left_out_and_the_others_serve(unfit, own_issuer):
    good = json.loads(own_issuer.answer("/keys")[1])["keys"]
    _publish(own_issuer, unfit, *good)
    assert [key.name for key in fetch_keys(own_issuer.url)] == ["first"]


_fields = st.sampled_from(
    ["kty", "kid", "alg", "use", "key_ops", "crv", "x", "y", "n", "e", "d", "k"]
)
_words = st.sampled_from(
    ["RSA", "EC", "OKP", "oct", "P-256", "Ed25519", "RS256", "none", "sig", "AQAB"]
)
_values = _words | st.none() | st.integers() | st.lists(st.text(max_size=3), max_size=2)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=15
)
@given(strange=st.lists(st.dictionaries(_fields, _values), max_size=30))
@example(strange=[{"kty": "oct"}, {"kty": "EC", "alg": "none"}])
def test_strange_keys_do_no_harm(own_issuer, strange):
    good = json.loads(own_issuer.answer("/keys")[1])["keys"]
    _publish(own_issuer, *strange, *good)
    assert fetch_keys(own_issuer.url)[-1].name == "first"
