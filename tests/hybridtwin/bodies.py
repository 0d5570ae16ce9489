"""Bodies and days of any kind, for tests of what must hold for all of them."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Final

import torch
from hypothesis import strategies as st
from torch import Tensor

from hybridtwin.inputs import Future
from hybridtwin.physiology.body import DRIVEN, INPUTS, ROW
from hybridtwin.physiology.glucose import GLUCOSE_VOLUME_DL_KG
from hybridtwin.physiology.parameters import PARAMETERS, BodyParameters, values
from hybridtwin.physiology.steady import MIN_PER_H, steady_state
from hybridtwin.units import (
    ALCOHOL_MAX_G,
    BASAL_RATE_MAX_U_H,
    BOLUS_MAX_U,
    CARBS_MAX_G,
    DOSE_MAX_U,
    GLUCAGON_MAX_UG,
    STEP_MIN,
)

PRECISE: Final = torch.float64
LARGEST: Final = {
    **dict.fromkeys(("bolus_u", "monomer_u", "regular_u"), BOLUS_MAX_U),
    **dict.fromkeys(
        ("nph_u", "detemir_u", "glargine_u100_u", "glargine_u300_u", "degludec_u"), DOSE_MAX_U
    ),
    **dict.fromkeys(("carbs_g", "fast_carbs_g", "slow_carbs_g", "protein_g", "fat_g"), CARBS_MAX_G),
    "alcohol_g": ALCOHOL_MAX_G,
    "glucagon_ug": GLUCAGON_MAX_UG,
}
"""The most that one event may hold, by input."""
INSULIN: Final = tuple(name for name in INPUTS if name.endswith("_u"))
CARBS: Final = tuple(name for name in INPUTS if name.endswith("carbs_g"))
_BOUT = 6  # steps of exercise in one go

seeds = st.integers(0, 2**31)


def anyone(
    count: int, seed: int, beta_cells: bool = False, dtype: torch.dtype = PRECISE
) -> BodyParameters:
    """People from the whole prior, up to three standard deviations from its median.

    Args:
        count: How many.
        seed: Of the draw.
        beta_cells: Whether they still secrete some insulin.
        dtype: Of their parameters; the people are the same.
    """
    g = torch.Generator().manual_seed(seed)
    scores = 1.5 * torch.randn(count, len(PARAMETERS), generator=g, dtype=PRECISE)
    weight_kg = 15 + 135 * torch.rand(count, generator=g, dtype=PRECISE)
    cells = torch.rand(count, generator=g, dtype=PRECISE) * beta_cells
    return values(*(each.to(dtype) for each in (scores.clamp(-3, 3), weight_kg, cells)))


def repeated(p: BodyParameters, times: int) -> BodyParameters:
    """The same people several times over."""
    names = [field.name for field in fields(p)]
    return BodyParameters(**{name: getattr(p, name).repeat(times) for name in names})


def nothing(basal_u_h: Tensor, steps: int, minute_of_day: float = 0.0) -> Future:
    """A future of pump basal (B,) alone."""
    count, dtype = len(basal_u_h), basal_u_h.dtype
    amounts = torch.zeros(steps, len(INPUTS), count, dtype=dtype)
    amounts[:, INPUTS.index("bolus_u")] = basal_u_h / MIN_PER_H
    minutes = (minute_of_day + STEP_MIN * torch.arange(steps, dtype=dtype)) % 1440
    return Future(
        amounts,
        torch.zeros(steps, 4, count, dtype=dtype),
        minutes.unsqueeze(-1).expand(-1, count),
        torch.zeros(count, dtype=dtype),
    )


def given_at(future: Future, step: int, name: str, amount: float | Tensor) -> Future:
    """The same future with an amount more in one step."""
    amounts = future.amounts_per_min.clone()
    amounts[step, INPUTS.index(name)] += amount / STEP_MIN
    return replace(future, amounts_per_min=amounts)


def side_by_side(futures: Sequence[Future]) -> Future:
    """Several futures as one of all their people."""
    names = [field.name for field in fields(Future)]
    return Future(*(torch.cat([getattr(f, name) for f in futures], dim=-1) for name in names))


def anything(count: int, steps: int, seed: int, size: float = 1.0) -> Future:
    """Futures with events of every kind, up to a share `size` of the largest that are possible."""
    g = torch.Generator().manual_seed(seed)

    def some(share: float, *shape: int) -> Tensor:
        hit = torch.rand(*shape, generator=g, dtype=PRECISE) < share
        return hit * torch.rand(*shape, generator=g, dtype=PRECISE)

    future = nothing(size * BASAL_RATE_MAX_U_H * some(0.5, count), steps)
    for name, largest in LARGEST.items():
        future.amounts_per_min[:, INPUTS.index(name)] += (
            size * largest / STEP_MIN * some(0.03, steps, count)
        )
    for name in ("exertion", "sprint"):
        bouts = some(0.2, steps // _BOUT + 1, count).repeat_interleave(_BOUT, 0)
        future.amounts_per_min[:, INPUTS.index(name)] = bouts[:steps]
    start = 1440 * torch.rand(count, generator=g, dtype=PRECISE)
    return Future(
        future.amounts_per_min,
        some(0.3, 1, 4, count).expand(steps, -1, -1),
        (future.minute_of_day + start) % 1440,
        (torch.rand(count, generator=g, dtype=PRECISE) < 0.5).to(PRECISE),
    )


def anywhere(p: BodyParameters, seed: int) -> Tensor:
    """Bodies (S, B) far from rest: fed and dosed, low or high, with hormones still acting."""
    g = torch.Generator().manual_seed(seed)
    count = len(p.weight_kg)

    def up_to(most: float) -> Tensor:
        return most * torch.rand(count, generator=g, dtype=PRECISE)

    body = steady_state(p, p.basal_need_u_h)
    for name in DRIVEN:
        most = {"_u": 10.0, "_g": 60.0, "ug": 300.0}.get(name[-2:], 1.0)
        body[ROW[name]] += up_to(most) * (up_to(1.0) < 0.3)
    glucose_mg_dl = 30 + up_to(300.0)
    body[ROW["plasma_mg_kg"]] = GLUCOSE_VOLUME_DL_KG * glucose_mg_dl
    body[ROW["tissue_mg_kg"]] *= 0.5 + up_to(1.0)
    body[ROW["glucagon_pg_ml"]] = up_to(100.0) * (up_to(1.0) < 0.3)
    body[ROW["adrenaline"]] = up_to(1.0) * (up_to(1.0) < 0.3)
    body[ROW["interstitial_mg_dl"]] = glucose_mg_dl
    body[ROW["low_memory"]] = up_to(0.3)
    return body
