"""The sensor sits in interstitial fluid, which follows plasma with a delay.

Keenan et al. 2009, J. Diabetes Sci. Technol. 3:1207.
"""

import torch
from torch import Tensor


def interstitial_rate(
    interstitial_mg_dl: Tensor, plasma_mg_dl: Tensor, sensor_rate_per_min: Tensor
) -> Tensor:
    """Time derivative (B,) of interstitial glucose, mg/dL per minute."""
    return (plasma_mg_dl - interstitial_mg_dl) * sensor_rate_per_min


def interstitial_after(
    interstitial_mg_dl: Tensor, plasma_before: Tensor, plasma_after: Tensor, steps_per_delay: Tensor
) -> Tensor:
    """Interstitial glucose (B,) one step on: exact for plasma glucose that changes evenly.

    Args:
        interstitial_mg_dl: (B,) before the step.
        plasma_before: (B,) plasma glucose before the step, mg/dL.
        plasma_after: (B,) and after it.
        steps_per_delay: (B,) the step over the sensor's delay.
    """
    keep = torch.exp(-steps_per_delay)
    passed = (1 - keep) / steps_per_delay
    return keep * interstitial_mg_dl + (passed - keep) * plasma_before + (1 - passed) * plasma_after
