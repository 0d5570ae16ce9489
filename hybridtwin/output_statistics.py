"""Output statistics: what the twin's forecasts have missed, learnt, and put right.

Weather services correct a physical model by statistics of its past output (Glahn & Lowry 1972,
J Appl Meteorol 11:1203-1211). Here an open forecast is moved to where boosted trees, which read the
history and the person's climatology, say that it ends when the twin is trusted by a share; others,
which see the twin's own forecast too, say how much wider or narrower it is to be. None sees a plan:
what a dose or a meal changes is left to physiology.
"""

import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import lightgbm
import numpy as np
import torch
from torch import Tensor

from hybridtwin.dynamics import Walk
from hybridtwin.history import History
from hybridtwin.hybrid import HybridModel, Present
from hybridtwin.inputs import as_usual
from hybridtwin.neural.spread import KNOTS_MIN, LEVELS, between
from hybridtwin.night_statistics import NightStatistics
from hybridtwin.units import GLUCOSE_MAX_MG_DL, GLUCOSE_MIN_MG_DL, steps

WIDENING: Final = (0.4, 2.5)
"""The least and the most that a spread is multiplied by."""
_MEDIAN: Final = LEVELS.index(0.5)
_COLUMNS: Final = [steps(minutes) - 1 for minutes in KNOTS_MIN]
EXPECTED: Final = slice(-2 * len(KNOTS_MIN), -len(KNOTS_MIN))
"""Where predictors hold the twin's own forecast, mg/dL."""
CHANGE: Final = slice(-len(KNOTS_MIN), None)
"""Where they hold by how much it lies off the last reading, mg/dL."""

Trees = lightgbm.Booster


@dataclass(frozen=True)
class Correction:
    """What is put right in the open forecasts of B windows, at each of `KNOTS_MIN`.

    Attributes:
        shift_mg_dl: (B, K) added to the trajectory.
        widening: (B, K) factor on the spread around its median.
    """

    shift_mg_dl: Tensor
    widening: Tensor

    def moved(self, trajectories_mg_dl: Tensor, minutes: Tensor) -> Tensor:
        """Trajectories (B, H) in mg/dL at horizons (H,), moved; a shift grows from 0 at 0 min."""
        knots = torch.tensor([0.0, *KNOTS_MIN])
        shift = torch.nn.functional.pad(self.shift_mg_dl, (1, 0))
        moved = trajectories_mg_dl + between(shift, knots, minutes)
        return moved.clamp(GLUCOSE_MIN_MG_DL, GLUCOSE_MAX_MG_DL)

    def widened(self, log_quantiles: Tensor, minutes: Tensor) -> Tensor:
        """Quantiles (B, H, Q) of log ratios at horizons (H,), wider or narrower."""
        factor = between(self.widening, torch.tensor(KNOTS_MIN).log(), minutes.log())
        middle = log_quantiles[..., _MEDIAN : _MEDIAN + 1]
        return middle + factor.unsqueeze(-1) * (log_quantiles - middle)

    def then(self, other: "Correction") -> "Correction":
        """Both, one after the other."""
        return Correction(self.shift_mg_dl + other.shift_mg_dl, self.widening * other.widening)

    def rows(self, index: Tensor) -> "Correction":
        """The chosen windows."""
        return Correction(self.shift_mg_dl[index], self.widening[index])


def no_correction(count: int) -> Correction:
    """Leaves the forecasts of `count` windows as they are."""
    return Correction(torch.zeros(count, len(KNOTS_MIN)), torch.ones(count, len(KNOTS_MIN)))


@dataclass(frozen=True)
class OutputStatistics:
    """Boosted trees of what forecasts miss, one for each of `KNOTS_MIN`.

    Attributes:
        shift: They give mg/dL: what is missed where the twin's change is trusted by `trust`.
        widening: They give a factor.
        night: How likely the coming night's lows are, by their names.
        trust: Share of the change that the twin expects, 0 to 1.
    """

    shift: Sequence[Trees]
    widening: Sequence[Trees]
    night: Mapping[str, NightStatistics] = field(default_factory=dict)
    trust: float = 1.0

    def correct(self, predictors: Tensor) -> Correction:
        """The correction of windows with these predictors (B, F)."""
        shift = shift_mg_dl(self.shift, predictors, self.trust)
        return Correction(shift, _apply(self.widening, predictors).clamp(*WIDENING))

    def _text(self) -> bytes:
        text = {
            name: [trees.model_to_string() for trees in getattr(self, name)]
            for name in ("shift", "widening")
        }
        night = {name: low.as_text() for name, low in self.night.items()}
        return json.dumps(text | {"night": night, "trust": self.trust}).encode()

    def save(self, path: Path) -> None:
        """Write the trees to a file; the same trees give the same bytes."""
        path.write_bytes(gzip.compress(self._text(), mtime=0))

    def digest(self) -> str:
        """Eight hexadecimal digits that tell these trees from others."""
        return hashlib.sha256(self._text()).hexdigest()[:8]


def load_statistics(path: Path) -> OutputStatistics:
    """Read trees from a file.

    Raises:
        OSError: It cannot be read.
        ValueError: It holds no trees.
    """
    try:
        text = json.loads(gzip.decompress(path.read_bytes()))
        shift, widening = (
            [lightgbm.Booster(model_str=each) for each in text[name]]
            for name in ("shift", "widening")
        )
        night = {name: NightStatistics.from_text(each) for name, each in text["night"].items()}
        trust = float(text["trust"])
    except (EOFError, KeyError, lightgbm.basic.LightGBMError) as error:
        raise ValueError(f"{path.name} holds no output statistics ({error})") from error
    return OutputStatistics(shift, widening, night, trust)


def shift_mg_dl(shift: Sequence[Trees], predictors: Tensor, trust: float) -> Tensor:
    """(B, K) how far forecasts are to be moved; see `OutputStatistics`."""
    return _apply(shift, of_history(predictors)) - (1 - trust) * predictors[:, CHANGE]


def of_history(predictors: Tensor) -> Tensor:
    """(B, F) predictors without the twin's own forecast."""
    return predictors[:, : EXPECTED.start]


def _apply(each: Sequence[Trees], predictors: Tensor) -> Tensor:
    table = predictors.double().numpy()
    columns = [trees.predict(table, num_threads=1) for trees in each]
    return torch.from_numpy(np.column_stack(columns)).float()


def predictors(
    model: HybridModel,
    history: History,
    present: Present,
    usual_basal_u_min: Tensor,
    climatology: Tensor,
    walk: Walk,
) -> Tensor:
    """(B, F) what output statistics read of B windows; NaN where not known.

    Args:
        model: The twin's.
        history: B.
        present: Where they stand.
        usual_basal_u_min: (B,).
        climatology: (B, C) what is usual for them, see `climatology`.
        walk: How to take the steps.
    """
    future = as_usual(usual_basal_u_min, history.minute_of_day, max(_COLUMNS) + 1)
    expected = model.roll(present, future, walk)[:, _COLUMNS]
    last = history.glucose_mg_dl[:, -1:]
    return torch.cat([present.read, climatology, expected, expected - last], dim=1)
