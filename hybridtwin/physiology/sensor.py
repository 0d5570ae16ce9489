"""The sensor sits in interstitial fluid, which follows plasma with a delay.

Keenan et al. 2009, J. Diabetes Sci. Technol. 3:1207.
"""

from torch import Tensor

from hybridtwin.physiology.parameters import BodyParameters


def interstitial_rate(
    interstitial_mg_dl: Tensor, plasma_mg_dl: Tensor, p: BodyParameters
) -> Tensor:
    """Time derivative (B,) of interstitial glucose, mg/dL per minute."""
    return (plasma_mg_dl - interstitial_mg_dl) * p.sensor_rate_per_min
