"""Issuers of tokens: which are trusted, and the public keys that they sign with."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from threading import Lock
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from pydantic import BaseModel, ConfigDict, Field, field_validator

REFRESH_S: Final = 600.0
"""From this age on, keys are asked for anew: a key that the issuer takes back is soon refused."""
RETRY_S: Final = 10.0
"""An issuer is asked at most this often, whatever tokens claim."""
STALE_S: Final = 86_400.0
"""How long known keys serve while their issuer is away."""
_TIMEOUT_S: Final = 3.0
_PATIENCE_S: Final = 1.0  # while another thread asks; strangers shall not hold every thread
_RSA_BITS: Final = 2048  # NIST SP 800-131A
_log = logging.getLogger(__name__)

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey


class IssuerAway(Exception):  # noqa: N818
    """The issuer's keys cannot be had, so its tokens can be neither accepted nor refused."""


class Issuer(BaseModel):
    """A trusted issuer, and how its tokens say who the caller is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str = Field(description="Its address, exactly as in its metadata and in `iss`.")
    audience: str = Field(min_length=1, description="What `aud` names this service.")
    roles_claim: str = "roles"
    clinics_claim: str = "clinics"
    patient_claim: str = "patient"

    @field_validator("issuer")
    @classmethod
    def _safe(cls, value: str) -> str:
        found = _safe(value)
        if found.query or found.fragment:
            raise ValueError("an issuer's address has no query and no fragment")
        return value


def _safe(url: str) -> SplitResult:
    """The parts of an address from which keys may be read."""
    found = urlsplit(url)
    if found.scheme == "https" and found.hostname:
        return found
    if found.scheme == "http" and _is_loopback(found.hostname or ""):
        return found
    raise ValueError("only https is safe here; http is for this machine alone")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True)
class Key:
    """A public key, its name, and the algorithms that fit it."""

    name: str | None
    algorithms: frozenset[str]
    public: PublicKey


class _Metadata(BaseModel):
    issuer: str
    jwks_uri: str


class _KeySet(BaseModel):
    keys: list[dict[str, Any]]


class _Entry(BaseModel):
    """What is said of a key beside the key itself."""

    kid: str | None = None
    alg: str | None = None
    use: str = "sig"
    key_ops: list[str] = ["verify"]


def fetch_keys(issuer: str) -> tuple[Key, ...]:
    """The keys that the issuer publishes now (OpenID Connect Discovery 1.0, RFC 7517).

    Raises:
        IssuerAway: It does not answer, or not with what it should.
    """
    try:
        with httpx.Client(timeout=_TIMEOUT_S) as client:
            metadata = _Metadata.model_validate_json(
                _get(client, issuer.rstrip("/") + "/.well-known/openid-configuration")
            )
            if metadata.issuer != issuer:
                raise ValueError("the metadata are another issuer's")
            found = _KeySet.model_validate_json(_get(client, metadata.jwks_uri))
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        _log.warning("no keys from the issuer %s: %s", issuer, type(error).__name__)
        raise IssuerAway from None
    return tuple(key for published in found.keys if (key := _key(published)))


def _get(client: httpx.Client, url: str) -> bytes:
    _safe(url)
    return client.get(url).raise_for_status().content


def _key(published: dict[str, Any]) -> Key | None:
    """A published key; None for one that is private, weak, unknown or not for signatures."""
    try:
        entry = _Entry.model_validate(published)
        public = jwt.PyJWK(published).key
    except (jwt.PyJWTError, ValueError):
        return None
    algorithms = _algorithms(public)
    if entry.alg is not None:
        algorithms &= {entry.alg}
    if entry.use != "sig" or "verify" not in entry.key_ops or not algorithms:
        return None
    return Key(entry.kid, frozenset(algorithms), public)


def _algorithms(key: object) -> set[str]:
    """Those that fit a key, by what it is."""
    match key:
        case RSAPublicKey() if key.key_size >= _RSA_BITS:
            return {"RS256", "PS256"}
        case EllipticCurvePublicKey() if isinstance(key.curve, SECP256R1):
            return {"ES256"}
        case Ed25519PublicKey():
            return {"EdDSA"}
        case _:
            return set()


@dataclass
class KeyRing:
    """An issuer's keys, kept from one `fetch` to the next; safe to share among threads."""

    fetch: Callable[[], tuple[Key, ...]]
    clock: Callable[[], float] = time.monotonic
    """Seconds, from any origin."""
    _keys: tuple[Key, ...] = ()
    _fetched_s: float = -float("inf")
    _tried_s: float = -float("inf")
    _fetching: Lock = field(default_factory=Lock)

    def find(self, name: str | None, algorithm: str) -> Key | None:
        """The one key of this name for this algorithm; without a name, the only one there is.

        Raises:
            IssuerAway: It is not among the known keys, and the issuer does not answer.
        """
        if not self._fitting(name, algorithm):
            self._refresh(wait=True)
        elif self.clock() - self._fetched_s > REFRESH_S:
            self._refresh(wait=False)
        found = self._fitting(name, algorithm)
        if not found and self._fetched_s < self._tried_s:
            raise IssuerAway
        return found[0] if len(found) == 1 else None

    def _fitting(self, name: str | None, algorithm: str) -> list[Key]:
        if self.clock() - self._fetched_s > STALE_S:
            return []
        return [
            key
            for key in self._keys
            if algorithm in key.algorithms and (name is None or name == key.name)
        ]

    def _refresh(self, wait: bool) -> None:
        """Fetch the keys, unless that was tried just now; while another thread does, wait or go."""
        if not self._fetching.acquire(timeout=_PATIENCE_S if wait else 0):
            if wait:
                raise IssuerAway
            return
        try:
            now_s = self.clock()
            if now_s - self._tried_s < RETRY_S:
                return
            try:
                self._keys = self.fetch()
                self._fetched_s = now_s
            except IssuerAway:
                pass
            finally:
                self._tried_s = now_s
        finally:
            self._fetching.release()
