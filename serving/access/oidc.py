"""Signing people in at their issuer: OpenID Connect, authorization code flow with PKCE."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from secrets import token_urlsafe
from threading import Lock
from typing import Final
from urllib.parse import urlencode

from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from cachetools import TTLCache, cached
from pydantic import BaseModel, ConfigDict, Field

from serving.access.caller import Caller
from serving.access.issuers import (
    REFRESH_S,
    TIMEOUT_S,
    Issuer,
    IssuerAway,
    Metadata,
    fetch_metadata,
)
from serving.access.tokens import Refused, id_verifier

_log = logging.getLogger(__name__)
_MAX_ISSUERS: Final = 8


class Attempt(BaseModel):
    """What a sign-in has to come back with, and where it leads; 256 random bits each.

    Whoever comes back has to bring the `state` (RFC 6749, 10.12), the issuer is shown the
    `verifier` (RFC 7636), and its ID token has to repeat the `nonce`.
    """

    model_config = ConfigDict(frozen=True)

    target: str
    state: str = Field(default_factory=token_urlsafe)
    nonce: str = Field(default_factory=token_urlsafe)
    verifier: str = Field(default_factory=token_urlsafe)


@dataclass(frozen=True)
class Client:
    """The service as a client of an issuer.

    Attributes:
        issuer: Where people sign in.
        client_id: As whom the issuer knows the service.
        secret: By which it knows it; none for a public client, which PKCE alone protects.
        back: The address to which the issuer sends people back.
    """

    issuer: Issuer
    client_id: str
    back: str
    secret: str | None = field(default=None, repr=False)

    def page(self, attempt: Attempt) -> str:
        """The address of the issuer's page where people sign in.

        Raises:
            IssuerAway: It does not answer, or offers none.
        """
        metadata = _metadata(self.issuer.issuer)
        with self._session(metadata) as session:
            address, _ = session.create_authorization_url(
                _offered(metadata.authorization_endpoint),
                state=attempt.state,
                nonce=attempt.nonce,
                code_verifier=attempt.verifier,
            )
        return str(address)

    def identify(self, attempt: Attempt, code: str, said_by: str | None) -> Caller:
        """Who signed in.

        Args:
            attempt: What it was begun with.
            code: What they brought back from the issuer.
            said_by: Which issuer they say it is from (RFC 9207).

        Raises:
            Refused: The issuer does not know the code, or its ID token is not good.
            IssuerAway: It does not answer.
        """
        metadata = _metadata(self.issuer.issuer)
        if said_by is None and metadata.authorization_response_iss_parameter_supported:
            raise Refused
        if said_by not in (None, self.issuer.issuer):
            raise Refused
        try:
            with self._session(metadata) as session:
                answer = session.fetch_token(
                    _offered(metadata.token_endpoint),
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=attempt.verifier,
                    allow_redirects=False,
                )
        except OAuthError as error:
            _log.warning("%s refused a code: %.40r", self.issuer.issuer, error.error)
            raise Refused from None
        except (OSError, ValueError) as error:  # requests' own are OSErrors
            _log.warning("no token from %s: %s", self.issuer.issuer, type(error).__name__)
            raise IssuerAway from None
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise Refused
        return self._verify(token, attempt.nonce)

    def sign_out_page(self, after: str) -> str | None:
        """The address where the issuer ends its own session, if it offers one and answers.

        The service keeps no token to show there, so that the issuer may ask for confirmation
        (OpenID Connect RP-Initiated Logout 1.0, 2).

        Args:
            after: Where the issuer sends people afterwards.
        """
        try:
            address = _metadata(self.issuer.issuer).end_session_endpoint
        except IssuerAway:
            return None
        if address is None:
            return None
        said = {"client_id": self.client_id, "post_logout_redirect_uri": after}
        return f"{address}{'&' if '?' in address else '?'}{urlencode(said)}"

    def _session(self, metadata: Metadata) -> OAuth2Session:
        method = "none"
        if self.secret:
            allowed = metadata.token_endpoint_auth_methods_supported
            basic = "client_secret_basic"
            method = basic if basic in allowed else "client_secret_post"
        return OAuth2Session(
            self.client_id,
            self.secret,
            token_endpoint_auth_method=method,
            scope=self.issuer.scopes,
            redirect_uri=self.back,
            code_challenge_method="S256",
            default_timeout=TIMEOUT_S,
        )

    @cached_property
    def _verify(self) -> Callable[[str, str], Caller]:
        return id_verifier(self.issuer, self.client_id)


@cached(TTLCache(_MAX_ISSUERS, REFRESH_S), lock=Lock())
def _metadata(issuer: str) -> Metadata:
    return fetch_metadata(issuer)


def _offered(address: str | None) -> str:
    if address is None:
        raise IssuerAway
    return address
