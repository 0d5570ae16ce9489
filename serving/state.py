"""What the running service holds, as routes ask for it."""

from collections.abc import AsyncIterator
from concurrent.futures import Future
from http import HTTPStatus
from threading import Event
from typing import Annotated

from anyio import Semaphore
from fastapi import Depends, Request
from starlette.exceptions import HTTPException

from hybridtwin.twin import Twin
from serving.access.caller import Caller
from serving.settings import Settings
from serving.tonight import Tonight


def _model(request: Request) -> Twin:
    twin: Twin = request.app.state.twin
    return twin


async def _twin(request: Request) -> AsyncIterator[Twin]:
    """The twin, one question at a time: two at once only take each other's processor.

    Raises:
        HTTPException: 503 if too many wait for it.
    """
    turn: Semaphore = request.app.state.turn
    if not turn.value and turn.statistics().tasks_waiting >= _settings(request).waiting_max:
        raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, headers={"Retry-After": "1"})
    async with turn:
        yield _model(request)


def _review(request: Request) -> Future[Tonight] | None:
    review: Future[Tonight] | None = request.app.state.review
    return review


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


def _stopping(request: Request) -> Event:
    stopping: Event = request.app.state.working.stopping
    return stopping


def guest_of(request: Request) -> Caller | None:
    """Whom the door let in; nobody where there is no door."""
    who: Caller | None = getattr(request.state, "caller", None)
    return who


def clinic(request: Request) -> str | None:
    """The clinic whose night is reviewed: the name of its folder."""
    folder = _settings(request).clinic
    return None if folder is None else folder.resolve().name


TheModel = Annotated[Twin, Depends(_model)]
"""The twin, to be looked at; to compute with it, ask for `TheTwin`."""
TheTwin = Annotated[Twin, Depends(_twin, scope="function")]
TheReview = Annotated[Future[Tonight] | None, Depends(_review)]
TheSettings = Annotated[Settings, Depends(_settings)]
TheStopping = Annotated[Event, Depends(_stopping)]
"""Set once the process is to end, in a service with a store."""
