"""How often one caller may ask."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Final

from cachetools import TTLCache

from serving.access.caller import Caller

WINDOW_S: Final = 60.0
_MOST_CALLERS: Final = 20_000  # beyond, the least recent begin anew; about 10 MB


@dataclass
class _Window:
    begin_s: float
    requests: int = 0


def rate_limit(
    per_min: int, strangers_per_min: int, clock: Callable[[], float] = time.monotonic
) -> Callable[[Caller], float]:
    """A function that counts one request of a caller and returns the seconds to wait, 0 if none.

    Requests are counted in windows of a minute, each begun by its first request. The count is this
    process's own: n processes let n times as many pass.
    """
    windows: TTLCache[tuple[str, str], _Window] = TTLCache(_MOST_CALLERS, WINDOW_S, clock)
    counting = Lock()

    def wait_s(caller: Caller) -> float:
        limit = strangers_per_min if caller.kind == "stranger" else per_min
        now_s = clock()
        with counting:
            window = windows.setdefault((caller.kind, caller.subject), _Window(now_s))
            window.requests += 1
            admitted = window.requests <= limit
        return 0.0 if admitted else max(window.begin_s + WINDOW_S - now_s, 1.0)

    return wait_s
