"""Two clocks, batched over people: what members do in a step of the grid, and at a reading.

Body and latent state move by the twin's own step, and a flux that wanders within the hour stands
for what nobody logged. Slow parameters wander over days and weeks.
"""

import functools
import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch
from torch import Tensor

from hybridtwin.assimilation.filters import FILTERS, Chance, Ensemble, Kinds, Reading
from hybridtwin.assimilation.settings import AssimilationSettings, Wander
from hybridtwin.assimilation.slow import DIRECTIONS, SENSITIVITIES, with_slow
from hybridtwin.assimilation.state import (
    CARBS,
    FILTERED,
    FLUX,
    PLASMA,
    SLOW,
    coordinates,
    glucose_of,
    state_of,
)
from hybridtwin.dynamics import Step, person_of, step, what_acts
from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.hybrid import HybridModel, People
from hybridtwin.inputs import Future, acting_inputs, exertion_of, modulators
from hybridtwin.physiology.steady import MIN_PER_H
from hybridtwin.timeline import CHANNEL
from hybridtwin.units import STEP_MIN

Source = Literal["cgm", "fingerstick"]
Purpose = Literal["step", "cgm", "fingerstick"]
_PURPOSES: Final[tuple[Purpose, ...]] = ("step", "cgm", "fingerstick")
_NONE: Final = Chance(torch.empty(0), torch.empty(0, 0))
_KINDS: Final = Kinds(FILTERED, SLOW)
_DAY: Final = STEP_MIN / MINUTES_PER_DAY
_EMPTY_MG_KG: Final = 20.0  # plasma that no flux empties further


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


def chance(purpose: Purpose, grid_point: int, settings: AssimilationSettings) -> Chance:
    """What is left to chance, which follows from the time alone and not from what arrived when.

    Args:
        purpose: What for.
        grid_point: Steps since 1970.
        settings: Which filter, and of how many members.
    """
    if settings.filter.kind == "ensemble-kalman":
        return _NONE
    members = settings.members
    drawn = np.random.Generator(np.random.Philox(key=[_PURPOSES.index(purpose), grid_point]))
    size = (members, max(members, FILTERED))
    normal = torch.from_numpy(drawn.standard_normal(size, dtype=np.float32))
    uniform = torch.tensor(drawn.random(dtype=np.float32))
    return Chance(uniform, normal if purpose == "step" else normal[:, :members])


def advance(
    model: HybridModel,
    people: People,
    ensemble: Ensemble,
    happened: Happened,
    drawn: Chance,
    settings: AssimilationSettings,
    take: Step = step,
) -> Ensemble:
    """Everyone a step later.

    Args:
        model: The twin's weights.
        people: N, as they usually are.
        ensemble: What is held true of them.
        happened: What acts, as far as it is known.
        drawn: Of this step.
        settings: How the unlogged and the slow wander.
        take: How to take the step; see `dynamics` and `native`.
    """
    count, members = ensemble.log_weights.shape
    each = torch.arange(count).repeat_interleave(members)
    state, filtered = state_of(ensemble.members)
    flux, slow, today = filtered.split([1, len(DIRECTIONS), 1])
    who = with_slow(people.rows(each), slow.T)
    p = who.values()
    amounts, known = happened.values[each], happened.known[each]
    logged = known[:, CHANNEL["bolus_u"]] & known[:, CHANNEL["carbs_g"]]
    basal = torch.where(
        known[:, CHANNEL["basal_u"]],
        amounts[:, CHANNEL["basal_u"]] / STEP_MIN,
        p.basal_need_u_h / MIN_PER_H,
    )
    effort = exertion_of(amounts, known)
    future = Future(
        amounts_per_min=acting_inputs(amounts, effort, basal).T.unsqueeze(0),
        modulators=modulators(amounts).T.unsqueeze(0),
        minute_of_day=happened.minute_of_day[each].unsqueeze(0),
        is_open=1 - logged.float(),
    )
    person = person_of(p, model.residual.fixed(future.is_open, who.embedding), future.is_open)
    state = take(state, what_acts(future, p).at(0), person, model.residual.weights())
    plasma = (state.core[0] + STEP_MIN * flux[0]).clamp(min=_EMPTY_MG_KG)
    state = state._replace(core=torch.cat([plasma.unsqueeze(0), state.core[1:]]))
    stays, sd = _wandering(settings)
    kept = stays * filtered[:-1]
    before = happened.minute_of_day[each] / STEP_MIN
    mean = (before * today + slow[SENSITIVITIES].sum(0)) / (before + 1)
    moved = coordinates(state, torch.cat([kept, mean]), count)
    return FILTERS[settings.filter.kind].spread(Ensemble(moved, ensemble.log_weights), sd, drawn)


@functools.lru_cache(maxsize=8)
def _wandering(settings: AssimilationSettings) -> tuple[Tensor, Tensor]:
    """What stays of flux and slow parameters (K + 1, 1) in a step; SD of its noise (F,)."""
    wanders = [settings.flux, *(getattr(settings.slow, name) for name in DIRECTIONS)]
    sd = torch.zeros(FILTERED)
    root_hour = (STEP_MIN / MIN_PER_H) ** 0.5
    sd[CARBS] = settings.carbs_sd_per_h * root_hour
    sd[PLASMA] = settings.plasma_sd_per_h * root_hour
    sd[FLUX : SLOW.stop] = torch.tensor([_noise(each) for each in wanders])
    stays = torch.tensor([math.exp(-_DAY / each.return_days) for each in wanders])
    return stays.unsqueeze(-1), sd


def _noise(wander: Wander) -> float:
    """SD of what a step adds, so that the spread stays what it is."""
    return wander.sd * math.sqrt(-math.expm1(-2 * _DAY / wander.return_days))


def correct(
    ensemble: Ensemble,
    reading_mg_dl: Tensor,
    source: Source,
    drawn: Chance,
    settings: AssimilationSettings,
) -> Ensemble:
    """Everyone after a reading.

    Args:
        ensemble: What is held true of N people.
        reading_mg_dl: (N,) NaN where there is none.
        source: A sensor reads under the skin, a fingerstick blood.
        drawn: Of this reading.
        settings: Which filter, and how exact readings are.
    """
    sensor = settings.cgm if source == "cgm" else settings.fingerstick
    glucose = glucose_of(ensemble.members)
    reading = Reading(
        glucose.interstitial_mg_dl if source == "cgm" else glucose.plasma_mg_dl,
        reading_mg_dl,
        torch.hypot(torch.tensor(sensor.sd_mg_dl), sensor.sd_share * reading_mg_dl),
    )
    kind = FILTERS[settings.filter.kind]
    return kind.correct(ensemble, reading, _KINDS, settings.filter, drawn)
