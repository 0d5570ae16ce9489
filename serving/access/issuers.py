"""Issuers of tokens: which are trusted, and the public keys that they sign with."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from threading import Lock
from typing import Annotated, Any, Final, Literal
from urllib.parse import SplitResult, urlsplit

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

REFRESH_S: Final = 600.0
"""From this age on, keys are asked for anew: a key that the issuer takes back is soon refused."""
RETRY_S: Final = 10.0
"""An issuer is asked at most this often, whatever tokens claim."""
STALE_S: Final = 86_400.0
"""How long known keys serve while their issuer is away."""
TIMEOUT_S: Final = 3.0
_PATIENCE_S: Final = 1.0  # while another thread asks; strangers shall not hold every thread
_RSA_BITS: Final = 2048  # NIST SP 800-131A
_log = logging.getLogger(__name__)

Algorithm = Literal["RS256", "PS256", "ES256", "EdDSA"]
"""By which tokens may be signed."""
PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey


class IssuerAway(Exception):  # noqa: N818
    """The issuer does not answer, so its tokens can be neither accepted nor refused."""


class Issuer(BaseModel):
    """A trusted issuer, and how its tokens say who the caller is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str = Field(description="Its address, exactly as in its metadata and in `iss`.")
    audience: str = Field(min_length=1, description="What `aud` names this service.")
    roles_claim: str = "roles"
    clinics_claim: str = "clinics"
    patient_claim: str = "patient"
    client_id: str | None = Field(
        None, min_length=1, description="As whom the service signs people in there, in browsers."
    )
    scopes: str = Field("openid profile", description="What a sign-in asks for.")

    @field_validator("issuer")
    @classmethod
    def _safe(cls, value: str) -> str:
        found = safe(value)
        if found.query or found.fragment:
            raise ValueError("an issuer's address has no query and no fragment")
        return value

    @field_validator("scopes")
    @classmethod
    def _openid(cls, value: str) -> str:
        if "openid" not in value.split():
            raise ValueError("without the scope openid nobody is told who signed in")
        return value


def safe(url: str) -> SplitResult:
    """The parts of an address that nobody on the way can read or change.

    Raises:
        ValueError: It is not such a one.
    """
    found = urlsplit(url)
    if found.scheme == "https" and found.hostname:
        return found
    if found.scheme == "http" and is_loopback(found.hostname or ""):
        return found
    raise ValueError("only https is safe here; http is for this machine alone")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its loopback alone."""
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


def _safe_address(url: str) -> str:
    safe(url)
    return url


_Address = Annotated[str, AfterValidator(_safe_address)]


class Metadata(BaseModel):
    """What an issuer says of itself (OpenID Connect Discovery 1.0, RP-Initiated Logout 1.0)."""

    issuer: str
    jwks_uri: _Address
    authorization_endpoint: _Address | None = None
    token_endpoint: _Address | None = None
    token_endpoint_auth_methods_supported: list[str] = ["client_secret_basic"]
    end_session_endpoint: _Address | None = None
    authorization_response_iss_parameter_supported: bool = False  # RFC 9207


class _KeySet(BaseModel):
    keys: list[dict[str, Any]]


class _Entry(BaseModel):
    """What is said of a key beside the key itself."""

    kty: Literal["RSA", "EC", "OKP"]  # one that is shared, as `oct`, is nobody's to publish
    kid: str | None = None
    alg: Algorithm | None = None
    use: str = "sig"
    key_ops: list[str] = ["verify"]


def fetch_metadata(issuer: str) -> Metadata:
    """What the issuer says of itself now.

    Raises:
        IssuerAway: It does not answer, or not with what it should.
    """
    with _asking(issuer) as client:
        return _metadata(client, issuer)


def fetch_keys(issuer: str) -> tuple[Key, ...]:
    """The keys that the issuer publishes now (RFC 7517).

    Raises:
        IssuerAway: It does not answer, or not with what it should.
    """
    with _asking(issuer) as client:
        metadata = _metadata(client, issuer)
        found = _KeySet.model_validate_json(_get(client, metadata.jwks_uri))
    return tuple(key for published in found.keys if (key := _key(published)))


@contextmanager
def _asking(issuer: str) -> Iterator[httpx.Client]:
    try:
        with httpx.Client(timeout=TIMEOUT_S) as client:
            yield client
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        _log.warning("no answer from the issuer %s: %s", issuer, type(error).__name__)
        raise IssuerAway from None


def _metadata(client: httpx.Client, issuer: str) -> Metadata:
    found = Metadata.model_validate_json(
        _get(client, issuer.rstrip("/") + "/.well-known/openid-configuration")
    )
    if found.issuer != issuer:
        raise ValueError("the metadata are another issuer's")
    return found


def _get(client: httpx.Client, url: str) -> bytes:
    safe(url)
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
