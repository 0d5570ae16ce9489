"""How a virtual clinic's time reaches the processes that show it."""

import os
from typing import Final

from hybridtwin.errors import ModelError
from serving.access.issuers import is_loopback, safe
from serving.clock import Pace
from serving.settings import Settings

_VARIABLE: Final = "HYBRIDTWIN_DEMO_PACE"


def hand_on(pace: Pace) -> None:
    """Tell it to the processes that this one starts."""
    os.environ[_VARIABLE] = pace.model_dump_json()


def handed(settings: Settings) -> Pace:
    """What was handed to this process.

    Raises:
        ModelError: Nothing was; or others than people on this machine could come in.
    """
    said = os.environ.get(_VARIABLE)
    addresses = [settings.public_url, *(issuer.issuer for issuer in settings.issuers)]
    here = [url is not None and is_loopback(safe(url).hostname or "") for url in addresses]
    if said is None or not all(here):
        raise ModelError.of(
            "serving.demo.service",
            "shows virtual people, to people on this machine alone",
            "Run hybridtwin demo for that, and hybridtwin serve for everything else.",
        )
    return Pace.model_validate_json(said)
