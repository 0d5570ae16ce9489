"""Figures for monitoring: requests by route and status, never by what a path names."""

import time
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ELSEWHERE: Final = "elsewhere"
"""All paths that are no route's."""


def measured(app: ASGIApp) -> ASGIApp:
    """The app, its requests counted and timed; a stream is timed to its end."""
    requests = Counter(
        "hybridtwin_requests", "Requests answered.", ["method", "endpoint", "status"]
    )
    seconds = Histogram("hybridtwin_request_seconds", "Time to answer.", ["method", "endpoint"])

    async def meter(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        begin, status = time.perf_counter(), 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await app(scope, receive, noting)
        finally:
            endpoint = getattr(scope.get("route"), "path", _ELSEWHERE)
            method = scope["method"] if endpoint != _ELSEWHERE else ""
            requests.labels(method, endpoint, status).inc()
            seconds.labels(method, endpoint).observe(time.perf_counter() - begin)

    return meter


def figures() -> Response:
    """The figures of all workers on this machine."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
