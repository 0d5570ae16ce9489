"""Every error in one shape, problem details (RFC 9457), whatever part of the service found it."""

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final, cast

from anyio import BrokenResourceError
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from hybridtwin.errors import Problem, TwinError
from hybridtwin.validation import explain, place
from serving import page
from serving.access.browser import is_navigation
from serving.failures import told
from serving.schema import MAX_BODY_BYTES, MAX_IMPORT_BYTES, ErrorReport, ProblemItem
from serving.state import guest_of
from serving.store.errors import (
    AuditError,
    ConflictError,
    PrivacyError,
    StoreError,
    UnknownError,
)

MEDIA_TYPE: Final = "application/problem+json"
_SHOWN: Final = 10
_RETRY_S: Final = 5
_log = logging.getLogger(__name__)

_HTTP: Final = {
    401: (
        "not-authenticated",
        "the credentials are missing or not valid",
        "Send the header Authorization: Bearer with a valid token or API key.",
    ),
    403: (
        "not-allowed",
        "these credentials do not allow it",
        "Ask whoever gave them for the role or the share that it needs.",
    ),
    404: ("not-found", "there is nothing here", "The service's paths are in /openapi.json."),
    409: ("conflict", "it contradicts what is there", "Read what is there again."),
    412: (
        "changed-meanwhile",
        "somebody else changed it since it was read",
        "Read it again, and send the new ETag as If-Match.",
    ),
    428: (
        "version-required",
        "a change has to name the version that it is a change of",
        "Read it, and send its ETag as the header If-Match.",
    ),
    405: ("wrong-method", "this method is not offered here", "See /openapi.json."),
    413: (
        "too-large",
        f"the body is larger than {MAX_BODY_BYTES // 2**20} MiB, or a file than "
        f"{MAX_IMPORT_BYTES // 2**20} MiB",
        "Send fewer rows: two days of history are enough.",
    ),
    415: (
        "wrong-content-type",
        "the body is not declared as JSON, or a file not as bytes",
        "Send the header Content-Type: application/json, or application/octet-stream with a file.",
    ),
    429: (
        "too-many-requests",
        "this caller asks more often than the service allows",
        "Wait as many seconds as the header Retry-After says.",
    ),
    503: (
        "not-ready",
        "something that the answer needs is not there yet",
        "Ask again after as many seconds as the header Retry-After says.",
    ),
}


def problem_response(
    status: int, code: str, problems: Sequence[Problem], headers: Mapping[str, str] | None = None
) -> Response:
    """An error as the client sees it."""
    report = ErrorReport(
        type=f"urn:hybridtwin:problem:{code}",
        title=code.replace("-", " ").capitalize(),
        status=status,
        detail="\n".join(str(problem) for problem in problems),
        code=code,
        problems=[ProblemItem(where=p.where, what=p.what, advice=p.advice) for p in problems],
    )
    return Response(
        report.model_dump_json(), status, headers=dict(headers or {}), media_type=MEDIA_TYPE
    )


def http_problem(status: int, path: str, headers: Mapping[str, str] | None = None) -> Response:
    """The error for an HTTP status."""
    phrase = HTTPStatus(status).phrase
    code, what, advice = _HTTP.get(
        status, ("bad-request", phrase, "The service is described in /openapi.json.")
    )
    return problem_response(status, code, [Problem(path, what, advice)], headers)


def handle_problems(app: FastAPI) -> None:
    """Give every error of the app the one shape."""
    app.add_exception_handler(TwinError, _twin_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _internal_error)


def _twin_error(request: Request, error: Exception) -> Response:
    error = cast(TwinError, error)
    match error:
        case UnknownError():  # the answer that strangers to a patient get
            return http_problem(HTTPStatus.NOT_FOUND, request.url.path)
        case StoreError():
            _log.error("%s: %s", request.url.path, error)
            headers = {"Retry-After": str(_RETRY_S)}
            return problem_response(
                HTTPStatus.SERVICE_UNAVAILABLE, error.code, error.problems, headers
            )
        case ConflictError() | PrivacyError() | AuditError():
            return problem_response(HTTPStatus.CONFLICT, error.code, error.problems)
        case _:
            return problem_response(HTTPStatus.UNPROCESSABLE_ENTITY, error.code, error.problems)


def _http_error(request: Request, error: Exception) -> Response:
    error = cast(HTTPException, error)
    if error.status_code == HTTPStatus.BAD_REQUEST:  # the body could not even be decoded
        return _not_json("body", "cannot be read as JSON in UTF-8")
    headers = dict(error.headers or {})
    if error.status_code < HTTPStatus.BAD_REQUEST:  # to the sign-in
        return Response(status_code=error.status_code, headers=headers)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:  # Starlette names one route's methods
        route = getattr(request.scope.get("route"), "path", "")
        operations = request.app.openapi()["paths"].get(route, {})
        headers |= {"Allow": ", ".join(sorted(map(str.upper, operations)))} if operations else {}
    guest = guest_of(request)
    if guest and guest.kind == "session" and is_navigation(request):  # a person is reading
        shown = page.refusal(request, error.status_code)
        shown.headers.update(headers)
        return shown
    return http_problem(error.status_code, request.url.path, headers)


def _internal_error(request: Request, error: Exception) -> Response:
    while isinstance(error, ExceptionGroup):  # of a stream's tasks
        error = error.exceptions[0]
    if not isinstance(error, BrokenResourceError):  # a stream's reader hung up: FastAPI tells so
        _log.error("%s failed: %s", request.url.path, told(error))
    problem = Problem(
        request.url.path, "the service failed", "It is not your request; please report it."
    )
    return problem_response(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", [problem])


def _not_json(where: str, what: str) -> Response:
    problem = Problem(where, what, "Send one complete JSON object.")
    return problem_response(HTTPStatus.BAD_REQUEST, "not-json", [problem])


def _validation_error(request: Request, error: Exception) -> Response:
    found = cast(RequestValidationError, error).errors()
    first = found[0]
    if first["type"] == "json_invalid":
        place = f"body, character {first['loc'][-1]}"
        return _not_json(place, f"is not JSON: {first['ctx']['error']}")
    problems = [explain(entry, _place(entry["loc"]), quote=False) for entry in found[:_SHOWN]]
    if len(found) > _SHOWN:
        more = f"{len(found) - _SHOWN} more problems"
        problems.append(Problem(_place(found[_SHOWN]["loc"]), more, "Correct them too."))
    return problem_response(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", problems)


def _place(loc: Sequence[str | int]) -> str:
    """glucose[3].value, from ('body', 'glucose', 3, 'value')."""
    return place(loc[1:]) or str(loc[0])
