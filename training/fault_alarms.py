"""Alarms of night lows, by the twin as it is and by the twin that leans on physiology in doubt.

An alarm is on at a reading if the probability of a low of 15 minutes or longer in the coming hour
reaches what is stated. It is false if the readings without the fault have no low until an hour
after its end; a low is caught if an alarm is on from an hour before it to 15 minutes after.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from rich.progress import Progress

from hybridtwin.climatology import joined
from hybridtwin.glycemia.episodes import EPISODE_STEPS, LOW_MG_DL, lasts
from hybridtwin.sensor_faults.doubt import doubtful, told_soon
from hybridtwin.sensor_faults.modes import Array
from hybridtwin.sensor_faults.settings import FaultSettings
from hybridtwin.timeline import CHANNEL, Timeline
from hybridtwin.trust import LOOK_BACK_MIN, STALE_MIN
from hybridtwin.twin import Twin
from hybridtwin.units import STEP_MIN, steps
from training.faulted import Part
from training.night_models import sample_paths
from training.rates import Rate
from training.windows import history_known, side_by_side

AS_IT_IS, IN_DOUBT = "twin", "twin-in-doubt"
_AHEAD: Final = steps(60)
_LONGEST: Final = steps(STALE_MIN)
_LOOK_BACK: Final = steps(LOOK_BACK_MIN)
_AFTER: Final = steps(15)
_APART: Final = steps(30)
_NIGHTS_PER_WEEK: Final = 7


Steps = NDArray[np.intp]


class AlarmRule(BaseModel):
    """When an alarm is on, and when it is asked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    at_probability: float = Field(0.2, gt=0, lt=1, description="Of a low in the coming hour.")
    since_h: int = Field(23, ge=18, le=23, description="Local hour.")
    until_h: int = Field(7, ge=1, le=12, description="Local hour.")
    every_min: int = Field(10, ge=5, description="Readings in between are not asked.")
    members: int = Field(50, ge=10, description="Sample paths of each forecast.")
    min_history_known: float = Field(0.7, ge=0, le=1)


def alarm_rates(
    twin: Twin,
    parts: Sequence[Part],
    shown: Sequence[Array],
    compression: Sequence[Array],
    named: str,
    rule: AlarmRule,
    faults: FaultSettings,
    progress: Progress,
) -> list[Rate]:
    """Alarms of some nights.

    Args:
        twin: Whose forecasts.
        parts: Whose nights, and what was read without faults.
        shown: (T,) of each part: what its sensor showed.
        compression: (T,) of each part: probability of a compression, by what it showed.
        named: Put behind each metric's name.
        rule: When an alarm is on.
        faults: When a reading is in doubt.
        progress: Where to show how far it is.
    """
    rates: list[Rate] = []
    task = progress.add_task(f"alarms {named}", total=len(parts))
    for part, reading, pressed in zip(parts, shown, compression, strict=True):
        timeline = part.showing(reading)
        asked = _asked(part, timeline, rule)
        if len(asked):
            chance = {AS_IT_IS: _low_ahead(twin, part, timeline, asked, asked, rule)}
            chance[IN_DOUBT] = _in_doubt(
                twin, part, timeline, asked, pressed, chance[AS_IT_IS], rule, faults
            )
            rates += _counted(part, asked, chance, named, rule)
        progress.advance(task)
    return rates


def _asked(part: Part, timeline: Timeline, rule: AlarmRule) -> Steps:
    """(n,) grid points of the nights' readings at which alarms are asked."""
    night = part.night(rule.since_h, rule.until_h) & timeline.original.numpy()
    minute = timeline.minute_of_day.numpy()
    due = minute % rule.every_min < STEP_MIN
    enough = history_known(timeline, LOOK_BACK_MIN).numpy() >= rule.min_history_known
    return np.flatnonzero(night & due & enough)


