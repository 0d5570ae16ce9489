"""A stream of news whose reader hangs up, and one that fails."""

import asyncio
import logging
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.sse import EventSourceResponse, ServerSentEvent

from serving.doors import guarded
from serving.problems import handle_problems

MANY = 100
DOSE = "67.7731"


def _app() -> FastAPI:
    app = FastAPI()
    handle_problems(app)

    @app.get("/news", response_class=EventSourceResponse)
    async def news() -> AsyncIterator[ServerSentEvent]:
        for number in range(MANY):
            yield ServerSentEvent(data=number)

    @app.get("/broken", response_class=EventSourceResponse)
    async def broken() -> AsyncIterator[ServerSentEvent]:
        yield ServerSentEvent(data=0)
        raise ValueError(DOSE)

    return app


async def _read(path: str, events: int) -> int:
    """Reads so many events, takes no more, and hangs up; how many there were."""
    read, slow, gone = 0, asyncio.Event(), asyncio.Event()
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},  # as uvicorn says
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": [],
    }
    request = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive():
        for message in request:
            return message
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        nonlocal read
        read += bool(message.get("body"))
        if read == events:
            slow.set()
            await asyncio.sleep(60)

    async def hang_up():
        await slow.wait()
        for _ in range(10):  # meanwhile more news wait to be taken
            await asyncio.sleep(0)
        gone.set()

    leaving = asyncio.create_task(hang_up())
    await asyncio.wait_for(guarded(_app())(scope, receive, send), timeout=30)
    leaving.cancel()
    return read


def test_a_reader_who_hangs_up_is_no_failure(caplog):
    assert asyncio.run(_read("/news", 2)) == 2
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]


def test_a_stream_that_fails_is_told_without_what_it_held(caplog):
    asyncio.run(_read("/broken", MANY))
    (said,) = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    assert said.startswith("/broken failed: ValueError\n")
    assert DOSE not in said
