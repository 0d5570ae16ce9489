"""The door of the service: who comes in, and what they may do inside.

The app keeps an `Access` as `app.state.access`. A route asks for `Depends(require(ACTION))`; its
path names whom it is about as `{patient}` or `{clinic}`.
"""

import re
from collections.abc import Callable, Set
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from math import ceil
from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

from serving.access.browser import Browsers, is_navigation
from serving.access.caller import Caller, stranger
from serving.access.issuers import RETRY_S, IssuerAway
from serving.access.policy import Action, may
from serving.access.relations import Relation, Ties, relations
from serving.access.tokens import Refused
from serving.store.api_keys import PREFIX

_BEARER: Final = re.compile(r"bearer +([A-Za-z0-9._~+/-]+=*) *", re.IGNORECASE)  # RFC 6750
_CHALLENGE: Final = 'Bearer realm="hybridtwin"'
_described: Final = Depends(
    HTTPBearer(
        scheme_name="bearer",
        description=f"A token of a trusted issuer, or an API key ({PREFIX}...).",
        auto_error=False,
    )
)
"""For the API's description; what it reads is not used."""


@dataclass(frozen=True)
class Access:
    """What the door asks."""

    token: Callable[[str], Caller]
    """The caller of a token; raises Refused or IssuerAway."""
    key: Callable[[str], Caller | None]
    """The caller of an API key; None for one that is unknown, expired or revoked."""
    ties: Callable[[str], Ties]
    """The ties of a patient, by id; empty ones for an unknown patient, after the same work."""
    wait_s: Callable[[Caller], float]
    """Counts a request; the seconds until the caller may ask again, 0 for now."""
    denied: Callable[[Caller, Action, str | None], None]
    """Told of everything that is refused to a caller: what, and about which patient."""
    browsers: Browsers | None = None
    """How people come in by a browser, if they may."""

    def relations(self, who: Caller, patient: str) -> frozenset[Relation]:
        """What a caller is to a patient now."""
        return relations(who, self.ties(patient), datetime.now(UTC))


def _access(request: Request) -> Access:
    access: Access = request.app.state.access
    return access


TheAccess = Annotated[Access, Depends(_access)]


def caller(request: Request, access: TheAccess, _: Annotated[object, _described]) -> Caller:
    """Whoever sends the request.

    Raises:
        HTTPException: 401 without good credentials, 429 if they ask too often, 503 if their
            token's issuer is away; 303 to the sign-in for somebody who opens a page.
    """
    given = request.headers.getlist("authorization")
    found, refusal = None, None
    try:
        found = _recognise(request, given, access)
    except Refused:
        refusal = _turned_away(request, given, access)
    except IssuerAway:
        refusal = HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, headers=_retry(RETRY_S))
    who = found or _stranger(request)
    _count(access, who)
    if refusal:
        raise refusal
    request.state.caller = who
    return who


TheCaller = Annotated[Caller, Depends(caller)]


def visitor(request: Request, access: TheAccess) -> Caller:
    """Whoever comes to sign in or out, known by their network alone.

    Raises:
        HTTPException: 429 if they ask too often.
    """
    who = _stranger(request)
    _count(access, who)
    return who


def _stranger(request: Request) -> Caller:
    return stranger(request.client.host if request.client else "")


def _count(access: Access, who: Caller) -> None:
    wait_s = access.wait_s(who)
    if wait_s:
        raise HTTPException(HTTPStatus.TOO_MANY_REQUESTS, headers=_retry(wait_s))


def _turned_away(request: Request, given: list[str], access: Access) -> HTTPException:
    if access.browsers and not given and is_navigation(request):
        headers = {"Location": access.browsers.sign_in_page(request), "Cache-Control": "no-store"}
        return HTTPException(HTTPStatus.SEE_OTHER, headers=headers)
    challenge = f'{_CHALLENGE}, error="invalid_token"' if given else _CHALLENGE
    return HTTPException(HTTPStatus.UNAUTHORIZED, headers={"WWW-Authenticate": challenge})


def _recognise(request: Request, given: list[str], access: Access) -> Caller:
    """The caller whom the one Authorization header stands for, or without one the session."""
    if not given and access.browsers:
        found = access.browsers.caller(request)
        if found is None:
            raise Refused
        return found
    bearer = _BEARER.fullmatch(given[0]) if len(given) == 1 else None
    if bearer is None:
        raise Refused
    credential = bearer[1]
    if not credential.startswith(PREFIX):  # a token never does
        return access.token(credential)
    found = access.key(credential)
    if found is None:
        raise Refused
    return found


def _retry(wait_s: float) -> dict[str, str]:
    return {"Retry-After": str(ceil(wait_s))}


def _clinic(request: Request) -> str | None:
    clinic: str | None = request.path_params.get("clinic")
    return clinic


def require(
    action: Action, clinic_of: Callable[[Request], str | None] = _clinic
) -> Callable[..., Caller]:
    """A dependency that lets in only who may do this; its value is the caller.

    Args:
        action: What the route does.
        clinic_of: Which clinic a request without a patient is about.

    Raises:
        HTTPException: 404 for a patient who is nothing to the caller, whether there is one or
            not; 403 for whatever else the caller may not do.
    """

    def permitted(request: Request, access: TheAccess, who: TheCaller) -> Caller:
        patient = request.path_params.get("patient")
        if patient is not None:
            permit(access, who, action, access.relations(who, patient), patient)
        else:
            tied_to_clinic = clinic_of(request) in who.clinics
            permit(access, who, action, {Relation.CLINIC} if tied_to_clinic else set())
        return who

    return permitted


def is_allowed(who: Caller, action: Action, tied: Set[Relation]) -> bool:
    """Whether one of these relations, or the caller's role alone, allows the action."""
    return any(may(who, action, relation) for relation in (Relation.NONE, *tied))


def permit(
    access: Access, who: Caller, action: Action, tied: Set[Relation], patient: str | None = None
) -> None:
    """Refuse unless one of these relations, or the caller's role alone, allows the action.

    Raises:
        HTTPException: 403; or 404 for a patient to whom the caller has no tie.
    """
    if is_allowed(who, action, tied):
        return
    access.denied(who, action, patient)
    if patient is not None and not tied:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    challenge = f'{_CHALLENGE}, error="insufficient_scope"'
    raise HTTPException(HTTPStatus.FORBIDDEN, headers={"WWW-Authenticate": challenge})
