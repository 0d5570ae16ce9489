"""An answer within a minute, or a word that there is none, in the one shape of all errors."""

import asyncio
from http import HTTPStatus
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.problems import http_problem

LONGEST_S: Final = 60.0
_RETRY_S: Final = 5


def timely(app: ASGIApp, longest_s: float = LONGEST_S) -> ASGIApp:
    """The app; whoever has waited so long for an answer to begin is told to come again (503).

    An answer that has begun goes on, a stream for example. A thread that is at work is not
    interrupted: what it writes is kept, as where an answer is lost on its way.
    """

    async def door(scope: Scope, receive: Receive, send: Send) -> None:
        begun = asyncio.Event()

        async def noting(message: Message) -> None:
            begun.set()
            await send(message)

        answering = asyncio.ensure_future(app(scope, receive, noting))
        beginning = asyncio.ensure_future(begun.wait())
        either = asyncio.FIRST_COMPLETED
        try:
            await asyncio.wait({answering, beginning}, timeout=longest_s, return_when=either)
            if in_time := begun.is_set() or answering.done():
                await answering
        finally:
            beginning.cancel()
            answering.cancel()
        if not in_time:
            later = {"Retry-After": str(_RETRY_S)}
            refusal = http_problem(HTTPStatus.SERVICE_UNAVAILABLE, scope["path"], later)
            await refusal(scope, receive, send)

    return door
