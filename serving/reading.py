"""How somebody wants to read pages: their choices, kept in a cookie."""

from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from hybridtwin.units import GlucoseUnit
from serving.access.browser import own_path
from serving.reader import COOKIE, Clock, Reader
from serving.text.catalogue import LANGUAGES

_KEPT_S: Final = 365 * 24 * 3600
router = APIRouter(include_in_schema=False)


@router.post("/reading")
def choose(
    request: Request,
    language: Annotated[str, Form()],
    unit: Annotated[GlucoseUnit, Form()],
    clock: Annotated[Clock, Form()],
    next: Annotated[str, Form()] = "/",  # noqa: A002
) -> Response:
    """Read on in another language, unit or clock."""
    from_here = request.headers.get("sec-fetch-site", "same-origin") == "same-origin"
    if language not in LANGUAGES or not from_here:
        raise HTTPException(HTTPStatus.FORBIDDEN)
    answer = RedirectResponse(own_path(next), HTTPStatus.SEE_OTHER, {"Cache-Control": "no-store"})
    kept = Reader(language, unit, clock).as_cookie()
    answer.set_cookie(COOKIE, kept, _KEPT_S, httponly=True, samesite="lax")
    return answer
