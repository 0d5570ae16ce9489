"""Bearer tokens: signed by a trusted issuer, meant for this service, and valid now."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Final, get_args

import jwt

from serving.access.caller import Caller, Role
from serving.access.issuers import Algorithm, Issuer, KeyRing, fetch_keys

ALGORITHMS: Final = frozenset(get_args(Algorithm))
LEEWAY_S: Final = 30
MAX_TOKEN_CHARS: Final = 8192
MAX_SUBJECT_CHARS: Final = 255  # OpenID Connect Core, 2
_NAME_CHARS: Final = 80
_TYPES: Final = frozenset({"jwt", "at+jwt", "application/at+jwt"})  # RFC 9068; no logout tokens
_REQUIRED: Final = ["iss", "aud", "sub", "exp", "iat"]
_ROLES: Final = frozenset(Role)
_log = logging.getLogger(__name__)


class Refused(Exception):  # noqa: N818
    """The credentials are not good. Why is never told: it would help whoever forges them."""


def verifier(
    issuers: Iterable[Issuer], clock: Callable[[], float] = time.monotonic
) -> Callable[[str], Caller]:
    """The function that turns a token into its caller.

    It raises Refused for a token that is not good, and IssuerAway where the issuer's keys cannot
    be had. It may wait for the issuer: call it from a thread, not from the event loop.
    """
    trusted = _trusted(issuers, clock)

    def verify(token: str) -> Caller:
        with _telling_nothing():
            return _caller(*_verify(token, trusted))

    return verify


def id_verifier(
    issuer: Issuer, client_id: str, clock: Callable[[], float] = time.monotonic
) -> Callable[[str, str], Caller]:
    """The function that turns the ID token of a sign-in, and its nonce, into who signed in.

    It checks what OpenID Connect Core, 3.1.3.7 asks for, and raises as that of `verifier` does.
    """
    trusted = _trusted([issuer.model_copy(update={"audience": client_id})], clock)

    def verify(token: str, nonce: str) -> Caller:
        with _telling_nothing():
            claims, at = _verify(token, trusted)
            if claims.get("nonce") != nonce:
                raise jwt.InvalidTokenError
            alone = claims["aud"] in (client_id, [client_id])
            if claims.get("azp", client_id if alone else None) != client_id:
                raise jwt.InvalidAudienceError
            return replace(_caller(claims, at), kind="session", name=_name(claims))

    return verify


def _trusted(
    issuers: Iterable[Issuer], clock: Callable[[], float]
) -> dict[str, tuple[Issuer, KeyRing]]:
    return {
        issuer.issuer: (issuer, KeyRing(partial(fetch_keys, issuer.issuer), clock))
        for issuer in issuers
    }


@contextmanager
def _telling_nothing() -> Iterator[None]:
    try:
        yield
    except (jwt.PyJWTError, UnicodeError) as error:
        _log.info("token refused: %s", type(error).__name__)
        raise Refused from None


def _verify(
    token: str, trusted: Mapping[str, tuple[Issuer, KeyRing]]
) -> tuple[dict[str, Any], Issuer]:
    """Its claims, and who issued it."""
    if len(token) > MAX_TOKEN_CHARS:
        raise jwt.InvalidTokenError
    header = jwt.get_unverified_header(token)
    algorithm, kind = header.get("alg"), header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        raise jwt.InvalidTokenError
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise jwt.InvalidAlgorithmError
    claimed = jwt.decode(token, options={"verify_signature": False}).get("iss")
    if not isinstance(claimed, str) or claimed not in trusted:
        raise jwt.InvalidIssuerError
    issuer, keys = trusted[claimed]
    key = keys.find(header.get("kid"), algorithm)
    if key is None:
        raise jwt.InvalidKeyError
    claims: dict[str, Any] = jwt.decode(
        token,
        key.public,
        algorithms=[algorithm],
        audience=issuer.audience,
        issuer=issuer.issuer,
        leeway=LEEWAY_S,
        options={"require": _REQUIRED},
    )
    return claims, issuer


def _caller(claims: Mapping[str, Any], issuer: Issuer) -> Caller:
    """Who the claims say is calling; roles of other systems are none here."""
    subject = claims["sub"]
    if not 0 < len(subject) <= MAX_SUBJECT_CHARS or not subject.isprintable():
        raise jwt.InvalidTokenError
    return Caller(
        subject=f"{issuer.issuer}#{subject}",  # an issuer's address holds no #
        kind="token",
        roles=frozenset(Role(name) for name in _names(claims, issuer.roles_claim) & _ROLES),
        clinics=_names(claims, issuer.clinics_claim),
        patients=_names(claims, issuer.patient_claim),
    )


def _name(claims: Mapping[str, Any]) -> str:
    """What to call whoever signed in: the best of the usual claims, in the end their identifier."""
    for claim in ("name", "preferred_username", "email"):
        found = claims.get(claim)
        if isinstance(found, str) and found.strip() and found.isprintable():
            return found.strip()[:_NAME_CHARS]
    return str(claims["sub"])[:_NAME_CHARS]


def _names(claims: Mapping[str, Any], claim: str) -> frozenset[str]:
    found = claims.get(claim) or []
    names = [found] if isinstance(found, str) else found
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise jwt.InvalidTokenError
    return frozenset(names)
