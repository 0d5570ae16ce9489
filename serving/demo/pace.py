"""How a virtual clinic's time reaches the processes that show it: by a file in its folder.

Time stands still there until the service is up, or at a high speed readings would be hours old
before the first could be sent.
"""

import os
import time
from pathlib import Path
from threading import Thread
from typing import Final

from hybridtwin.errors import ModelError
from serving import clock
from serving.access.issuers import is_loopback, safe
from serving.clock import Pace
from serving.settings import Settings

_VARIABLE: Final = "HYBRIDTWIN_DEMO_PACE"
_FILE: Final = "pace.json"
_LOOK_S: Final = 0.1


def state(home: Path, pace: Pace) -> None:
    """Tell it to the processes that this one starts, or has started."""
    file = home.resolve() / _FILE
    part = file.with_suffix(".part")
    part.write_text(pace.model_dump_json())
    part.replace(file)
    os.environ[_VARIABLE] = str(file)


def follow(settings: Settings) -> None:
    """Live by the time that was stated, in this process, and go on with it when it begins.

    Raises:
        ModelError: None was; or others than people on this machine could come in.
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
    _follow(Path(said))
    Thread(target=_until_begun, args=(Path(said),), daemon=True).start()


def _follow(file: Path) -> bool:
    """Whether it has begun."""
    pace = Pace.model_validate_json(file.read_bytes())
    clock.follow(pace)
    return pace.begun is not None


def _until_begun(file: Path) -> None:
    while not _follow(file):
        time.sleep(_LOOK_S)
