"""The state that is filtered: body, latent state and slow parameters, in unbounded coordinates.

A member's D coordinates are, in this order: the body's compartments, the latent state, where it
was drawn to, and the slow parameters as deviations of their standard scores from the person's own.
Glucose and the carbohydrate on its way stand as logarithms, so that they stay positive. What else
inputs fill is not moved by readings: doses are known, and follow each member's own parameters.
"""

from typing import Final

import torch
from torch import Tensor

from hybridtwin.assimilation.filters import Kinds
from hybridtwin.dynamics import State, body_of
from hybridtwin.hybrid import People, Present
from hybridtwin.physiology.body import COMPARTMENTS, DRIVEN, ROW
from hybridtwin.physiology.glucose import Core
from hybridtwin.physiology.parameters import FITTED_COLUMNS

CARBS: Final = [ROW[name] for name in ("stomach_g", "gut_1_g", "gut_2_g")]
_GLUCOSE: Final = [ROW[name] for name in ("plasma_mg_kg", "tissue_mg_kg", "interstitial_mg_dl")]
_LOGARITHMIC: Final = [*CARBS, *_GLUCOSE]
_FLOORS: Final = torch.tensor([0.1] * len(CARBS) + [1.0] * len(_GLUCOSE))
"""Added before the logarithm is taken: g, mg/kg and mg/dL that do not matter."""
SLOW: Final = slice(-len(FITTED_COLUMNS), None)
"""Where the slow parameters stand, in the order of `FITTED`."""


def latent(size: int) -> slice:
    """Where the latent state of a model with so many latent dimensions stands."""
    return slice(len(COMPARTMENTS), len(COMPARTMENTS) + size)


def kinds(latent_size: int) -> Kinds:
    """What the coordinates are."""
    count = len(COMPARTMENTS) + 2 * latent_size + len(FITTED_COLUMNS)
    moved, slow = torch.zeros(2, count, dtype=torch.bool)
    moved[_LOGARITHMIC] = True
    moved[latent(latent_size)] = True
    moved[SLOW] = slow[SLOW] = True
    return Kinds(moved, slow)


def coordinates(state: State, slow: Tensor, people: int) -> Tensor:
    """(N, M, D) of N people's members, who lie side by side in the state; slow is (N * M, K)."""
    body = body_of(state)
    body[_LOGARITHMIC] = (body[_LOGARITHMIC].clamp(min=0) + _FLOORS.to(body).unsqueeze(-1)).log()
    rows = torch.cat([body, state.latent, state.drawn_to, slow.T])
    return rows.T.reshape(people, -1, len(rows))


def state_of(members: Tensor) -> tuple[State, Tensor]:
    """The state of all members (N, M, D) side by side, and their slow parameters (N * M, K)."""
    rows = members.reshape(-1, members.shape[-1]).T.clone(memory_format=torch.contiguous_format)
    both = rows[len(COMPARTMENTS) : -len(FITTED_COLUMNS)]
    body, (latent, drawn_to) = rows[: len(COMPARTMENTS)], both.chunk(2)
    body[_LOGARITHMIC] = body[_LOGARITHMIC].exp() - _FLOORS.to(body).unsqueeze(-1)
    body[_LOGARITHMIC] = body[_LOGARITHMIC].clamp(min=0)
    return _state(body, latent, drawn_to), rows[SLOW].T


def present_of(members: Tensor) -> tuple[Tensor, Tensor]:
    """Bodies (S, M) and latent states (M, Z) of members (M, D), to forecast from."""
    state, _ = state_of(members)
    return body_of(state), state.latent.T


def begun(present: Present, normal: Tensor, slow_sd: float, plasma_sd: float) -> Tensor:
    """(M, D) members about one present.

    Args:
        present: B = 1.
        normal: (M, 1 + K) standard normal.
        slow_sd: Of slow parameters, in prior SD.
        plasma_sd: Of the logarithm of glucose in plasma.
    """
    many = len(normal)
    body, latent = present.body.expand(-1, many), present.latent.T.expand(-1, many)
    members = coordinates(_state(body, latent, latent), slow_sd * normal[:, 1:], 1)[0]
    members[:, ROW["plasma_mg_kg"]] += plasma_sd * normal[:, 0]
    return members


def _state(body: Tensor, latent: Tensor, drawn_to: Tensor) -> State:
    core = slice(len(DRIVEN), len(DRIVEN) + len(Core._fields))
    return State(body[: len(DRIVEN)], body[core], body[-2], body[-1], latent, drawn_to)


def with_slow(people: People, slow: Tensor) -> People:
    """People (B) whose scores deviate from their own by slow (B, K)."""
    columns = torch.tensor(FITTED_COLUMNS)
    scores = people.scores.index_add(1, columns, slow)
    return People(people.embedding, scores, people.weight_kg, people.beta_cells)
