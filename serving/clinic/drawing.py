"""Pictures of values over time, as SVG paths: x in minutes or steps, y from the top."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

HEIGHT: Final = 260
"""Of every picture."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scale:
    """Which values a picture shows.

    Attributes:
        bottom: The lowest.
        top: The highest.
    """

    bottom: float
    top: float

    def y(self, value: float) -> float:
        """How far below the top a value is drawn; beyond the edges at them."""
        inside = min(max(value, self.bottom), self.top)
        return HEIGHT * (self.top - inside) / (self.top - self.bottom)


GLUCOSE: Final = Scale(40, 300)
"""In mg/dL."""
y: Final = GLUCOSE.y


def line(values: Floats, step: float, scale: Scale = GLUCOSE) -> str:
    """A curve through values (T,), `step` apart; it breaks where one is NaN."""
    path, pen_down = [], False
    for number, value in enumerate(values.tolist()):
        if value != value:
            pen_down = False
            continue
        path.append(f"{'L' if pen_down else 'M'}{number * step:g} {scale.y(value):.0f}")
        pen_down = True
    return "".join(path)


def band(low: Floats, high: Floats, step: float, scale: Scale = GLUCOSE) -> str:
    """The area between two curves (T,), `step` apart; in parts where values are NaN."""
    known = ~(np.isnan(low) | np.isnan(high))
    edges = np.flatnonzero(np.diff(np.r_[False, known, False])).reshape(-1, 2)
    return "".join(_area(low, high, begin, end, step, scale) for begin, end in edges.tolist())


def _area(low: Floats, high: Floats, begin: int, end: int, step: float, scale: Scale) -> str:
    def point(number: int, values: Floats) -> str:
        return f"{number * step:g} {scale.y(float(values[number])):.0f}"

    there = [point(number, high) for number in range(begin, end)]
    back = [point(number, low) for number in reversed(range(begin, end))]
    return "M" + "L".join(there + back) + "Z"
