"""Small pictures of glucose over time, as SVG paths: x in minutes, y in mg/dL from the top."""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

BOTTOM_MG_DL, TOP_MG_DL = 40, 300
HEIGHT: Final = TOP_MG_DL - BOTTOM_MG_DL
Floats = NDArray[np.float64]


def y(mg_dl: float) -> float:
    """How far below the top a value is drawn; beyond the edges at them."""
    return float(TOP_MG_DL - min(max(mg_dl, BOTTOM_MG_DL), TOP_MG_DL))


def line(mg_dl: Floats, step_min: int, depth: Callable[[float], float] = y) -> str:
    """A curve through values (T,), `step_min` apart; it breaks where one is NaN.

    Args:
        mg_dl: The values.
        step_min: Minutes between them.
        depth: How far below the top a value is drawn.
    """
    path, pen_down = [], False
    for number, value in enumerate(mg_dl.tolist()):
        if value != value:
            pen_down = False
            continue
        path.append(f"{'L' if pen_down else 'M'}{number * step_min} {depth(value):.0f}")
        pen_down = True
    return "".join(path)


def band(low: Floats, high: Floats, step_min: int, depth: Callable[[float], float] = y) -> str:
    """The area between two curves (T,), `step_min` apart."""
    there = line(high, step_min, depth)
    back = [f"L{i * step_min} {depth(value):.0f}" for i, value in enumerate(low.tolist())]
    return there + "".join(reversed(back)) + "Z"
