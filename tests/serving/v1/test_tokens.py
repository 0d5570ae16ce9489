"""Token tricks, on the real server."""

import base64
import hmac
import json
import time

import pytest
from cryptography.hazmat.primitives import serialization

from tests.serving.access.issuer import RealIssuer


@pytest.fixture(scope="module")
def forger():
    found = RealIssuer()
    found.add("main")
    yield found
    found.stop()


def _public(issuer):
    return issuer.keys["main"][1].public_key()


def _coded(value):
    return base64.urlsafe_b64encode(value).rstrip(b"=")


def _unsigned(issuer, algorithm):
    header = {"alg": algorithm, "typ": "JWT", "kid": "main"}
    parts = (header, issuer.claims(roles=["admin"]))
    return b".".join(_coded(json.dumps(part).encode()) for part in parts).decode() + "."


def _confused(issuer):
    """Signed with the public key, as if it were a shared secret."""
    pem = _public(issuer).public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    signed = _unsigned(issuer, "HS256").rstrip(".")
    signature = hmac.digest(pem, signed.encode(), "sha256")
    return f"{signed}.{_coded(signature).decode()}"


def _tricks(issuer, forger):
    old = int(time.time()) - 3600
    good = issuer.token("main", roles=["admin"])
    return {
        "none": _unsigned(issuer, "none"),
        "NONE": _unsigned(issuer, "NONE"),
        "public key as a secret": _confused(issuer),
        "another audience": issuer.token("main", roles=["admin"], aud="https://other.example"),
        "no audience": issuer.token("main", roles=["admin"], aud=None),
        "expired": issuer.token("main", roles=["admin"], iat=old, exp=old + 60),
        "never expires": issuer.token("main", roles=["admin"], exp=None),
        "not yet": issuer.token("main", roles=["admin"], nbf=int(time.time()) + 3600),
        "nobody's": issuer.token("main", roles=["admin"], sub=None),
        "another issuer": forger.token("main", roles=["admin"]),
        "another's key": forger.token("main", roles=["admin"], iss=issuer.url),
        "cut": good[:-6],
        "swapped": good.rsplit(".", 1)[0] + "." + forger.token("main").rsplit(".", 1)[1],
        "an unknown key": "htk_" + "A" * 43,
    }


def test_tricks_are_refused_and_told_nothing(sqlite_site, forger):
    issuer = sqlite_site.issuer
    assert sqlite_site.admin().ask("GET", "/v1/keys").status_code == 200
    told = set()
    for name, token in _tricks(issuer, forger).items():
        answer = sqlite_site.bearer(token).ask("GET", "/v1/keys")
        assert answer.status_code == 401, name
        told.add((answer.text, answer.headers["www-authenticate"]))
    assert len(told) == 1


def test_a_role_in_the_token_of_one_patient_is_none_for_another(sqlite_site):
    path, _ = sqlite_site.patient()
    other, _ = sqlite_site.patient()
    known_by = path.rsplit("/", 1)[1]
    for claim in (known_by, [known_by]):
        person = sqlite_site.person("ann", "patient", patient=claim)
        assert person.ask("GET", path).status_code == 200
        assert person.ask("GET", other).status_code == 404
    for odd in (f"{known_by}/../{other.rsplit('/', 1)[1]}", "*", "", known_by.upper()[:-1]):
        person = sqlite_site.person("ann", "patient", patient=odd)
        assert person.ask("GET", other).status_code == 404, odd
