"""What the running service holds, as routes ask for it."""

from concurrent.futures import Future
from typing import Annotated

from fastapi import Depends, Request

from hybridtwin.twin import Twin
from serving.settings import Settings
from serving.tonight import Tonight


def _twin(request: Request) -> Twin:
    twin: Twin = request.app.state.twin
    return twin


def _review(request: Request) -> Future[Tonight] | None:
    review: Future[Tonight] | None = request.app.state.review
    return review


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


def clinic(request: Request) -> str | None:
    """The clinic whose night is reviewed: the name of its folder."""
    folder = _settings(request).clinic
    return None if folder is None else folder.resolve().name


TheTwin = Annotated[Twin, Depends(_twin)]
TheReview = Annotated[Future[Tonight] | None, Depends(_review)]
TheSettings = Annotated[Settings, Depends(_settings)]
