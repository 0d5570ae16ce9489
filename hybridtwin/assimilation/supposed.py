"""What would have been read, had something happened that nobody logged.

From where the twin stood some hours ago it hindcasts the readings since: with what was logged, and
with one event more at each of several times. A hindcast of physiology alone, as a what-if is one:
the same body, the same chance, one thing changed.

How far hindcasts lie off where all was logged is told in the same way: logged grams are misjudged
and eaten a little earlier or later, a part of them waits in the stomach, slow parameters are not
what the twin takes them for, and glucose drifts at a rate that fades, an Ornstein-Uhlenbeck process
(Uhlenbeck & Ornstein 1930, Phys. Rev. 36:823), of which readings show the integral. Errors of
neighbouring readings are alike.
"""

from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from hybridtwin.assimilation.hours import Hours
from hybridtwin.assimilation.settings import HindcastNoise, UnloggedSettings
from hybridtwin.assimilation.slow import DIRECTIONS, with_slow
from hybridtwin.hybrid import People, Present
from hybridtwin.inputs import Future, acting_inputs, exertion_of, modulators
from hybridtwin.physiology.body import INPUTS
from hybridtwin.physiology.steady import MIN_PER_H
from hybridtwin.timeline import BOLUS, CARBS, CHANNEL
from hybridtwin.twin import Twin
from hybridtwin.units import STEP_MIN, steps

MEALS_G: Final = (30.0, 80.0, 150.0)
"""Meals that are supposed; what lies between is interpolated."""
EXERCISE_MIN: Final = 60.0
"""Moderate exercise that is supposed, minutes."""
_UNSURE: Final = ("sensitivity", "absorption")
_LATE_MIN: Final = (60, 90)
"""So much later a part of a meal may come."""
_LEAST_SD_MG_DL: Final = 1.0  # readings are whole numbers
_EATING: Final = steps(15)
_EXERTION: Final = 0.5
_FROM_PUMP: Final = [INPUTS.index(name) for name in BOLUS[:2]]
_BOLUS, _CARBS = INPUTS.index(BOLUS[0]), INPUTS.index(CARBS[0])
_EXERTED: Final = INPUTS.index("exertion")


@dataclass(frozen=True)
class Supposed:
    """What would have been read in B times H steps, mg/dL.

    Attributes:
        logged: (B, H) with what was logged.
        meal: (B, K, A, H) with a meal of each of `MEALS_G` from each of K times on.
        site: (B, K, H) where nothing arrives from a pump from each time on.
        exercise: (B, K, H) with `EXERCISE_MIN` of moderate exercise.
        bolus: (B, H) with one more bolus.
        slow: (B, D, H) where slow parameters lie an SD off.
    """

    logged: Tensor
    meal: Tensor
    site: Tensor
    exercise: Tensor
    bolus: Tensor
    slow: Tensor


def times(settings: UnloggedSettings) -> Tensor:
    """(K,) steps at which something may have begun."""
    return torch.arange(0, steps(settings.hours * MIN_PER_H), steps(settings.every_min))


def suppose(
    twin: Twin,
    hours: Hours,
    person: People,
    bolus_at: Tensor,
    bolus_u: Tensor,
    settings: UnloggedSettings,
) -> Supposed:
    """Hindcasts of B times H steps under every supposition.

    Args:
        twin: Whose weights.
        hours: What was logged.
        person: Who it is, one row.
        bolus_at: (B,) step of one more bolus.
        bolus_u: (B,) and its size.
        settings: At which times something may have begun.
    """
    rows = torch.arange(len(bolus_u))
    present = _present(twin, hours, person)
    begins, slow = times(settings).tolist(), _off(settings.noise)
    counts = [1, len(begins) * len(MEALS_G), len(begins), len(begins), 1, len(slow)]
    count = sum(counts)
    every = _logged_amounts(hours, present.people).unsqueeze(1).repeat(1, count, 1, 1)
    columns = iter(range(1, count))
    for begin in begins:
        for grams in MEALS_G:
            eaten = slice(begin, begin + _EATING)
            every[:, next(columns), eaten, _CARBS] += grams / (_EATING * STEP_MIN)
    for begin in begins:
        every[:, next(columns), begin:, _FROM_PUMP] = 0
    for begin in begins:
        exercised = slice(begin, begin + steps(EXERCISE_MIN))
        every[:, next(columns), exercised, _EXERTED].clamp_(min=_EXERTION)
    every[rows, next(columns), bolus_at, _BOLUS] += bolus_u / STEP_MIN

    off = torch.zeros(count, len(DIRECTIONS))
    off[count - len(slow) :] = slow
    found = _rolled(twin, hours, present, every, off)
    logged, meal, site, exercise, bolus, moved = found.split(counts, dim=1)
    meal = meal.unflatten(1, (len(begins), len(MEALS_G)))
    return Supposed(logged[:, 0], meal, site, exercise, bolus[:, 0], moved)


def hindcast(twin: Twin, hours: Hours, person: People) -> Tensor:
    """(B, H) what would have been read with what was logged, mg/dL."""
    present = _present(twin, hours, person)
    every = _logged_amounts(hours, present.people).unsqueeze(1)
    return _rolled(twin, hours, present, every, torch.zeros(1, len(DIRECTIONS)))[:, 0]


def _present(twin: Twin, hours: Hours, person: People) -> Present:
    """Where B hours begin."""
    same = torch.zeros(len(hours.values), dtype=torch.long)
    return twin.model.begin(hours.history, person.rows(same))


