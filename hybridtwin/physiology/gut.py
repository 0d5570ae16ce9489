"""Stomach and gut: carbohydrate, protein, fat and alcohol on their way into the blood.

Carbohydrate passes two compartments (Hovorka et al. 2004, Physiol. Meas. 25:905, equation 3).
What fat, protein, fibre and a low glycaemic index hold back waits in the stomach first; what is
drunk as glucose skips the first. Protein turns to glucose hours later (Paterson et al. 2016,
Diabet. Med. 33:592), fat makes insulin act less (Wolpert et al. 2013, Diabetes Care 36:810), and
alcohol withholds the liver's glucose (Siler et al. 1998, Am. J. Physiol. 275:E897).
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hybridtwin.physiology.cascade import Cascade, Flow

CASCADE: Final = Cascade(
    rates={
        "stomach_g": "stomach_rate_per_min",
        "gut_1_g": "gut_1_rate_per_min",
        "gut_2_g": "gut_2_rate_per_min",
        "protein_1_g": "protein_rate_per_min",
        "protein_2_g": "protein_rate_per_min",
        "fat_1_g": "fat_rate_per_min",
        "fat_2_g": "fat_rate_per_min",
        "alcohol_1_g": "alcohol_absorption_per_min",
        "alcohol_2_g": "alcohol_clearance_per_min",
    },
    flows=(
        Flow("stomach_g", "gut_1_g"),
        Flow("gut_1_g", "gut_2_g"),
        Flow("protein_1_g", "protein_2_g"),
        Flow("fat_1_g", "fat_2_g"),
        Flow("alcohol_1_g", "alcohol_2_g"),
    ),
    inputs={
        "carbs_g": (("gut_1_g", 1.0),),
        "fast_carbs_g": (("gut_2_g", 1.0),),
        "slow_carbs_g": (("stomach_g", 1.0),),
        "protein_g": (("protein_1_g", 1.0),),
        "fat_g": (("fat_1_g", 1.0),),
        "alcohol_g": (("alcohol_1_g", 1.0),),
    },
)

Grams = NDArray[np.float64]

# A meal of unknown composition is an ordinary one: nothing is held back beyond the usual.
_USUAL_INDEX: Final = 60.0
_GLUCOSE_INDEX: Final = 100.0
_LOWEST_INDEX: Final = 20.0
_SLOWED_MOST: Final = 0.9
# Grams that hold back about half of the carbohydrate; fat does most (Gentilcore et al. 2006, J.
# Clin. Endocrinol. Metab. 91:2062), protein and fibre less.
_HALF_FAT_G: Final = 40.0
_HALF_PROTEIN_G: Final = 80.0
_HALF_FIBRE_G: Final = 30.0
_FAST_OF_LIQUID: Final = 1.0


def pathways(
    carbs_g: Grams,
    fat_g: Grams,
    protein_g: Grams,
    fibre_g: Grams,
    glycaemic_index: Grams,
    liquid: NDArray[np.bool_],
) -> tuple[Grams, Grams, Grams]:
    """How much of each meal's carbohydrate goes the usual, the fast and the slow way.

    Args:
        carbs_g: (N,) carbohydrate in g.
        fat_g: (N,) fat in g, NaN where unknown, as all that follow.
        protein_g: (N,) protein in g.
        fibre_g: (N,) fibre in g.
        glycaemic_index: (N,) glucose = 100.
        liquid: (N,) whether it was drunk, or chewed glucose.

    Returns:
        usual, fast, slow: (N,) g each; they sum to `carbs_g`.
    """
    brake = (
        np.nan_to_num(fat_g) / _HALF_FAT_G
        + np.nan_to_num(protein_g) / _HALF_PROTEIN_G
        + np.nan_to_num(fibre_g) / _HALF_FIBRE_G
    )
    index = np.where(np.isnan(glycaemic_index), _USUAL_INDEX, glycaemic_index)
    low = np.clip((_USUAL_INDEX - index) / (_USUAL_INDEX - _LOWEST_INDEX), 0, 1)
    high = np.clip((index - _USUAL_INDEX) / (_GLUCOSE_INDEX - _USUAL_INDEX), 0, 1)
    slow_share = _SLOWED_MOST * (1 - (1 - low) / (1 + brake))
    fast_share = _FAST_OF_LIQUID * np.where(liquid, 1.0, 0.5 * high)
    slow = carbs_g * slow_share
    fast = (carbs_g - slow) * fast_share
    return carbs_g - slow - fast, fast, slow
