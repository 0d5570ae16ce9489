"""Glucose in plasma and tissue: liver, uptake, kidney, and the hormones that answer them.

Two compartments, transport and insulin-dependent uptake as in Dalla Man et al. 2007, IEEE TBME
54:1740 (equations 1, 14, 15, 27); the liver saturates smoothly in insulin and glucose where the
paper's is linear and cut at zero, so that production is positive and falls with both.

Plasma and tissue feed each other only positively and every other term falls or rises with one
sign: more insulin can never raise glucose, more carbohydrate never lower it (a cooperative system;
Smith 1995, Monotone Dynamical Systems, chapter 3). The hormones against lows and the pancreas's own
insulin oppose a change but follow it faster than glucose moves, so they shrink an effect and do not
turn it.
"""

from typing import Final, NamedTuple

import torch
from torch import Tensor

from hybridtwin.physiology import counterregulation as counter
from hybridtwin.physiology.parameters import GLUCOSE_VOLUME_DL_KG, BodyParameters
from hybridtwin.physiology.secretion import OwnInsulin, own_insulin_rates, secretion_wanted

TO_TISSUE_PER_MIN: Final = 0.065  # Dalla Man 2007, k_1
FROM_TISSUE_PER_MIN: Final = 0.079  # Dalla Man 2007, k_2
UPTAKE_HALF_MG_KG: Final = 225.6  # Dalla Man 2007, K_m0
# Clamps reach 12 to 15, at half saturation; DeFronzo, Tobin & Andres 1979, Am. J. Physiol. 237:E214
UPTAKE_CAPACITY_MG_KG_MIN: Final = 25.0
BRAIN_UPTAKE_MG_KG_MIN: Final = 1.0  # Dalla Man 2007, F_cns
RENAL_RATE_PER_MIN: Final = 0.0005  # Dalla Man 2007, k_e1
RENAL_THRESHOLD_MG_KG: Final = 339.0  # Dalla Man 2007, k_e2
_RENAL_SOFTNESS_MG_KG: Final = 40.0
STARVATION_MG_DL: Final = 25.0  # below about this, uptake falls with what is left


class Core(NamedTuple):
    """What glucose feeds back on; each (B,).

    Attributes:
        plasma_mg_kg: Glucose in plasma.
        tissue_mg_kg: Glucose in tissue.
        glucagon_pg_ml: Glucagon above its basal level, the body's own.
        adrenaline: Above its basal level, 1 about that of a healthy person's deep low.
        own_secretion_mu_l_min: The pancreas's secretion.
        own_insulin_mu_l: The pancreas's insulin in plasma.
        own_uptake_mu_l: Its action on uptake.
        own_liver_mu_l: Its action on the liver.
    """

    plasma_mg_kg: Tensor
    tissue_mg_kg: Tensor
    glucagon_pg_ml: Tensor
    adrenaline: Tensor
    own_secretion_mu_l_min: Tensor
    own_insulin_mu_l: Tensor
    own_uptake_mu_l: Tensor
    own_liver_mu_l: Tensor


class Signals(NamedTuple):
    """What doses, meals, exercise and clock do to glucose at an instant; each (..., B).

    Attributes:
        appearance: Glucose from the gut, mg/kg/min.
        sprint: Output of the liver driven by sprints, mg/kg/min.
        muscle: Demand of working muscle, mg/kg/min.
        uptake_per_insulin: Uptake capacity, mg/kg/min per mU/L.
        uptake_insulin: Injected insulin acting on uptake, mU/L.
        restraint_per_insulin: Restraint of the liver, per mU/L.
        liver_insulin: Injected insulin acting on the liver, mU/L.
        liver: Factor on the liver's production.
        glucagon_pg_ml: Injected glucagon.
    """

    appearance: Tensor
    sprint: Tensor
    muscle: Tensor
    uptake_per_insulin: Tensor
    uptake_insulin: Tensor
    restraint_per_insulin: Tensor
    liver_insulin: Tensor
    liver: Tensor
    glucagon_pg_ml: Tensor


class Constants(NamedTuple):
    """What `core_rates` needs of a person's parameters; each (B,)."""

    liver_maximum: Tensor
    liver_per_glucose: Tensor
    glucagon_effect: Tensor
    glucagon_response_pg_ml: Tensor
    adrenaline_response: Tensor
    secretion_per_min: Tensor
    incretin_gain: Tensor
    insulin_clearance_per_min: Tensor
    uptake_onset_per_min: Tensor
    liver_onset_per_min: Tensor


def constants(p: BodyParameters) -> Constants:
    """Of a person's parameters."""
    return Constants(
        p.liver_maximum,
        p.liver_half_glucose.reciprocal(),
        p.glucagon_effect,
        p.glucagon_response_pg_ml,
        p.adrenaline_response,
        p.beta_cells * p.secretion_per_min,
        p.incretin_gain,
        p.insulin_clearance_per_min,
        p.uptake_onset_per_min,
        p.liver_onset_per_min,
    )


def concentration(plasma_mg_kg: Tensor) -> Tensor:
    """Plasma glucose in mg/dL."""
    return plasma_mg_kg * (1 / GLUCOSE_VOLUME_DL_KG)


