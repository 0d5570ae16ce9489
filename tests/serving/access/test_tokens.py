"""A token passes if a trusted issuer signed it for this service and now; nothing else does."""

import base64
import hashlib
import hmac
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.access.caller import Caller, Role
from serving.access.issuers import Issuer
from serving.access.tokens import LEEWAY_S, MAX_TOKEN_CHARS, Refused, verifier
from tests.serving.access.issuer import AUDIENCE, MAKERS

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
many = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.fixture(scope="module")
def verify(issuer):
    return verifier([Issuer(issuer=issuer.url, audience=AUDIENCE)])


def _part(value):
    found = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(found).rstrip(b"=").decode()


def _public_bytes(key, form):
    style = PublicFormat.SubjectPublicKeyInfo if form == Encoding.PEM else PublicFormat.PKCS1
    return key.public_key().public_bytes(form, style)


def _refused(verify, token):
    with pytest.raises(Refused) as found:
        verify(token)
    assert not str(found.value)
    assert found.value.__suppress_context__


@pytest.mark.parametrize("algorithm", MAKERS)
def test_a_good_token_says_who_calls(algorithm, issuer, verify):
    token = issuer.token(
        algorithm, roles=["clinician", "patient", "offline_access"], clinics=["north", "south"]
    )
    assert verify(token) == Caller(
        subject=f"{issuer.url}#ada",
        kind="token",
        roles=frozenset({Role.CLINICIAN, Role.PATIENT}),
        clinics=frozenset({"north", "south"}),
        patients=frozenset({"6c1f"}),
    )


def test_claims_have_the_names_that_are_set(issuer):
    names = {"roles_claim": "https://twin.example/roles", "clinics_claim": "groups"}
    verify = verifier([Issuer(issuer=issuer.url, audience=AUDIENCE, patient_claim="pid", **names)])
    claims = {"https://twin.example/roles": "app", "groups": "north", "pid": ["a", "b"]}
    found = verify(issuer.token("EdDSA", **claims))
    assert found.roles == {Role.APP}
    assert found.clinics == {"north"}
    assert found.patients == {"a", "b"}


def test_same_subject_of_two_issuers_is_two_callers(issuer, forger):
    verify = verifier([Issuer(issuer=one.url, audience=AUDIENCE) for one in (issuer, forger)])
    assert verify(issuer.token("ES256")).subject != verify(forger.token("ES256")).subject
    _refused(verify, forger.token("ES256", iss=issuer.url))


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ["https://other.example", AUDIENCE]},
        {"exp": int(time.time()) + 86_400, "nbf": int(time.time())},
        {"roles": None, "patient": None},
        {"roles": [], "clinics": []},
    ],
)
def test_other_good_claims_pass(changes, issuer, verify):
    verify(issuer.token("ES256", **changes))


def test_clocks_may_differ_by_the_leeway(issuer, verify):
    now = int(time.time())
    half = LEEWAY_S // 2
    verify(issuer.token("ES256", exp=now - half))
    verify(issuer.token("ES256", iat=now + half, nbf=now + half))
    _refused(verify, issuer.token("ES256", exp=now - LEEWAY_S - 5))
    for claim in ("iat", "nbf"):
        _refused(verify, issuer.token("ES256", **{claim: now + LEEWAY_S + 30}))


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://other.example"},
        {"aud": []},
        {"aud": AUDIENCE + "/"},
        {"iss": "https://issuer.example"},
        {"sub": ""},
        {"roles": {"patient": True}},
        {"roles": ["patient", 7]},
        {"clinics": [""]},
        {"patient": 7},
        {"exp": "soon"},
        {"exp": float("inf")},
        *({claim: None} for claim in ("iss", "aud", "sub", "exp", "iat")),
    ],
    ids=str,
)
def test_a_well_signed_token_with_bad_claims_is_refused(changes, issuer, verify):
    _refused(verify, issuer.token("ES256", **changes))


@pytest.mark.parametrize(
    "headers", [{"typ": "logout+jwt"}, {"typ": 7}, {"crit": ["exp"], "exp": 1}]
)
def test_a_well_signed_token_of_another_kind_is_refused(headers, issuer, verify):
    _refused(verify, issuer.token("ES256", headers))


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", None, ["none"], "HS256"])
def test_unsigned_tokens_are_refused(algorithm, issuer, verify):
    header = {"alg": algorithm, "typ": "JWT", "kid": "RS256"}
    for signature in ("", _part(b"0" * 64)):
        _refused(verify, f"{_part(header)}.{_part(issuer.claims())}.{signature}")


@pytest.mark.parametrize("form", [Encoding.PEM, Encoding.DER])
def test_a_public_key_is_no_shared_secret(form, issuer, verify):
    secret = _public_bytes(issuer.keys["RS256"][1], form)
    signed = f"{_part({'alg': 'HS256', 'kid': 'RS256'})}.{_part(issuer.claims())}"
    signature = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    _refused(verify, f"{signed}.{_part(signature)}")


