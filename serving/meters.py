"""Figures for monitoring, and the log: requests by route and status, never by what a path names."""

import logging
import time
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_ELSEWHERE: Final = "elsewhere"
"""All paths that are no route's."""
_log = logging.getLogger("bentoml.access")


def measured(app: ASGIApp) -> ASGIApp:
    """The app, its requests counted, timed and told in the log; a stream is timed to its end."""
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
            took_s = time.perf_counter() - begin
            requests.labels(method, endpoint, status).inc()
            seconds.labels(method, endpoint).observe(took_s)
            who = (scope.get("client") or ("-",))[0]
            _log.info("%s %s %s %d %.1f ms", who, method or "-", endpoint, status, 1000 * took_s)

    return meter


def figures() -> Response:
    """The figures of all workers on this machine."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
