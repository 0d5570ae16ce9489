"""Scenario: two or more plans from one belief, and what the difference between them is."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from pydantic import BaseModel, ConfigDict, Field

from hybridtwin.belief import Belief
from hybridtwin.errors import PlanError
from hybridtwin.forecast import Forecast, ForecastReport
from hybridtwin.neural.spread import LEVELS
from hybridtwin.plan import Plan
from hybridtwin.twin import Twin
from hybridtwin.units import GlucoseUnit, from_mg_dl


class Difference(BaseModel):
    """One plan against the first, path by path."""

    model_config = ConfigDict(frozen=True)

    plan: str = Field(description="The plan that is compared.")
    against: str = Field(description="The plan it is compared with: the first.")
    unit: GlucoseUnit = Field(description="Unit of every value here.")
    expected: list[float] = Field(description="H differences of the expected values.")
    levels: list[float] = Field(description="Q quantile levels, 0 to 1.")
    quantiles: list[list[float]] = Field(description="Q rows of H differences.")
    mean: float = Field(description="Mean difference over the horizon, in the unit.")
    mean_low: float = Field(description="10 % quantile of the mean difference, in the unit.")
    mean_high: float = Field(description="90 % quantile of the mean difference, in the unit.")
    below_70: float = Field(description="Difference in the probability of a low, -1 to 1.")
    above_180: float = Field(description="Difference in the probability of a high, -1 to 1.")


class ScenarioReport(BaseModel):
    """Futures side by side."""

    model_config = ConfigDict(frozen=True)

    forecasts: list[ForecastReport] = Field(description="One per plan, in the order asked.")
    differences: list[Difference] = Field(description="Each later plan against the first.")


@dataclass(frozen=True)
class Scenario:
    """Forecasts of several plans from one belief, sharing members and chance."""

    forecasts: list[Forecast]

    def difference(self, index: int, unit: GlucoseUnit = "mg/dL") -> Difference:
        """Plan `index` against the first."""
        base, other = self.forecasts[0], self.forecasts[index]
        change = other.paths_mg_dl - base.paths_mg_dl
        mean = change.mean(dim=1)
        spread = torch.quantile(mean, torch.tensor([0.1, 0.9])).tolist()
        events, usual = other.events(), base.events()

        def plain(value_mg_dl: float) -> float:
            return round(from_mg_dl(value_mg_dl, unit), 2)

        expected = other.expected_mg_dl - base.expected_mg_dl
        quantiles = torch.quantile(change, torch.tensor(LEVELS), dim=0)
        return Difference(
            plan=other.plan,
            against=base.plan,
            unit=unit,
            expected=[plain(value) for value in expected.tolist()],
            levels=list(LEVELS),
            quantiles=[[plain(value) for value in row] for row in quantiles.tolist()],
            mean=plain(float(mean.mean())),
            mean_low=plain(spread[0]),
            mean_high=plain(spread[1]),
            below_70=round(events.below_70 - usual.below_70, 4),
            above_180=round(events.above_180 - usual.above_180, 4),
        )

    def report(self, unit: GlucoseUnit = "mg/dL") -> ScenarioReport:
        """The futures and their differences as plain values in `unit`."""
        return ScenarioReport(
            forecasts=[forecast.report(unit) for forecast in self.forecasts],
            differences=[self.difference(i, unit) for i in range(1, len(self.forecasts))],
        )


def compare(
    twin: Twin, belief: Belief, plans: Sequence[Plan], horizon_min: int = 240, seed: int = 0
) -> Scenario:
    """Forecast several plans side by side.

    Raises:
        PlanError: Fewer than two plans, or one is impossible.
    """
    if len(plans) < 2:
        raise PlanError.of("plans", "a comparison needs two or more", "Add another plan.")
    return Scenario(twin.forecasts(belief, plans, horizon_min, seed))
