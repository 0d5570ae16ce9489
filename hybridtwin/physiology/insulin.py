"""Insulin of every kind: under the skin, in plasma, and its two delayed actions.

Injected insulin sits as a precipitate (glargine), crystals (NPH), multi-hexamers or albumin-bound
(degludec, detemir), as hexamers (regular), or as dimers and monomers (rapid), and passes through
these forms into the blood: one ladder that each kind enters at its own rungs (association states as
in Wong et al. 2008, J. Diabetes Sci. Technol. 2:658). The last two rungs, plasma and the remote
actions are those of Hovorka et al. 2004, Physiol. Meas. 25:905, equations 4 to 8.
"""

from typing import Final

from hybridtwin.events import InsulinKind
from hybridtwin.physiology.cascade import Cascade, Flow

CASCADE: Final = Cascade(
    rates={
        "nph_u": "nph_rate_per_min",
        "detemir_u": "detemir_rate_per_min",
        "glargine_u100_u": "glargine_u100_rate_per_min",
        "glargine_u300_u": "glargine_u300_rate_per_min",
        "degludec_u": "degludec_rate_per_min",
        "hexamer_u": "hexamer_rate_per_min",
        "depot_1_u": "rapid_rate_per_min",
        "depot_2_u": "rapid_rate_per_min",
        "plasma_insulin_u": "insulin_clearance_per_min",
        "uptake_effect_u": "uptake_onset_per_min",
        "liver_effect_u": "liver_onset_per_min",
    },
    flows=(
        Flow("nph_u", "hexamer_u"),
        Flow("detemir_u", "hexamer_u"),
        Flow("glargine_u100_u", "nph_u"),
        Flow("glargine_u300_u", "nph_u"),
        Flow("degludec_u", "hexamer_u"),
        Flow("hexamer_u", "depot_1_u"),
        Flow("depot_1_u", "depot_2_u"),
        Flow("depot_2_u", "plasma_insulin_u"),
        Flow("plasma_insulin_u", "uptake_effect_u", follows=True),
        Flow("plasma_insulin_u", "liver_effect_u", follows=True),
    ),
    inputs={
        "bolus_u": (("depot_1_u", 1.0),),
        "monomer_u": (("depot_2_u", 1.0),),
        "regular_u": (("hexamer_u", 1.0),),
        "nph_u": (("nph_u", 1.0),),
        "detemir_u": (("detemir_u", 1.0),),
        "glargine_u100_u": (("glargine_u100_u", 1.0),),
        "glargine_u300_u": (("glargine_u300_u", 1.0),),
        "degludec_u": (("degludec_u", 1.0),),
    },
)

# Share of an ultra-rapid insulin that is absorbed without waiting to fall apart.
_FASTER_ASPART_MONOMERS: Final = 0.23
_ULTRA_RAPID_LISPRO_MONOMERS: Final = 0.37

# Share of regular insulin that is no hexamer any more; hexamers alone reach half of their action
# after 86 min, clamps after 48 (Rave et al. 2005, Diabetes Care 28:1077).
_REGULAR_MONOMERS: Final = 0.15
# Share of glargine U100 that dissolves at once like crystals of NPH; it acts after 1.5 h already
# (Lepore et al. 2000, Diabetes 49:2142).
_GLARGINE_U100_CRYSTALS: Final = 0.1
_GLARGINE_U100: Final = {
    "glargine_u100_u": 1 - _GLARGINE_U100_CRYSTALS,
    "nph_u": _GLARGINE_U100_CRYSTALS,
}

ENTRIES: Final[dict[InsulinKind, dict[str, float]]] = {
    InsulinKind.FASTER_ASPART: {
        "bolus_u": 1 - _FASTER_ASPART_MONOMERS,
        "monomer_u": _FASTER_ASPART_MONOMERS,
    },
    InsulinKind.ULTRA_RAPID_LISPRO: {
        "bolus_u": 1 - _ULTRA_RAPID_LISPRO_MONOMERS,
        "monomer_u": _ULTRA_RAPID_LISPRO_MONOMERS,
    },
    InsulinKind.RAPID: {"bolus_u": 1.0},
    InsulinKind.ASPART: {"bolus_u": 1.0},
    InsulinKind.LISPRO: {"bolus_u": 1.0},
    InsulinKind.GLULISINE: {"bolus_u": 1.0},
    InsulinKind.REGULAR: {"regular_u": 1 - _REGULAR_MONOMERS, "monomer_u": _REGULAR_MONOMERS},
    InsulinKind.NPH: {"nph_u": 1.0},
    InsulinKind.DETEMIR: {"detemir_u": 1.0},
    InsulinKind.LONG_ACTING: _GLARGINE_U100,
    InsulinKind.GLARGINE_U100: _GLARGINE_U100,
    InsulinKind.GLARGINE_U300: {"glargine_u300_u": 1.0},
    InsulinKind.DEGLUDEC: {"degludec_u": 1.0},
}
"""Where each kind enters the ladder: shares of a dose by channel."""
