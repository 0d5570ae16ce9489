"""The state that is filtered, in unbounded coordinates.

A member's D coordinates are, in this order: glucose and the carbohydrate on its way, as logarithms,
so that they stay positive; the flux that nobody logged; slow parameters; and the mean of the
sensitivity since midnight. These are filtered. The other compartments, the latent state and where
it was drawn to follow them.
"""

from typing import Final, NamedTuple

import torch
from torch import Tensor

from hybridtwin.assimilation.settings import AssimilationSettings
from hybridtwin.assimilation.slow import DIRECTIONS, SENSITIVITIES
from hybridtwin.dynamics import State, body_of
from hybridtwin.hybrid import Present
from hybridtwin.physiology.body import COMPARTMENTS, DRIVEN, ROW
from hybridtwin.physiology.glucose import Core, concentration

_CARBS: Final = [ROW[name] for name in ("stomach_g", "gut_1_g", "gut_2_g")]
_GLUCOSE: Final = [ROW[name] for name in ("plasma_mg_kg", "tissue_mg_kg", "interstitial_mg_dl")]
_LOGARITHMIC: Final = [*_CARBS, *_GLUCOSE]
_FLOORS: Final = torch.tensor([0.1] * len(_CARBS) + [1.0] * len(_GLUCOSE)).unsqueeze(-1)
"""Added before the logarithm is taken: g, mg/kg and mg/dL that do not matter."""
_FOLLOWING: Final = [row for row in range(len(COMPARTMENTS)) if row not in _LOGARITHMIC]
_ORDER: Final = [*_LOGARITHMIC, *_FOLLOWING]
_BACK: Final = [_ORDER.index(row) for row in range(len(COMPARTMENTS))]

CARBS: Final = slice(0, len(_CARBS))
PLASMA: Final = len(_CARBS)
FLUX: Final = len(_LOGARITHMIC)
SLOW: Final = slice(FLUX + 1, FLUX + 1 + len(DIRECTIONS))
TODAY: Final = SLOW.stop
FILTERED: Final = TODAY + 1
"""How many coordinates are filtered, the first ones."""


def coordinates(state: State, filtered: Tensor, people: int) -> Tensor:
    """(N, M, D) of N people's members, who lie side by side in the state.

    Args:
        state: Bodies and latent states, N * M columns.
        filtered: (FILTERED - FLUX, N * M) flux, slow parameters and today's mean.
        people: N.
    """
    body = body_of(state)[_ORDER]
    logarithms = (body[:FLUX].clamp(min=0) + _FLOORS).log()
    rows = torch.cat([logarithms, filtered, body[FLUX:], state.latent, state.drawn_to])
    return rows.T.reshape(people, -1, len(rows))


def state_of(members: Tensor) -> tuple[State, Tensor]:
    """The state of all members (N, M, D) side by side, and the rest as `coordinates` takes it."""
    rows = members.reshape(-1, members.shape[-1]).T
    glucose = (rows[:FLUX].exp() - _FLOORS).clamp(min=0)
    following = rows[FILTERED : FILTERED + len(_FOLLOWING)].clamp(min=0)
    latent, drawn_to = rows[FILTERED + len(_FOLLOWING) :].chunk(2)
    body = torch.cat([glucose, following])[_BACK]
    return _state(body, latent.contiguous(), drawn_to.contiguous()), rows[FLUX:FILTERED]


class Glucose(NamedTuple):
    """What members (N, M) say of glucose."""

    plasma_mg_dl: Tensor
    interstitial_mg_dl: Tensor


def glucose_of(members: Tensor) -> Glucose:
    """Of members (N, M, D)."""
    plasma, _, interstitial = (
        (members[..., row].exp() - float(_FLOORS[row])).clamp(min=0)
        for row in range(CARBS.stop, FLUX)
    )
    return Glucose(concentration(plasma), interstitial)


def begun(present: Present, design: Tensor, settings: AssimilationSettings) -> Tensor:
    """(M, D) members about one present.

    Args:
        present: B = 1.
        design: (FILTERED, M) standard normal, or as good.
        settings: How far they lie from it.
    """
    many = design.shape[1]
    body, latent = present.body.expand(-1, many), present.latent.T.expand(-1, many)
    wanders = [getattr(settings.slow, name).sd for name in DIRECTIONS]
    slow = torch.tensor(wanders).unsqueeze(-1) * design[SLOW]
    flux = settings.flux.sd * design[FLUX : FLUX + 1]
    today = slow[SENSITIVITIES].sum(0, keepdim=True)
    members = coordinates(_state(body, latent, latent), torch.cat([flux, slow, today]), 1)[0]
    members[:, PLASMA] += settings.plasma_sd_per_h * design[PLASMA]
    return members


def _state(body: Tensor, latent: Tensor, drawn_to: Tensor) -> State:
    core = slice(len(DRIVEN), len(DRIVEN) + len(Core._fields))
    return State(body[: len(DRIVEN)], body[core], body[-2], body[-1], latent, drawn_to)
