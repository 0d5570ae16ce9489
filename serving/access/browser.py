"""People who come by a browser: their cookies, and where a page may lead them.

A cookie goes along with what another site makes a browser send. So it counts only where the
browser itself says that the request comes from one of the service's own pages (Fetch Metadata, or
in older browsers the Origin), or that it opens a page: no page and no script has to carry a token
for that, and none can forget it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode

from fastapi import Request
from fastapi.responses import Response
from pydantic import ValidationError

from serving.access.caller import Caller
from serving.access.oidc import Attempt, Client

_SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")
ATTEMPT_S: Final = 600
"""How long somebody may take to sign in at the issuer."""
_MAX_TARGET_CHARS: Final = 1000


@dataclass(frozen=True)
class Browsers:
    """How people come in by a browser.

    Attributes:
        url: The service's address as they know it, without a path.
        client: Signs them in.
        find: Whose session a secret is, if it has not ended; it goes on if somebody is there.
        begin: Begins a session; its secret.
        end: Ends the session of a secret, if there is one.
        refused: Told who could not be signed in: a subject or an address.
    """

    url: str
    client: Client
    find: Callable[[str, bool], Caller | None]
    begin: Callable[[Caller], str]
    end: Callable[[str], None]
    refused: Callable[[str], None]

    @property
    def cookie(self) -> str:
        """The name of the session's cookie; `__Host-` keeps other hosts from setting it."""
        return f"{'__Host-' if self._tls else ''}hybridtwin"

    def caller(self, request: Request) -> Caller | None:
        """Whose session the request belongs to, unless another site may have made it."""
        secret = request.cookies.get(self.cookie)
        if not secret or not self.own(request):
            return None
        return self.find(secret, "hybridtwin-unattended" not in request.headers)

    def set(self, response: Response, name: str, value: str, max_age_s: int | None = None) -> None:
        """Put a cookie into a browser that no script reads and that stays with this host."""
        response.set_cookie(
            name, value, max_age_s, path="/", secure=self._tls, httponly=True, samesite="lax"
        )

    def attempt_cookie(self, state: str) -> str:
        """Several tabs may sign in side by side."""
        return f"{self.cookie}-{state}"

    def attempt(self, request: Request) -> Attempt | None:
        """The sign-in that this browser began, and the request brings to its end."""
        state = request.query_params.get("state", "")
        try:
            found = Attempt.model_validate_json(
                bytes.fromhex(request.cookies.get(self.attempt_cookie(state), ""))
            )
        except (ValidationError, ValueError):
            return None
        return found if found.state == state else None

    def own(self, request: Request) -> bool:
        """Whether no other site made the request, or only opened a page by it."""
        site = request.headers.get("sec-fetch-site")
        if request.method in _SAFE_METHODS:
            opened = request.headers.get("sec-fetch-mode") == "navigate"
            return opened or site in (None, "none", "same-origin")
        if site is not None:
            return site == "same-origin"
        return request.headers.get("origin") == self.url

    def sign_in_page(self, request: Request) -> str:
        """Where to sign in, and come back to what was asked."""
        path, query = quote(request.scope["path"]), request.url.query
        return f"{self.url}/sign-in?{urlencode({'next': f'{path}?{query}' if query else path})}"

    @property
    def _tls(self) -> bool:
        return self.url.startswith("https:")


def is_navigation(request: Request) -> bool:
    """Whether somebody opens a page, rather than a script or a machine asking."""
    return (
        request.method == "GET"
        and "text/html" in request.headers.get("accept", "")
        and request.headers.get("sec-fetch-mode", "navigate") == "navigate"
    )


def own_path(text: str) -> str:
    """A path of this service, with its query; the first page for everything else.

    Browsers take `//host`, `/\\host` and what becomes so without tabs and line ends for other
    hosts.
    """
    if (
        text.startswith("/")
        and not text.startswith("//")
        and "\\" not in text
        and " " not in text
        and text.isascii()
        and text.isprintable()
        and len(text) <= _MAX_TARGET_CHARS
    ):
        return text
    return "/"
