"""What a figure of the benchmark is, and how time is taken for it."""

import gc
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter


@dataclass(frozen=True)
class Row:
    """One figure beside its peer, both measured in the same run.

    Attributes:
        name: What is measured.
        value: Our figure.
        unit: Of both figures.
        peer: Whom we are compared with.
        peer_value: Their figure.
        less_is_better: As for times, in contrast to rates.
    """

    name: str
    value: float
    unit: str
    peer: str
    peer_value: float
    less_is_better: bool = False

    @property
    def ratio(self) -> float:
        """How many times as fast as the peer."""
        return self.peer_value / self.value if self.less_is_better else self.value / self.peer_value

    def as_json(self) -> dict[str, str | float]:
        names = ("name", "value", "unit", "peer", "peer_value", "ratio")
        return {name: getattr(self, name) for name in names}


def median_s(work: Callable[[], object], repeats: int = 7, warm_ups: int = 2) -> float:
    """Median duration of `work` in seconds: warmed up, garbage collected before, not during."""
    for _ in range(warm_ups):
        work()
    durations = []
    for _ in range(repeats):
        gc.collect()
        gc.disable()
        try:
            begin = perf_counter()
            work()
            durations.append(perf_counter() - begin)
        finally:
            gc.enable()
    return statistics.median(durations)