def _low_ahead(
    twin: Twin, part: Part, timeline: Timeline, start: Steps, now: Steps, rule: AlarmRule
) -> Array:
    """(n,) probability of a low in the hour after `now`, forecast from readings at `start`."""
    windows = side_by_side(
        [(part.participant, part.cohort)], [(timeline, torch.from_numpy(start))], ()
    )
    length = int((now - start).max()) + _AHEAD
    paths = sample_paths([twin], windows, length, rule.members)
    found = []
    for traces, waits in zip(paths, now - start, strict=True):
        hour = traces[:, waits : waits + _AHEAD]
        found.append(float(lasts(hour < LOW_MG_DL, EPISODE_STEPS).float().mean()))
    return np.array(found)


def _in_doubt(
    twin: Twin,
    part: Part,
    timeline: Timeline,
    asked: Steps,
    pressed: Array,
    plain: Array,
    rule: AlarmRule,
    faults: FaultSettings,
) -> Array:
    """(n,) the same with readings in doubt unknown, `plain` where there are none.

    What was given or eaten since the last reading that is believed is not known here, as in every
    forecast that is scored.
    """
    mask = doubtful(pressed, faults)
    told = pressed >= faults.compression.told_at
    sound = timeline.original.numpy() & ~mask
    last = np.maximum.accumulate(np.where(sound, np.arange(len(sound)), -1))[asked]
    # What is told later is not known yet: then the two readings before it are sound.
    changed = (told[asked] | ~told_soon(told)[asked]) & (asked - last <= _LONGEST)
    recently = np.convolve(mask, np.ones(_LOOK_BACK))[: len(mask)] > 0
    changed &= recently[asked]
    chance = plain.copy()
    if changed.any():
        glucose = timeline.values[:, CHANNEL["glucose_mg_dl"]].double()
        believed = part.showing(np.where(sound, glucose, np.nan))
        chance[changed] = _low_ahead(twin, part, believed, last[changed], asked[changed], rule)
    return chance


def _counted(
    part: Part, asked: Steps, chance: dict[str, Array], named: str, rule: AlarmRule
) -> list[Rate]:
    trace = joined(part.timeline)
    low = np.nan_to_num(trace, nan=LOW_MG_DL) < LOW_MG_DL
    night = part.night(rule.since_h, rule.until_h)
    lows = [(a, b) for a, b in _runs(np.flatnonzero(low), 1) if b - a + 1 >= EPISODE_STEPS]
    lows = [(a, b) for a, b in lows if night[a] and _near(asked, a - _AHEAD, a + _AFTER)]
    weeks = len(_runs(np.flatnonzero(night & part.covered), _AHEAD)) / _NIGHTS_PER_WEEK
    caught = {}
    rates = []
    for model, each in chance.items():
        on = asked[each >= rule.at_probability]
        alarms = _runs(on, _APART)
        any_low = np.cumsum(np.concatenate([[0], low]))
        false = [
            (a, b) for a, b in alarms if any_low[min(b + _AHEAD, len(low) - 1) + 1] == any_low[a]
        ]
        caught[model] = {a for a, _ in lows if _near(on, a - _AHEAD, a + _AFTER)}
        missed = caught[AS_IT_IS] - caught[model]
        for metric, count, of in (
            ("alarms_per_week", len(alarms), weeks),
            ("false_alarms_per_week", len(false), weeks),
            ("lows_caught", len(caught[model]), len(lows)),
            ("lows_lost", len(missed), len(caught[AS_IT_IS])),
        ):
            rates.append(
                Rate(part.cohort, part.participant, model, f"{metric}_{named}", count, of, 60)
            )
    return rates


def _runs(at: Steps, apart: int) -> list[tuple[int, int]]:
    """First and last of runs of grid points, no two of one run further apart."""
    if not len(at):
        return []
    cuts = np.flatnonzero(np.diff(at) > apart)
    begins, ends = at[np.concatenate([[0], cuts + 1])], at[np.concatenate([cuts, [-1]])]
    return list(zip(begins.tolist(), ends.tolist(), strict=True))


def _near(at: Steps, since: int, until: int) -> bool:
    return bool(((at >= since) & (at <= until)).any())
