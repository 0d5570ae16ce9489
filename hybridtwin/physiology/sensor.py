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
    interstitial_mg_dl: Tensor,
    plasma_before: Tensor,
    plasma_after: Tensor,
    slope_before: Tensor,
    steps_per_delay: Tensor,
) -> Tensor:
    """Interstitial glucose (B,) one step on: exact for plasma glucose that runs as a parabola.

    Args:
        interstitial_mg_dl: (B,) before the step.
        plasma_before: (B,) plasma glucose before the step, mg/dL.
        plasma_after: (B,) and after it.
        slope_before: (B,) its change before the step, mg/dL per step.
        steps_per_delay: (B,) the step over the sensor's delay.
    """
    delay = 1 / steps_per_delay
    bend = plasma_after - plasma_before - slope_before
    lag_before = (slope_before - 2 * bend * delay) * delay
    lag_after = lag_before + 2 * bend * delay
    away = interstitial_mg_dl - plasma_before + lag_before
    return plasma_after - lag_after + away * torch.exp(-steps_per_delay)
