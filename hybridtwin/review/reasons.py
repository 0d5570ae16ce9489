"""Reasons: why a low is likely tonight, each with its share, computed by the twin itself.

A share is the forecast less the forecast with one driver taken away, see `effects`. Shares are of
the night's lowest point. What they leave over of the difference to a usual night is shown too:
drivers that weaken or strengthen each other.
"""

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from hybridtwin.glycemia.episodes import LOW_MG_DL, lasts
from hybridtwin.review.drivers import Driver
from hybridtwin.review.effects import effects
from hybridtwin.review.night import Night
from hybridtwin.twin import Twin
from hybridtwin.units import GLUCOSE_MAX_MG_DL, GLUCOSE_MIN_MG_DL, GlucoseUnit, from_mg_dl


class Share(BaseModel):
    """What something does to the night."""

    model_config = ConfigDict(frozen=True)

    nadir: float = Field(description="By how much it moves the lowest point, in the unit.")
    below_70: float = Field(description="And the probability of a low, -1 to 1.")

    def in_unit(self, unit: GlucoseUnit) -> "Share":
        """From mg/dL in another unit."""
        return self.model_copy(update={"nadir": round(from_mg_dl(self.nadir, unit), 2)})


class Reason(Share):
    """One driver's share."""

    driver: Driver = Field(description="What is other than usual.")


class Explanation(BaseModel):
    """Why the night is expected to be other than usual."""

    model_config = ConfigDict(frozen=True)

    reasons: list[Reason] = Field(description="Those that lower the night most first.")
    residual: Share = Field(description="What they leave over of the difference to a usual night.")

    def in_unit(self, unit: GlucoseUnit) -> "Explanation":
        """From mg/dL in another unit."""
        return Explanation(
            reasons=[
                reason.model_copy(update=reason.in_unit(unit).model_dump(include={"nadir"}))
                for reason in self.reasons
            ],
            residual=self.residual.in_unit(unit),
        )


def explain(twin: Twin, night: Night) -> Explanation:
    """Why a night is expected to be as it is.

    Args:
        twin: The patient's.
        night: As forecast by this twin.
    """
    with torch.inference_mode():
        without = effects(twin, night.belief, night.horizon_min)
        paths = night.forecast.paths_mg_dl
        inside = night.within
        nadir, low = _of(paths[:, inside])
        shares = {}
        for name, effect in without.items():
            otherwise = (paths - effect).clamp(GLUCOSE_MIN_MG_DL, GLUCOSE_MAX_MG_DL)
            other_nadir, other_low = _of(otherwise[:, inside])
            shares[name] = (nadir - other_nadir, low - other_low)
    whole = shares.pop(None)
    reasons = [
        Reason(driver=driver, nadir=round(share[0], 1), below_70=round(share[1], 4))
        for driver, share in shares.items()
        if driver is not None
    ]
    left = [total - sum(share[i] for share in shares.values()) for i, total in enumerate(whole)]
    return Explanation(
        reasons=sorted(reasons, key=lambda reason: (reason.nadir, reason.below_70)),
        residual=Share(nadir=round(left[0], 1), below_70=round(left[1], 4)),
    )


def _of(night_mg_dl: Tensor) -> tuple[float, float]:
    """Median lowest point and share of paths with a low of a night (M, H)."""
    low = lasts(night_mg_dl < LOW_MG_DL).float().mean()
    return float(night_mg_dl.amin(1).median()), float(low)
