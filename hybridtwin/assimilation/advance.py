"""Two clocks, batched over people: what members do in a step of the grid, and at a reading.

Body and latent state move by the twin's own step; what nobody logged is noise on glucose in plasma
and on the carbohydrate on its way. Slow parameters walk at random and go back to the person's own
over weeks. Chance follows from person and time alone, never from the order in which things arrive.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch
from torch import Tensor

from hybridtwin.assimilation.filters import FILTERS, Chance, Ensemble, Reading
from hybridtwin.assimilation.settings import AssimilationSettings
from hybridtwin.assimilation.state import (
    CARBS,
    SLOW,
    coordinates,
    kinds,
    latent,
    state_of,
    with_slow,
)
from hybridtwin.dynamics import Step, person_of, step, what_acts
from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.hybrid import HybridModel, People
from hybridtwin.inputs import Future, acting_inputs, modulators
from hybridtwin.physiology.body import ROW
from hybridtwin.physiology.exercise import exertion
from hybridtwin.physiology.glucose import concentration
from hybridtwin.physiology.parameters import FITTED_COLUMNS
from hybridtwin.physiology.steady import MIN_PER_H
from hybridtwin.timeline import CHANNEL
from hybridtwin.units import STEP_MIN

Source = Literal["cgm", "fingerstick"]
Purpose = Literal["begin", "step", "cgm", "fingerstick"]
_PURPOSES: Final[tuple[Purpose, ...]] = ("begin", "step", "cgm", "fingerstick")


@dataclass(frozen=True)
class Happened:
    """What is known of one step of N people.

    Attributes:
        values: (N, C) channels, amounts per step, as in `Timeline`.
        known: (N, C).
        minute_of_day: (N,) as it begins.
    """

    values: Tensor
    known: Tensor
    minute_of_day: Tensor


def seed_of(participant: str) -> int:
    """A person's own chance."""
    return int.from_bytes(hashlib.sha256(participant.encode()).digest()[:8], "little")


def generator(seed: int, purpose: Purpose, grid_point: int) -> np.random.Generator:
    """What is left to chance for a person, at one time and for one purpose.

    Args:
        seed: The person's.
        purpose: What for.
        grid_point: Steps since 1970.
    """
    counter = [0, 0, _PURPOSES.index(purpose), grid_point]
    return np.random.Generator(np.random.Philox(key=seed, counter=counter))


def _normal(generators: Sequence[np.random.Generator], *shape: int) -> Tensor:
    drawn = [one.standard_normal(shape, dtype=np.float32) for one in generators]
    return torch.from_numpy(np.stack(drawn))


def advance(
    model: HybridModel,
    people: People,
    ensemble: Ensemble,
    happened: Happened,
    generators: Sequence[np.random.Generator],
    settings: AssimilationSettings,
    take: Step = step,
) -> Ensemble:
    """Everyone a step later.

    Args:
        model: The twin's weights.
        people: N, as they usually are.
        ensemble: What is held true of them.
        happened: What acts, as far as it is known.
        generators: N, of this step.
        settings: How large the noise is.
        take: How to take the step; see `dynamics` and `native`.
    """
    count, members = ensemble.log_weights.shape
    each = torch.arange(count).repeat_interleave(members)
    state, slow = state_of(ensemble.members)
    who = with_slow(people.rows(each), slow)
    p = who.values()
    amounts, known = happened.values[each], happened.known[each]
    logged = known[:, CHANNEL["bolus_u"]] & known[:, CHANNEL["carbs_g"]]
    basal = torch.where(
        known[:, CHANNEL["basal_u"]],
        amounts[:, CHANNEL["basal_u"]] / STEP_MIN,
        p.basal_need_u_h / MIN_PER_H,
    )
    effort = exertion(
        amounts[:, CHANNEL["heart_rate_bpm"]],
        known[:, CHANNEL["heart_rate_bpm"]],
        amounts[:, CHANNEL["steps"]] / STEP_MIN,
        amounts[:, CHANNEL["stated_exertion"]],
    )
    future = Future(
        amounts_per_min=acting_inputs(amounts, effort, basal).T.unsqueeze(0),
        modulators=modulators(amounts).T.unsqueeze(0),
        minute_of_day=happened.minute_of_day[each].unsqueeze(0),
        is_open=1 - logged.float(),
    )
    person = person_of(p, model.residual.fixed(future.is_open, who.embedding), future.is_open)
    state = take(state, what_acts(future, p)[0], person, model.residual.weights())
    moved = coordinates(state, slow, count)
    noise = _noise(generators, members, model.shape.latent, moved.shape[-1], settings)
    stays = 1 - STEP_MIN / (MINUTES_PER_DAY * settings.return_days)
    moved[..., SLOW] *= stays
    return Ensemble(moved + noise, ensemble.log_weights)


def _noise(
    generators: Sequence[np.random.Generator],
    members: int,
    latent_size: int,
    size: int,
    settings: AssimilationSettings,
) -> Tensor:
    """(N, M, D) what nobody logged, and the random walk of slow parameters."""
    hours, days = STEP_MIN / MIN_PER_H, STEP_MIN / MINUTES_PER_DAY
    drawn = _normal(generators, members, 2 + latent_size + len(FITTED_COLUMNS))
    noise = torch.zeros(len(drawn), members, size)
    noise[..., ROW["plasma_mg_kg"]] = settings.plasma_sd_per_h * hours**0.5 * drawn[..., 0]
    noise[..., CARBS] = settings.carbs_sd_per_h * hours**0.5 * drawn[..., 1:2]
    inner = slice(2, 2 + latent_size)
    noise[..., latent(latent_size)] = settings.latent_sd_per_h * hours**0.5 * drawn[..., inner]
    noise[..., SLOW] = settings.drift_sd_per_day * days**0.5 * drawn[..., inner.stop :]
    return noise


def correct(
    model: HybridModel,
    ensemble: Ensemble,
    reading_mg_dl: Tensor,
    source: Source,
    generators: Sequence[np.random.Generator],
    settings: AssimilationSettings,
) -> Ensemble:
    """Everyone after a reading.

    Args:
        model: The twin's weights.
        ensemble: What is held true of N people.
        reading_mg_dl: (N,) NaN where there is none.
        source: A sensor reads under the skin, a fingerstick blood.
        generators: N, of this reading.
        settings: Which filter, and how exact readings are.
    """
    state, _ = state_of(ensemble.members)
    sensor = settings.cgm if source == "cgm" else settings.fingerstick
    blood = concentration(state.core[0])
    expected = state.interstitial_mg_dl if source == "cgm" else blood
    members = ensemble.log_weights.shape[1]
    reading = Reading(
        expected.reshape(-1, members),
        reading_mg_dl,
        torch.hypot(torch.tensor(sensor.sd_mg_dl), sensor.sd_share * reading_mg_dl),
    )
    uniform = torch.tensor([one.random(dtype=np.float32) for one in generators])
    chance = Chance(uniform, _normal(generators, members, members))
    kind = FILTERS[settings.filter.kind]
    return kind(ensemble, reading, kinds(model.shape.latent), settings.filter, chance)
