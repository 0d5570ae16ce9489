"""The ranges of glucose in which the consensus counts time.

Battelino et al. 2019, Diabetes Care 42:1593, doi:10.2337/dci19-0028, tables 3 (type 1 and 2) and 4
(pregnancy). Ranges are of whole mg/dL, as sensors show them: 181 is the first high value. This
keeps values in mmol/L in their range after conversion too (10.0 mmol/L is 180.2 mg/dL, and not
high).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from hybridtwin.glycemia.trace import Floats


@dataclass(frozen=True)
class Range:
    """A range of glucose.

    Attributes:
        name: In the names of results.
        from_mg_dl: Lowest value that belongs to it.
        below_mg_dl: Lowest value that does not any more.
        mmol_l: The same for people who read mmol/L.
    """

    name: str
    from_mg_dl: float
    below_mg_dl: float
    mmol_l: str

    @property
    def mg_dl(self) -> str:
        """As people write it."""
        if self.from_mg_dl == 0:
            return f"<{self.below_mg_dl:.0f}"
        if np.isinf(self.below_mg_dl):
            return f">{self.from_mg_dl - 1:.0f}"
        return f"{self.from_mg_dl:.0f}-{self.below_mg_dl - 1:.0f}"

    def percent(self, mg_dl: Floats) -> float:
        """Per cent of the known values of a trace (T,) that lie in it; NaN if none is known."""
        known = mg_dl[~np.isnan(mg_dl)]
        inside = (known >= self.from_mg_dl) & (known < self.below_mg_dl)
        return float(100 * inside.mean()) if len(known) else float("nan")


RANGES: Final = (
    Range("very_low", 0, 54, "<3.0"),
    Range("low", 54, 70, "3.0-3.8"),
    Range("target", 70, 181, "3.9-10.0"),
    Range("high", 181, 251, "10.1-13.9"),
    Range("very_high", 251, np.inf, ">13.9"),
)
"""Of people with diabetes; they share all values among them."""
PREGNANCY_RANGES: Final = (
    Range("very_low", 0, 54, "<3.0"),
    Range("low", 54, 63, "3.0-3.4"),
    Range("target", 63, 141, "3.5-7.8"),
    Range("high", 141, np.inf, ">7.8"),
)
"""Of pregnant people; they share all values among them."""
TIGHT: Final = Range("tight", 70, 141, "3.9-7.8")
"""Nearly that of people without diabetes."""


@dataclass(frozen=True)
class Goal:
    """What the consensus asks of the time in one or several ranges.

    Attributes:
        ranges: Their names; their time is added.
        percent: Of the time.
        at_least: Whether it should be more than that rather than less.
    """

    ranges: tuple[str, ...]
    percent: float
    at_least: bool = False

    def met(self, percents: dict[str, float]) -> bool:
        """Whether the time in ranges, by name, is as it should be."""
        share = sum(percents[name] for name in self.ranges)
        return share > self.percent if self.at_least else share < self.percent


GOALS: Final = (
    Goal(("very_low",), 1),
    Goal(("very_low", "low"), 4),
    Goal(("target",), 70, at_least=True),
    Goal(("high", "very_high"), 25),
    Goal(("very_high",), 5),
)
PREGNANCY_GOALS: Final = (*GOALS[:3], Goal(("high",), 25))
