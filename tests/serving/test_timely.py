"""Who waits too long is told so; what has begun, or fails, is left as it is."""

import asyncio

import httpx
import pytest

from serving.timely import timely

LONGEST_S = 0.05
START = {"type": "http.response.start", "status": 200, "headers": []}
left = []


async def silent(scope, receive, send):
    try:
        await asyncio.Event().wait()
    finally:
        left.append(scope["path"])


async def slow(scope, receive, send):
    await send(START)
    for part in (b"news ", b"as they ", b"come"):
        await asyncio.sleep(LONGEST_S)
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def broken(scope, receive, send):
    raise ValueError("broken")


def _asked(app):
    async def ask():
        transport = httpx.ASGITransport(timely(app, LONGEST_S))
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            return await client.get("/v1/model")

    return asyncio.run(ask())


def test_who_waits_too_long_is_told_to_come_again():
    answer = _asked(silent)
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["code"] == "not-ready"
    assert left == ["/v1/model"]


def test_an_answer_that_has_begun_goes_on():
    assert _asked(slow).text == "news as they come"


def test_a_failure_is_let_through():
    with pytest.raises(ValueError, match="broken"):
        _asked(broken)
