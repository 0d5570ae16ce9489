"""What is looked at before a request is read: its declared type and its size."""

import logging
import re
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.problems import http_problem
from serving.schema import MAX_BODY_BYTES, MAX_FORM_BYTES, MAX_IMPORT_BYTES

_log = logging.getLogger(__name__)
_IMPORT: Final = re.compile(r"/v1/patients/[^/]+/imports")
_WITH_BODY: Final = {"POST", "PUT", "PATCH"}


def guarded(app: ASGIApp) -> ASGIApp:
    """The app behind a door that refuses bodies that are too large, or not of the path's type.

    The result is deliberately no Starlette app: BentoML then hands over every path that is not its
    own, unknown ones too, and errors keep one shape.
    """

    async def door(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] in _WITH_BODY:
            status = _refusal(Headers(scope=scope), *_taken(scope["path"]))
            if status:
                await http_problem(status, scope["path"])(scope, receive, send)
                return
        try:
            await app(scope, _limited(receive, _taken(scope.get("path", ""))[1]), send)
        except Exception as error:  # answered and logged within; its message could hold data
            _log.debug("%s", type(error).__name__)

    return door


def readable(app: ASGIApp) -> ASGIApp:
    """A server behind a door that refuses paths with characters that cannot be printed.

    No route has such a path, and a mounted app does not even see one with a line's end.
    """

    async def door(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].isprintable():
            await http_problem(404, scope["path"])(scope, receive, send)
        else:
            await app(scope, receive, send)

    return door


def _taken(path: str) -> tuple[str, int]:
    """Of which type a path takes bodies, and of how many bytes at most."""
    if _IMPORT.fullmatch(path):
        return "application/octet-stream", MAX_IMPORT_BYTES
    if path.startswith("/v1/"):
        return "application/json", MAX_BODY_BYTES
    return "application/x-www-form-urlencoded", MAX_FORM_BYTES


def _refusal(headers: Headers, media_type: str, most_bytes: int) -> int | None:
    length = headers.get("content-length", "0")
    if length.isdecimal() and int(length) > most_bytes:
        return 413
    if length == "0" and "transfer-encoding" not in headers:
        return None  # there is no body, whatever a form declares it to be
    if headers.get("content-type", "").split(";")[0].strip().lower() != media_type:
        return 415
    return None


def _limited(receive: Receive, most_bytes: int) -> Receive:
    """Messages as they come, until a body that states no length grows too large."""
    taken = 0

    async def limited() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > most_bytes:
            raise HTTPException(413)
        return message

    return limited