def test_a_key_serves_only_the_algorithm_that_it_is_published_for(issuer, verify):
    """RSA keys could sign both ways; this one is for RS256."""
    claims, key = issuer.claims(), issuer.keys["RS256"][1]
    verify(jwt.encode(claims, key, "RS256", headers={"kid": "RS256"}))
    _refused(verify, jwt.encode(claims, key, "PS256", headers={"kid": "RS256"}))


@pytest.mark.parametrize("named", MAKERS)
@pytest.mark.parametrize("signing", MAKERS)
def test_swapped_keys_are_refused(signing, named, issuer, verify):
    token = issuer.token(signing, {"kid": named})
    if signing == named:
        verify(token)
    else:
        _refused(verify, token)


@pytest.mark.parametrize("algorithm", MAKERS)
def test_a_forgers_signature_under_a_known_name_is_refused(algorithm, issuer, forger, verify):
    _refused(verify, forger.token(algorithm, iss=issuer.url))


@pytest.mark.parametrize("kid", ["../../keys", "https://forger.example/keys", "' OR 1=1 --", ""])
def test_a_key_name_leads_nowhere(kid, issuer, verify):
    _refused(verify, issuer.token("ES256", {"kid": kid}))


def test_headers_that_bring_or_point_to_keys_are_not_followed(issuer, forger, verify):
    forged = json.loads(forger.answer("/keys")[1])["keys"][2]
    asked = list(forger.asked)
    where = {"jku": forger.url + "/keys", "x5u": forger.url + "/keys", "jwk": forged}
    verify(issuer.token("ES256", where))
    _refused(verify, forger.token("ES256", where, iss=issuer.url))
    _refused(verify, forger.token("ES256", where | {"kid": forged["kid"]}, iss=issuer.url))
    _refused(verify, forger.token("ES256", where))
    assert forger.asked == asked


def test_a_token_without_a_key_name_needs_an_issuer_with_one_fitting_key(own_issuer):
    verify = verifier([Issuer(issuer=own_issuer.url, audience=AUDIENCE)])
    nameless = jwt.encode(own_issuer.claims(), own_issuer.keys["first"][1], "ES256")
    verify(nameless)
    own_issuer.add("second")
    verify = verifier([Issuer(issuer=own_issuer.url, audience=AUDIENCE)])
    _refused(verify, nameless)
    verify(own_issuer.token("first"))


def test_oversize_tokens_are_refused(issuer, verify):
    room = MAX_TOKEN_CHARS - len(issuer.token("ES256", pad=""))
    verify(issuer.token("ES256", pad="x" * int(0.7 * room)))
    _refused(verify, issuer.token("ES256", pad="x" * MAX_TOKEN_CHARS))


@pytest.mark.parametrize("deep", [b"[", b'{"a":'])
def test_deep_nesting_is_refused(deep, verify):
    nested = _part(deep * (4000 // len(deep)))
    good = _part({"alg": "ES256"})
    _refused(verify, f"{nested}.{good}.{good}")
    _refused(verify, f"{good}.{nested}.{good}")


@pytest.mark.parametrize("token", ["", ".", "..", "\ud800.\ud800.\ud800", "é.é.é", "a.b.c.d.e"])
def test_malformed_tokens_are_refused(token, verify):
    _refused(verify, token)


@many
@given(raw=st.binary(max_size=300), text=st.text(max_size=100))
def test_random_text_never_passes_and_never_breaks(verify, raw, text):
    for token in (raw.decode("latin-1"), text, f"{_part(raw)}.{_part(raw)}.{_part(raw)}"):
        _refused(verify, token)


@many
@given(header=st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "x"]), anything))
def test_random_headers_never_pass_and_never_break(issuer, verify, header):
    _refused(verify, f"{_part({'alg': 'ES256'} | header)}.{_part(issuer.claims())}.AAAA")


@many
@given(data=st.data())
def test_a_changed_character_never_passes(issuer, verify, data):
    token = issuer.token("EdDSA")
    verify(token)
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("ABCabc019-_.=").filter(lambda c: c != token[place]))
    _refused(verify, token[:place] + other + token[place + 1 :])


@many
@given(
    claim=st.sampled_from(
        ["iss", "aud", "sub", "exp", "nbf", "iat", "roles", "clinics", "patient"]
    ),
    value=anything,
)
def test_a_strange_claim_is_refused_or_grants_nothing_strange(issuer, verify, claim, value):
    try:
        found = verify(issuer.token("EdDSA", **{claim: value}))
    except Refused:
        return
    assert found.subject.startswith(f"{issuer.url}#")
    assert found.roles <= set(Role)
    assert all(isinstance(name, str) and name for name in found.clinics | found.patients)