def available(glucose_mg_dl: Tensor) -> Tensor:
    """Share, 0 to 1, of a demand that is met: falls when little glucose is left."""
    return 1 - torch.exp(-glucose_mg_dl.clamp(min=0) * (1 / STARVATION_MG_DL))


def production(glucose_mg_dl: Tensor, gain: Tensor, restraint: Tensor, c: Constants) -> Tensor:
    """(B,) endogenous production, mg/kg/min.

    Args:
        glucose_mg_dl: Plasma glucose.
        gain: Factor of clock, alcohol and hormones.
        restraint: Of insulin, dimensionless.
        c: The person's constants.
    """
    glucose = glucose_mg_dl.clamp(min=0)
    return c.liver_maximum * gain / (1 + restraint + glucose * c.liver_per_glucose)


def bounded(wanted: Tensor, most: float) -> Tensor:
    """What is wanted, and smoothly no more than `most`; far below that, what is wanted."""
    share = (wanted * (1 / most)).square().square()
    return wanted * torch.rsqrt(torch.sqrt(1 + share))


def uptake_capacity(wanted: Tensor) -> Tensor:
    """(B,) what insulin lets tissue take up when glucose abounds, mg/kg/min.

    Proportional to insulin's action, and never above what the largest doses reach.
    """
    return bounded(wanted, UPTAKE_CAPACITY_MG_KG_MIN)


def renal_excretion(plasma_mg_kg: Tensor) -> Tensor:
    """(B,) glucose lost with urine above the kidney's threshold, mg/kg/min."""
    above = plasma_mg_kg - RENAL_THRESHOLD_MG_KG
    return (0.5 * RENAL_RATE_PER_MIN) * (
        above + torch.sqrt(above.square() + _RENAL_SOFTNESS_MG_KG**2)
    )


def tissue_at_rest(plasma_mg_kg: Tensor, capacity: Tensor) -> Tensor:
    """Tissue glucose (B,), mg/kg, that is steady beside the given plasma glucose.

    The positive root of k1 Gp = k2 Gt + V Gt / (K + Gt), V the uptake capacity in mg/kg/min.
    """
    inflow = TO_TISSUE_PER_MIN * plasma_mg_kg
    half = FROM_TISSUE_PER_MIN * UPTAKE_HALF_MG_KG + capacity - inflow
    root = torch.sqrt(half**2 + 4 * FROM_TISSUE_PER_MIN * inflow * UPTAKE_HALF_MG_KG)
    return (root - half) / (2 * FROM_TISSUE_PER_MIN)


def core_rates(
    core: Core, signals: Signals, heed: Tensor, c: Constants, flux: Tensor | None
) -> Core:
    """Time derivatives per minute.

    Args:
        core: The state.
        signals: What acts on it.
        heed: (B,) share of the hormonal response that recent lows leave.
        c: The person's constants.
        flux: (B,) what the equations miss, as a flow into plasma, mg/kg/min; None is none.
    """
    glucose_mg_dl = concentration(core.plasma_mg_kg)
    met = available(glucose_mg_dl)
    to_tissue = TO_TISSUE_PER_MIN * core.plasma_mg_kg
    from_tissue = FROM_TISSUE_PER_MIN * core.tissue_mg_kg

    gain = signals.liver * counter.liver_gain(
        core.glucagon_pg_ml + signals.glucagon_pg_ml, core.adrenaline, c.glucagon_effect
    )
    restraint = signals.restraint_per_insulin * (signals.liver_insulin + core.own_liver_mu_l)
    capacity = uptake_capacity(
        signals.uptake_per_insulin
        * (signals.uptake_insulin + core.own_uptake_mu_l)
        * counter.uptake_restraint(core.adrenaline)
    )
    uptake = capacity * core.tissue_mg_kg / (UPTAKE_HALF_MG_KG + core.tissue_mg_kg)
    inflow = production(glucose_mg_dl, gain, restraint, c) + signals.appearance + signals.sprint
    demand = (BRAIN_UPTAKE_MG_KG_MIN + signals.muscle) * met
    plasma = inflow - demand - renal_excretion(core.plasma_mg_kg) - to_tissue + from_tissue
    if flux is not None:
        # A drain cannot take what is not there.
        plasma = plasma + torch.where(flux < 0, flux * met, flux)

    low_glucagon = counter.below(glucose_mg_dl, counter.GLUCAGON_BELOW_MG_DL)
    low_adrenaline = counter.below(glucose_mg_dl, counter.ADRENALINE_BELOW_MG_DL)
    glucagon_wanted = c.glucagon_response_pg_ml * heed * low_glucagon
    adrenaline_wanted = c.adrenaline_response * heed * low_adrenaline
    own = own_insulin_rates(
        OwnInsulin(*core[4:]),
        secretion_wanted(glucose_mg_dl, signals.appearance, c.secretion_per_min, c.incretin_gain),
        c.insulin_clearance_per_min,
        c.uptake_onset_per_min,
        c.liver_onset_per_min,
    )
    return Core(
        plasma,
        to_tissue - from_tissue - uptake,
        counter.HORMONE_RATE_PER_MIN * (glucagon_wanted - core.glucagon_pg_ml),
        counter.HORMONE_RATE_PER_MIN * (adrenaline_wanted - core.adrenaline),
        *own,
    )
