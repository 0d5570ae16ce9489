"""Signing in and out by a browser: where people are sent, and where they come back."""

from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from serving import page
from serving.access.browser import ATTEMPT_S, Browsers, own_path
from serving.access.caller import Caller
from serving.access.door import TheAccess, visitor
from serving.access.issuers import IssuerAway
from serving.access.oidc import Attempt
from serving.access.tokens import Refused

SIGNED_OUT: Final = "/signed-out"
router = APIRouter(include_in_schema=False)
_TheVisitor = Annotated[Caller, Depends(visitor)]


def _browsers(access: TheAccess) -> Browsers:
    if access.browsers is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return access.browsers


_TheBrowsers = Annotated[Browsers, Depends(_browsers)]


@router.get("/sign-in")
def sign_in(
    request: Request,
    browsers: _TheBrowsers,
    _: _TheVisitor,
    next: str = "/",  # noqa: A002
) -> Response:
    """To the issuer, which knows how to come back."""
    attempt = Attempt(target=own_path(next))
    try:
        answer = _to(browsers.client.page(attempt))
    except IssuerAway:
        return _failed(request, HTTPStatus.SERVICE_UNAVAILABLE)
    kept = attempt.model_dump_json().encode().hex()
    browsers.set(answer, browsers.attempt_cookie(attempt.state), kept, ATTEMPT_S)
    return answer


@router.get("/signed-in")
def signed_in(request: Request, browsers: _TheBrowsers, visitor: _TheVisitor) -> Response:
    """From the issuer, to where one wanted to go."""
    attempt = browsers.attempt(request)
    try:
        if attempt is None:
            raise Refused
        answer = _enter(request, browsers, attempt)
    except Refused:
        browsers.refused(visitor.subject)
        answer = _failed(request, HTTPStatus.FORBIDDEN)
    except IssuerAway:
        answer = _failed(request, HTTPStatus.SERVICE_UNAVAILABLE)
    if attempt is not None:
        browsers.set(answer, browsers.attempt_cookie(attempt.state), "", 0)
    return answer


@router.post("/sign-out")
def sign_out(request: Request, browsers: _TheBrowsers, _: _TheVisitor) -> Response:
    """The end of the session, here and at the issuer."""
    if not browsers.own(request):
        raise HTTPException(HTTPStatus.FORBIDDEN)
    if browsers.caller(request) is None:
        return _to(SIGNED_OUT)
    browsers.end(request.cookies[browsers.cookie])
    onward = browsers.client.sign_out_page(browsers.url + SIGNED_OUT)
    # No redirect: a page's policy would have to allow wherever its form may lead in the end.
    answer = page.answer(request, "signed_out.html", onward=onward)
    browsers.set(answer, browsers.cookie, "", 0)
    return answer


@router.get(SIGNED_OUT)
def signed_out(request: Request, browsers: _TheBrowsers, _: _TheVisitor) -> Response:
    """That it is over, and where to begin again."""
    return page.answer(request, "signed_out.html", onward=None)


def _enter(request: Request, browsers: Browsers, attempt: Attempt) -> Response:
    """The session of whoever signed in; the one that the browser had before is over.

    Raises:
        Refused: They did not, or another.
        IssuerAway: It does not answer.
    """
    code, said_by = (request.query_params.get(name) for name in ("code", "iss"))
    if not code:
        raise Refused
    who = browsers.client.identify(attempt, code, said_by)
    if not who.roles:
        browsers.refused(who.subject)
        onward = browsers.client.sign_out_page(browsers.url + SIGNED_OUT)
        return _failed(request, HTTPStatus.FORBIDDEN, who, onward)
    browsers.end(request.cookies.get(browsers.cookie, ""))
    answer = _to(own_path(attempt.target))
    browsers.set(answer, browsers.cookie, browsers.begin(who))
    return answer


def _to(address: str) -> Response:
    return RedirectResponse(address, HTTPStatus.SEE_OTHER, {"Cache-Control": "no-store"})


def _failed(
    request: Request, status: HTTPStatus, who: Caller | None = None, onward: str | None = None
) -> Response:
    away = status is HTTPStatus.SERVICE_UNAVAILABLE
    return page.answer(request, "sign_in_failed.html", status, away=away, who=who, onward=onward)