def _rolled(twin: Twin, hours: Hours, present: Present, every: Tensor, off: Tensor) -> Tensor:
    """(B, C, H) glucose, mg/dL.

    Args:
        twin: Whose weights.
        hours: B.
        present: Where they begin.
        every: (B, C, H, m) what acts in each of C cases, per minute.
        off: (C, L) how far slow parameters lie off in each.
    """
    people, cases = every.shape[:2]
    each = torch.arange(people).repeat_interleave(cases)
    start = present.rows(each)
    start = replace(start, people=with_slow(start.people, off.repeat(people, 1)))
    future = Future(
        amounts_per_min=every.flatten(0, 1).movedim(0, -1).contiguous(),
        modulators=modulators(hours.values)[each].movedim(0, -1),
        minute_of_day=hours.minute_of_day[each].T,
        is_open=torch.zeros(len(each)),
    )
    rolled: Tensor = twin.model.roll(start, future, twin.walk).unflatten(0, (people, cases))
    return rolled.double()


def _logged_amounts(hours: Hours, people: People) -> Tensor:
    """(B, H, m) what acted as far as it was logged, per minute; the basal need where unknown."""
    values, known = hours.values, hours.known
    need = (people.values().basal_need_u_h / MIN_PER_H).unsqueeze(-1)
    column = CHANNEL["basal_u"]
    basal = torch.where(known[..., column], values[..., column] / STEP_MIN, need)
    return acting_inputs(values, exertion_of(values, known), basal)


def _off(noise: HindcastNoise) -> Tensor:
    """(D, L) of each slow parameter that is not known, an SD off."""
    found = torch.zeros(len(_UNSURE), len(DIRECTIONS))
    for row, name in enumerate(_UNSURE):
        found[row, DIRECTIONS.index(name)] = getattr(noise, name)
    return found


def covariance(
    supposed: Supposed, carbs_g: Tensor, settings: UnloggedSettings, restless: Tensor
) -> Tensor:
    """(B, H, H) of what hindcasts miss where all was logged, (mg/dL)^2.

    Args:
        supposed: Hindcasts.
        carbs_g: (B, H) logged.
        settings: How large.
        restless: (B,) by how much the drift's variance is larger.
    """
    noise = settings.noise
    count = supposed.logged.shape[1]
    per_g = (supposed.meal[:, :, 0] - supposed.logged.unsqueeze(1)) / MEALS_G[0]
    begins, every = per_g.shape[1], steps(settings.every_min)
    padded = torch.nn.functional.pad(carbs_g.double(), (0, begins * every - count))
    grams = padded.unflatten(1, (begins, every)).sum(-1, keepdim=True)
    per_min = torch.zeros_like(per_g)
    per_min[:, :-1] = per_g.diff(dim=1) / settings.every_min
    late = [_later(per_g, round(minutes / settings.every_min)) for minutes in _LATE_MIN]
    directions = [
        noise.carbs_share * grams * per_g,
        noise.carbs_time_sd_min * grams * per_min,
        *(noise.carbs_late_share * grams * (each - per_g) for each in late),
        supposed.slow - supposed.logged.unsqueeze(1),
    ]
    along = torch.cat(directions, dim=1)
    own = restless.view(-1, 1, 1) * drift(count, noise)
    return along.transpose(1, 2) @ along + own + sensor_error(count, noise)


def _later(per_g: Tensor, places: int) -> Tensor:
    """(B, K, H) what a gram does that comes so many of K times later; 0 beyond the last."""
    found = torch.zeros_like(per_g)
    found[:, :-places] = per_g[:, places:]
    return found


def drift(count: int, noise: HindcastNoise) -> Tensor:
    """(H, H) covariance of the integral of a rate that comes and goes, (mg/dL)^2."""
    left, between, since = _fading(count, noise.rate_memory_min)
    first = torch.minimum(since, since.unsqueeze(1))
    found = 2 * first - 1 + left + left.unsqueeze(1) - between
    return (noise.rate_sd_mg_dl_min * noise.rate_memory_min) ** 2 * found


def sensor_error(count: int, noise: HindcastNoise) -> Tensor:
    """(H, H) covariance of readings' errors less that of the first, where hindcasts begin."""
    left, between, _ = _fading(count, noise.sensor_memory_min)
    found = between + 1 - left - left.unsqueeze(1)
    return noise.sensor_sd_mg_dl**2 * found + _LEAST_SD_MG_DL**2 * torch.eye(count)


def usual_errors(count: int, noise: HindcastNoise) -> Tensor:
    """(H, H) covariance of what hindcasts miss by drift and sensor, of just anybody, (mg/dL)^2."""
    return drift(count, noise) + sensor_error(count, noise)


def root_of_known(covariance: Tensor, known: Tensor) -> Tensor:
    """(B, H, H) lower Cholesky roots of the covariance of those readings that are known.

    In the rows of the others stands the identity.

    Args:
        covariance: (H, H) or (B, H, H).
        known: (B, H).
    """
    pairs = known.unsqueeze(2) & known.unsqueeze(1)
    alone = torch.diag_embed((~known).to(covariance))
    root: Tensor = torch.linalg.cholesky(torch.where(pairs, covariance, alone))
    return root


def _fading(count: int, memory_min: float) -> tuple[Tensor, Tensor, Tensor]:
    """What is left (H,) of what was at the beginning, and (H, H) of other steps; (H,) times."""
    since = torch.arange(1, count + 1).double() * STEP_MIN / memory_min
    return (-since).exp(), (-(since - since.unsqueeze(1)).abs()).exp(), since
