"""Steady states: where a body settles at constant inputs."""

from typing import Final

import torch
from torch import Tensor

from hybridtwin.physiology import counterregulation as counter
from hybridtwin.physiology.body import CASCADE, INPUTS, rates_of_emptying, readings, signals
from hybridtwin.physiology.cascade import Cascade
from hybridtwin.physiology.clock import Rhythm
from hybridtwin.physiology.glucose import (
    BRAIN_UPTAKE_MG_KG_MIN,
    FROM_TISSUE_PER_MIN,
    TO_TISSUE_PER_MIN,
    Constants,
    Core,
    Signals,
    available,
    concentration,
    constants,
    production,
    renal_excretion,
    tissue_at_rest,
    uptake_capacity,
)
from hybridtwin.physiology.parameters import GLUCOSE_VOLUME_DL_KG, BodyParameters
from hybridtwin.physiology.secretion import own_insulin_at_rest, secretion_wanted

MIN_PER_H: Final = 60.0
_LOWEST_MG_DL: Final = 1.0
_HIGHEST_MG_DL: Final = 5000.0
_HALVINGS: Final = 50


def resting_gain(cascade: Cascade, rates: Tensor) -> Tensor:
    """(P, n, m) what every compartment holds at rest per input, given rates (P, n) in 1/min."""
    matrix = cascade.routing.to(rates) * rates.unsqueeze(1)
    entry = cascade.entry.to(rates).expand(len(rates), -1, -1)
    held: Tensor = torch.linalg.solve(-matrix, entry)
    return held


def resting_core(
    plasma_mg_kg: Tensor, s: Signals, heed: Tensor, c: Constants
) -> tuple[Core, Tensor]:
    """Everything that follows plasma glucose, at rest beside it.

    Args:
        plasma_mg_kg: (B,).
        s: What acts on the body.
        heed: (B,) share of the hormonal response that recent lows leave.
        c: The person's constants.

    Returns:
        The core, and the capacity of uptake in mg/kg/min.
    """
    glucose_mg_dl = concentration(plasma_mg_kg)
    glucagon = (
        c.glucagon_response_pg_ml
        * heed
        * counter.below(glucose_mg_dl, counter.GLUCAGON_BELOW_MG_DL)
    )
    adrenaline = (
        c.adrenaline_response * heed * counter.below(glucose_mg_dl, counter.ADRENALINE_BELOW_MG_DL)
    )
    wanted = secretion_wanted(glucose_mg_dl, s.appearance, c.secretion_per_min, c.incretin_gain)
    own = own_insulin_at_rest(wanted, c.insulin_clearance_per_min)
    capacity = uptake_capacity(
        s.uptake_per_insulin
        * (s.uptake_insulin + own.uptake_action)
        * counter.uptake_restraint(adrenaline)
    )
    tissue = tissue_at_rest(plasma_mg_kg, capacity)
    return Core(plasma_mg_kg, tissue, glucagon, adrenaline, *own), capacity


def _net_inflow(plasma_mg_kg: Tensor, s: Signals, heed: Tensor, c: Constants) -> Tensor:
    """(B,) mg/kg/min gained by plasma and tissue together while all else rests; falls in plasma."""
    core, _ = resting_core(plasma_mg_kg, s, heed, c)
    glucose_mg_dl = concentration(plasma_mg_kg)
    gain = s.liver * counter.liver_gain(
        core.glucagon_pg_ml + s.glucagon_pg_ml, core.adrenaline, c.glucagon_effect
    )
    restraint = s.restraint_per_insulin * (s.liver_insulin + core.own_liver_mu_l)
    taken = TO_TISSUE_PER_MIN * plasma_mg_kg - FROM_TISSUE_PER_MIN * core.tissue_mg_kg
    demand = (BRAIN_UPTAKE_MG_KG_MIN + s.muscle) * available(glucose_mg_dl)
    made = production(glucose_mg_dl, gain, restraint, c)
    return made + s.appearance + s.sprint - demand - renal_excretion(plasma_mg_kg) - taken


def steady_state(p: BodyParameters, basal_u_h: Tensor) -> Tensor:
    """The body (S, B) at rest: fasting, at constant pump basal (B,) in U/h, by neutral clock.

    There is exactly one: what flows in falls with glucose, and what flows out rises with it.
    """
    inputs = torch.zeros(len(basal_u_h), len(INPUTS)).to(basal_u_h)
    inputs[:, INPUTS.index("bolus_u")] = basal_u_h / MIN_PER_H
    rates = rates_of_emptying(p).T
    driven = torch.bmm(resting_gain(CASCADE, rates), inputs.unsqueeze(-1)).squeeze(-1).T
    neutral = torch.ones_like(basal_u_h)
    s = signals(driven, Rhythm(neutral, neutral, neutral), readings(p))
    c = constants(p)

    def memory(plasma_mg_kg: Tensor) -> Tensor:
        return counter.below(concentration(plasma_mg_kg), counter.ADRENALINE_BELOW_MG_DL)

    low = neutral * _LOWEST_MG_DL * GLUCOSE_VOLUME_DL_KG
    high = neutral * _HIGHEST_MG_DL * GLUCOSE_VOLUME_DL_KG
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        rising = _net_inflow(middle, s, counter.heed(memory(middle)), c) > 0
        low, high = torch.where(rising, middle, low), torch.where(rising, high, middle)
    plasma = 0.5 * (low + high)
    core, _ = resting_core(plasma, s, counter.heed(memory(plasma)), c)
    outside = torch.stack([concentration(plasma), memory(plasma)])
    return torch.cat([driven, torch.stack(core), outside])
