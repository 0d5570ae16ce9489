"""Sensor or body: what each reading says of the sensor, told as it arrives.

An interacting multiple model filter (Blom & Bar-Shalom, IEEE Trans Autom Control 33:780, 1988):
one Kalman filter in each of the `modes`, mixed at every step as the modes change into one another,
and weighed by how well they foretold the reading. Facchinetti et al., IEEE TBME 60:406 (2013),
look for faults in the same quantity, the reading less its prediction. Only readings up to now are
looked at, and two parts of a stream one after the other give what the whole gives.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hybridtwin.sensor_faults.modes import CALM, LIVELY, Array, Modes, modes
from hybridtwin.sensor_faults.settings import FaultSettings
from hybridtwin.units import STEP_MIN

_FIRST_LEVEL_SD_MG_DL: Final = 5.0
_FIRST_SLOPE_SD_MG_DL: Final = 4.0
_USUAL_MISS: Final = 0.75
"""Mean size of a standard normal error, 0.8, less what cutting it off at 3 takes away."""
_FEW: Final = 20
"""So many readings of an ordinary person stand before the first of this one."""


@dataclass(frozen=True)
class Stream:
    """What arrives of B people over T steps of 5 minutes.

    Attributes:
        reading_mg_dl: (B, T) NaN where there is none.
        bolus_u: (B, T) given in the step that begins with the reading.
        carbs_g: (B, T) eaten in that step.
        minute_of_day: (B, T) local.
    """

    reading_mg_dl: Array
    bolus_u: Array
    carbs_g: Array
    minute_of_day: NDArray[np.int64]


@dataclass(frozen=True)
class Watched:
    """What is held true of the sensors of B people; `watch` goes on from here.

    Attributes:
        weights: (B, J) probability of each mode.
        state: (B, J, 3) its mean.
        covariance: (B, J, 3, 3).
        scale: (B,) how lively a person's readings are, 1 as usual.
        readings: (B,) how many have told of it.
        silent_steps: (B,) since the last reading.
        bolus_u: (B,) what still acts.
        carbs_g: (B,) what still acts.
    """

    weights: Array
    state: Array
    covariance: Array
    scale: Array
    readings: Array
    silent_steps: Array
    bolus_u: Array
    carbs_g: Array


@dataclass(frozen=True)
class Suspicion:
    """What is suspected of B people at each of T steps, knowing nothing of later ones.

    Attributes:
        compression: (B, T) probability that something presses on the sensor, since the reading
            before or longer.
        jump: (B, T) probability that its level is off since it jumped, the same.
        glucose_mg_dl: (B, T) expected glucose under the skin; NaN before the first reading.
    """

    compression: Array
    jump: Array
    glucose_mg_dl: Array

    @property
    def fault(self) -> Array:
        """(B, T) probability of any of the two."""
        return (self.compression + self.jump).clip(0, 1)

    def told(self, settings: FaultSettings) -> NDArray[np.bool_]:
        """(B, T) whether a fault is told."""
        pressed = self.compression >= settings.compression.told_at
        return pressed | (self.jump >= settings.jump.told_at)


def begun(people: int, settings: FaultSettings) -> Watched:
    """Nothing known yet of so many people."""
    count = len(modes(settings))
    weights = np.zeros((people, count))
    weights[:, CALM] = 1
    zero, one = np.zeros(people), np.ones(people)
    never = np.full(people, np.inf)
    blank = np.zeros((people, count, 3)), np.zeros((people, count, 3, 3))
    return Watched(weights, *blank, one, zero, never, zero, zero)


def watch(
    stream: Stream, settings: FaultSettings, held: Watched | None = None
) -> tuple[Suspicion, Watched]:
    """Suspicions over a stream, and what is held true at its end.

    Args:
        stream: What arrived of B people.
        settings: What is held likely.
        held: What was held true before; None begins.
    """
    people, count = stream.reading_mg_dl.shape
    held = held or begun(people, settings)
    every = modes(settings)
    compression, jump, glucose = np.full((3, people, count), np.nan)
    for at in range(count):
        held = _step(stream, at, every, settings, held)
        # A single reading tells nothing: what has just begun is not said yet.
        compression[:, at] = held.weights[:, every.compressed][:, 1:].sum(1)
        jump[:, at] = held.weights[:, every.jumped][:, 1:].sum(1)
        level = held.state[..., 0].copy()
        level[:, every.jumped] -= held.state[:, every.jumped, 2]
        seen = np.isfinite(held.silent_steps)
        glucose[seen, at] = (held.weights * level).sum(1)[seen]
    return Suspicion(compression.clip(0, 1), jump.clip(0, 1), glucose), held


def _step(stream: Stream, at: int, every: Modes, settings: FaultSettings, held: Watched) -> Watched:
    """Everyone a reading later."""
    reading = stream.reading_mg_dl[:, at]
    there = ~np.isnan(reading)
    begins = there & (held.silent_steps * STEP_MIN > settings.forget_after_min)
    if begins.any():
        held = _anew(held, begins, reading)
    likely, state, covariance = _moved(every, _change(stream, at, every, settings, held), held)

    weights = likely
    scale, readings = held.scale, held.readings
    if there.any():
        expected = np.einsum("ji,bji->bj", every.shows, state)
        along = np.einsum("bjik,jk->bji", covariance, every.shows)
        error = every.error * (held.scale**2)[:, None]
        variance = np.einsum("ji,bji->bj", every.shows, along) + error
        missed = np.where(there, reading, 0)[:, None] - expected
        logs = np.where(likely > 0, np.log(np.maximum(likely, np.finfo(float).tiny)), -np.inf)
        logs -= 0.5 * (missed**2 / variance + np.log(variance))
        weights = np.exp(logs - logs.max(1, keepdims=True))
        weights = np.where(there[:, None], weights / weights.sum(1, keepdims=True), likely)
        gain = np.where(there[:, None, None], along / variance[..., None], 0)
        state = state + gain * missed[..., None]
        covariance = covariance - gain[..., :, None] * along[..., None, :]
        tells = there & ~begins
        miss = np.minimum(np.abs(missed[:, CALM]) / np.sqrt(variance[:, CALM]), 3)
        rate = np.maximum(1 / settings.body.scale_readings, 1 / (readings + _FEW))
        learnt = scale * np.exp(rate * (miss / _USUAL_MISS - 1))
        scale = np.where(tells, learnt.clip(*settings.body.scale_limits), scale)
        readings = readings + tells
    fades = np.exp(-STEP_MIN / settings.body.acting_min)
    return Watched(
        weights,
        state,
        covariance,
        scale,
        readings,
        np.where(there, 1, held.silent_steps + 1),
        fades * (held.bolus_u + stream.bolus_u[:, at]),
        fades * (held.carbs_g + stream.carbs_g[:, at]),
    )


def _anew(held: Watched, begins: NDArray[np.bool_], reading: Array) -> Watched:
    """What is held true where it begins with this reading, in every mode alike."""
    weights, state, covariance = (
        each.copy() for each in (held.weights, held.state, held.covariance)
    )
    weights[begins] = 0
    weights[begins, CALM] = 1
    state[begins] = 0
    state[begins, :, 0] = reading[begins, None]
    covariance[begins] = np.diag([_FIRST_LEVEL_SD_MG_DL**2, _FIRST_SLOPE_SD_MG_DL**2, 0])
    return replace(held, weights=weights, state=state, covariance=covariance)


def _change(stream: Stream, at: int, every: Modes, settings: FaultSettings, held: Watched) -> Array:
    """(B, J, J) probabilities of going from one mode to another, now."""
    hour = stream.minute_of_day[:, at] / 60
    since, until = settings.compression.night
    night = (hour >= since) | (hour < until) if since > until else (hour >= since) & (hour < until)
    acts = (held.carbs_g > settings.body.acting_carbs_g) | (
        held.bolus_u > settings.body.acting_bolus_u
    )
    change: Array = every.change[night.astype(int), acts.astype(int)]
    return change


def _moved(every: Modes, change: Array, held: Watched) -> tuple[Array, Array, Array]:
    """Probability (B, J), state and covariance of each mode a step later, before the reading.

    States are mixed by where they come from, means and covariances alike, then moved.
    """
    joint = change * held.weights[:, :, None]
    likely = joint.sum(1)
    share = joint / np.maximum(likely, np.finfo(float).tiny)[:, None, :]
    second = held.covariance + held.state[..., :, None] * held.state[..., None, :]
    moments = np.concatenate([held.state, second.reshape(*second.shape[:2], 9)], axis=-1)
    mixed = share.swapaxes(1, 2) @ moments
    mean = mixed[..., :3]
    around = mixed[..., 3:].reshape(second.shape) - mean[..., :, None] * mean[..., None, :]

    state = np.einsum("jik,bjk->bji", every.moves, mean) + every.begins
    covariance = every.moves @ around @ every.moves.swapaxes(1, 2) + every.noise
    # A quiet sensor says nothing of what a meal can do.
    scale = np.where(
        np.arange(len(every)) == LIVELY, held.scale.clip(1)[:, None], held.scale[:, None]
    )
    covariance[..., 1, 1] += every.bends * scale**2
    shift = every.shift * state[..., 0] ** 2
    covariance[..., ::2, ::2] += shift[..., None, None]  # level and error alike
    return likely, state, covariance
