"""The modes in which body and sensor can be, and how each bears on a reading.

In every mode the state is (level, slope, error): the level in mg/dL, its change in 5 minutes, and
what the fault adds. A sound sensor shows the level. Under pressure it shows the level less a share
of the error, which follows the pressure as a first-order system (Facchinetti et al., Diabetes
Technol Ther 18:264, 2016): every age of a compression is a mode of its own, and so is every step
of its end. In a jump the level itself is shifted, by the error, and moves on as before.
"""

import functools
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hybridtwin.physiology.steady import MIN_PER_H
from hybridtwin.sensor_faults.settings import FaultSettings
from hybridtwin.units import STEP_MIN

Array = NDArray[np.float64]

CALM: Final = 0
LIVELY: Final = 1
_SOUND: Final = (CALM, LIVELY)
_RECOVERY_STEPS: Final = 3
"""When 5 % of a compression are left, it is over."""


@dataclass(frozen=True)
class Modes:
    """J modes.

    Attributes:
        shows: (J, 3) the reading, as a sum over the state.
        moves: (J, 3, 3) the state, a step later.
        begins: (J, 3) added to it where the mode begins.
        noise: (J, 3, 3) covariance of what is added by chance, mg2/dL2; of bends only, see `bends`.
        bends: (J,) variance of the slope's change, for a person of scale 1.
        shift: (J,) variance of a shift, as a share of the level squared.
        error: Variance of the reading, for a person of scale 1.
        change: (2, 2, J, J) probabilities of going from one mode to another: by day and at night,
            while nothing acts and while something does.
        compressed: Where the compression's modes stand.
        jumped: Where the jump's modes stand.
    """

    shows: Array
    moves: Array
    begins: Array
    noise: Array
    bends: Array
    shift: Array
    error: float
    change: Array
    compressed: slice
    jumped: slice

    def __len__(self) -> int:
        return len(self.shows)


@functools.lru_cache(maxsize=8)
def modes(settings: FaultSettings) -> Modes:
    """The modes under these settings."""
    body, pressure, jump = settings.body, settings.compression, settings.jump
    pressed = slice(len(_SOUND), len(_SOUND) + pressure.steps)
    relieved = slice(pressed.stop, pressed.stop + _RECOVERY_STEPS)
    jumped = slice(relieved.stop, relieved.stop + 2)
    count = jumped.stop

    fading = np.exp(-STEP_MIN / pressure.tissue_min)
    shows = np.zeros((count, 3))
    shows[:, 0] = 1
    shows[pressed, 2] = fading ** np.arange(1, pressure.steps + 1) - 1
    shows[relieved, 2] = -(fading ** np.arange(1, _RECOVERY_STEPS + 1))

    moves = np.zeros((count, 3, 3))
    moves[:, 0, :2] = 1
    moves[:, 1, 1] = body.slope_kept
    moves[pressed.start + 1 : relieved.stop, 2, 2] = 1
    moves[jumped.start + 1, 2, 2] = 1

    begins, noise = np.zeros((count, 3)), np.zeros((count, 3, 3))
    begins[pressed.start, 2] = pressure.depth_mg_dl
    noise[:, 0, 0] = body.level_sd_mg_dl**2
    noise[pressed.start, 2, 2] = pressure.depth_sd_mg_dl**2
    bends = np.full(count, body.calm_bend_sd_mg_dl**2)
    bends[LIVELY] = body.lively_bend_sd_mg_dl**2
    shift = np.zeros(count)
    shift[jumped.start] = jump.sd_share**2

    change = np.zeros((2, 2, count, count))
    for at_night, presses in enumerate((pressure.begins_by_day, pressure.begins_at_night)):
        for acts, livens in enumerate((body.lively_begins, body.lively_begins_acting)):
            change[at_night, acts] = _change(settings, presses, livens, pressed, relieved, jumped)
    compressed = slice(pressed.start, relieved.stop)
    return Modes(
        shows,
        moves,
        begins,
        noise,
        bends,
        shift,
        body.noise_sd_mg_dl**2,
        change,
        compressed,
        jumped,
    )


def _change(
    settings: FaultSettings,
    presses: float,
    livens: float,
    pressed: slice,
    relieved: slice,
    jumped: slice,
) -> Array:
    """(J, J) probabilities of going from one mode (row) to another."""
    body, pressure, jump = settings.body, settings.compression, settings.jump
    change = np.zeros((jumped.stop, jumped.stop))
    for sound in _SOUND:
        change[sound, [pressed.start, jumped.start]] = presses, jump.begins
    change[CALM, LIVELY] = livens
    change[LIVELY, CALM] = body.lively_ends
    for age, mode in enumerate(range(pressed.start, pressed.stop)):
        ends = pressure.ends_early if age < pressure.early_steps else pressure.ends
        change[mode, relieved.start] = ends
        change[mode, min(mode + 1, pressed.stop - 1)] += 1 - ends
    change[range(relieved.start, relieved.stop - 1), range(relieved.start + 1, relieved.stop)] = 1
    ends = STEP_MIN / (MIN_PER_H * jump.lasts_hours)
    change[jumped, jumped.start + 1] = 1 - ends
    # Whatever is left over is calm; livelier hours stay lively.
    left = 1 - change.sum(1)
    change[LIVELY, LIVELY] = left[LIVELY]
    left[LIVELY] = 0
    change[:, CALM] += left
    return change
