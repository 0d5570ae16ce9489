"""Glucose in plasma and tissue: liver, uptake, kidney.

Two compartments, transport and insulin-dependent uptake as in Dalla Man et al. 2007, IEEE TBME
54:1740 (equations 1, 14, 15, 27); the liver saturates smoothly in insulin and glucose where the
paper's is linear and cut at zero, so that production is positive and falls with both.

Plasma and tissue feed each other only positively and every other term falls or rises with one
sign: more insulin can never raise glucose, more carbohydrate never lower it (a cooperative system;
Smith 1995, Monotone Dynamical Systems, chapter 3).
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

from hybridtwin.physiology.parameters import (
    BRAIN_UPTAKE_MG_KG_MIN,
    FROM_TISSUE_PER_MIN,
    GLUCOSE_VOLUME_DL_KG,
    RENAL_RATE_PER_MIN,
    RENAL_THRESHOLD_MG_KG,
    STARVATION_MG_DL,
    TO_TISSUE_PER_MIN,
    UPTAKE_CAPACITY_MG_KG_MIN,
    UPTAKE_HALF_MG_KG,
    BodyParameters,
)

_RENAL_SOFTNESS_MG_KG = 20.0


class GlucoseState(NamedTuple):
    """Glucose in plasma and tissue, mg/kg, each (B,)."""

    plasma: Tensor
    tissue: Tensor


def concentration(plasma_mg_kg: Tensor) -> Tensor:
    """Plasma glucose in mg/dL."""
    return plasma_mg_kg / GLUCOSE_VOLUME_DL_KG


def available(glucose_mg_dl: Tensor) -> Tensor:
    """Share, 0 to 1, of a demand that is met: falls when little glucose is left."""
    return 1 - torch.exp(-glucose_mg_dl.clamp(min=0) / STARVATION_MG_DL)


def liver_production(
    glucose_mg_dl: Tensor, liver_action: Tensor, dawn: Tensor, p: BodyParameters
) -> Tensor:
    """(B,) endogenous production, mg/kg/min; falls with insulin action (mU/L) and glucose."""
    glucose = glucose_mg_dl.clamp(min=0)
    restraint = liver_action * p.liver_per_insulin + glucose * p.liver_per_glucose
    return p.liver_maximum * dawn / (1 + restraint)


def uptake_capacity(uptake_action: Tensor, p: BodyParameters) -> Tensor:
    """(B,) what insulin lets tissue take up when glucose abounds, mg/kg/min.

    Proportional to insulin's action, and never above what the largest doses reach (DeFronzo,
    Tobin & Andres 1979, Am. J. Physiol. 237:E214).
    """
    wanted = p.uptake_sensitivity * uptake_action
    # The fourth power leaves ordinary insulin levels as they are.
    share = wanted * (1 / UPTAKE_CAPACITY_MG_KG_MIN)
    return wanted * (1 + share.square().square()).pow(-0.25)


def insulin_uptake(tissue_mg_kg: Tensor, uptake_action: Tensor, p: BodyParameters) -> Tensor:
    """(B,) insulin-dependent uptake from tissue, mg/kg/min."""
    return uptake_capacity(uptake_action, p) * tissue_mg_kg / (UPTAKE_HALF_MG_KG + tissue_mg_kg)


def tissue_at_rest(plasma_mg_kg: Tensor, uptake_action: Tensor, p: BodyParameters) -> Tensor:
    """Tissue glucose (B,), mg/kg, that is steady beside the given plasma glucose.

    The positive root of k1 Gp = k2 Gt + V x Gt / (K + Gt).
    """
    uptake = uptake_capacity(uptake_action, p)
    inflow = TO_TISSUE_PER_MIN * plasma_mg_kg
    half = FROM_TISSUE_PER_MIN * UPTAKE_HALF_MG_KG + uptake - inflow
    root = torch.sqrt(half**2 + 4 * FROM_TISSUE_PER_MIN * inflow * UPTAKE_HALF_MG_KG)
    return (root - half) / (2 * FROM_TISSUE_PER_MIN)


def glucose_rates(
    state: GlucoseState,
    appearance: Tensor,
    uptake_action: Tensor,
    liver_action: Tensor,
    dawn: Tensor,
    muscle: Tensor,
    p: BodyParameters,
) -> GlucoseState:
    """Time derivatives per minute.

    Args:
        state: Plasma and tissue glucose.
        appearance: Glucose from the gut, mg/kg/min.
        uptake_action: Insulin acting on uptake, mU/L.
        liver_action: Insulin acting on the liver, mU/L.
        dawn: Factor on the liver's production.
        muscle: Demand of working muscle, mg/kg/min.
        p: The person's parameters.
    """
    glucose_mg_dl = concentration(state.plasma)
    to_tissue = TO_TISSUE_PER_MIN * state.plasma
    from_tissue = FROM_TISSUE_PER_MIN * state.tissue
    renal = (
        RENAL_RATE_PER_MIN
        * _RENAL_SOFTNESS_MG_KG
        * softplus((state.plasma - RENAL_THRESHOLD_MG_KG) / _RENAL_SOFTNESS_MG_KG)
    )
    demand = (BRAIN_UPTAKE_MG_KG_MIN + muscle) * available(glucose_mg_dl)
    production = liver_production(glucose_mg_dl, liver_action, dawn, p)
    return GlucoseState(
        plasma=production + appearance - demand - renal - to_tissue + from_tissue,
        tissue=to_tissue - from_tissue - insulin_uptake(state.tissue, uptake_action, p),
    )
