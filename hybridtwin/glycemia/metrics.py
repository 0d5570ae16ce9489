"""Single figures of a trace of glucose: what it is on average, how it varies, how risky it is."""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from hybridtwin.glycemia.trace import Floats

STABLE_CV_PERCENT: Final = 36.0
"""Glucose that varies less is stable: Danne et al. 2017, Diabetes Care 40:1631."""

Zone = Literal["A", "B", "C", "D", "E"]
_ZONES: Final[tuple[Zone, ...]] = ("A", "B", "C", "D", "E")
_ZONE_WIDTH: Final = 20


def mean(mg_dl: Floats) -> float:
    """Mean of the known values (T,) in mg/dL."""
    return float(np.nanmean(mg_dl))


def sd(mg_dl: Floats) -> float:
    """Standard deviation of the known values (T,) in mg/dL, that of a sample."""
    return float(np.nanstd(mg_dl, ddof=1))


def cv_percent(mg_dl: Floats) -> float:
    """Coefficient of variation of the known values (T,) in %."""
    return 100 * sd(mg_dl) / mean(mg_dl)


def gmi_percent(mean_mg_dl: float) -> float:
    """Glucose management indicator in %, as HbA1c is given.

    Bergenstal et al. 2018, Diabetes Care 41:2275, doi:10.2337/dc18-1581.
    """
    return 3.31 + 0.02392 * mean_mg_dl


@dataclass(frozen=True)
class GlycemiaRisk:
    """Glycemia risk index and its two components.

    Klonoff et al. 2023, J Diabetes Sci Technol 17:1226, doi:10.1177/19322968221085273.

    Attributes:
        hypoglycemia: First component: % of time very low + 0.8 x % low.
        hyperglycemia: Second component: % of time very high + 0.5 x % high.
    """

    hypoglycemia: float
    hyperglycemia: float

    @property
    def index(self) -> float:
        """0, no risk, to 100."""
        return min(3.0 * self.hypoglycemia + 1.6 * self.hyperglycemia, 100.0)

    @property
    def zone(self) -> Zone:
        """Fifth of the index, A the best; a border belongs to the better one."""
        return _ZONES[max(int(np.ceil(self.index / _ZONE_WIDTH)) - 1, 0)]


def glycemia_risk(percents: dict[str, float]) -> GlycemiaRisk:
    """The risk that the time in `RANGES` means, in % by name."""
    return GlycemiaRisk(
        hypoglycemia=percents["very_low"] + 0.8 * percents["low"],
        hyperglycemia=percents["very_high"] + 0.5 * percents["high"],
    )
