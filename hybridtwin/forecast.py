"""Forecast: what will happen, how sure, and how far to trust it."""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Final

import numpy as np
import pandas as pd
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from hybridtwin.glycemia.episodes import (
    EPISODE_STEPS,
    HIGH_MG_DL,
    LOW_MG_DL,
    VERY_HIGH_MG_DL,
    VERY_LOW_MG_DL,
    lasts,
)
from hybridtwin.neural.spread import LEVELS
from hybridtwin.trust import Trust
from hybridtwin.units import STEP_MIN, GlucoseUnit, from_mg_dl

_DIGITS: Final[dict[GlucoseUnit, int]] = {"mg/dL": 1, "mmol/L": 2}


class EventProbabilities(BaseModel):
    """Probabilities, 0 to 1, that glucose lies beyond a limit for 15 minutes or longer."""

    model_config = ConfigDict(frozen=True)

    below_70: float = Field(ge=0, le=1, description="Below 70 mg/dL (3.9 mmol/L).")
    below_54: float = Field(ge=0, le=1, description="Below 54 mg/dL (3.0 mmol/L).")
    above_180: float = Field(ge=0, le=1, description="Above 180 mg/dL (10.0 mmol/L).")
    above_250: float = Field(ge=0, le=1, description="Above 250 mg/dL (13.9 mmol/L).")


class Nadir(BaseModel):
    """The lowest point ahead."""

    model_config = ConfigDict(frozen=True)

    time: datetime = Field(description="When it is expected, the median over paths.")
    median: float = Field(description="Its depth, the median over paths, in the stated unit.")
    low: float = Field(description="10 % of paths go deeper than this, in the stated unit.")


class ForecastReport(BaseModel):
    """A forecast in the words of the service, the command line and the pages."""

    model_config = ConfigDict(frozen=True)

    participant: str = Field(description="Whose forecast it is (a pseudonym).")
    plan: str = Field(description="Name of the plan.")
    unit: GlucoseUnit = Field(description="Unit of every glucose value here.")
    issued: datetime = Field(description="When it was made.")
    last_reading: float = Field(description="The reading from which it starts, in the unit.")
    last_reading_time: datetime = Field(description="When that was measured.")
    step_min: int = Field(STEP_MIN, description="Minutes between two times.")
    times: list[datetime] = Field(description="H instants.")
    expected: list[float] = Field(description="H expected values.")
    levels: list[float] = Field(description="Q quantile levels, 0 to 1.")
    quantiles: list[list[float]] = Field(description="Q rows of H values, one row per level.")
    events: EventProbabilities
    nadir: Nadir
    trust: Trust


@dataclass(frozen=True)
class Forecast:
    """Trajectories on the grid, from one belief under one plan.

    Attributes:
        participant: Whose it is.
        plan: The plan's name.
        issued: When it was made.
        start: Grid time of the last reading; horizon step k is start + 5 (k + 1) minutes.
        last_reading_mg_dl: That reading.
        last_reading_time: When it was measured.
        time_zone: In which the person lives.
        expected_mg_dl: (H,) the central trajectory.
        paths_mg_dl: (M, H) equally likely sensor traces.
        trust: How far to rely on it.
    """

    participant: str
    plan: str
    issued: pd.Timestamp
    start: pd.Timestamp
    last_reading_mg_dl: float
    last_reading_time: pd.Timestamp
    time_zone: str
    expected_mg_dl: Tensor
    paths_mg_dl: Tensor
    trust: Trust

    @cached_property
    def times(self) -> pd.DatetimeIndex:
        """(H,) instants, UTC."""
        step = pd.Timedelta(minutes=STEP_MIN)
        return pd.date_range(self.start + step, periods=len(self.expected_mg_dl), freq=step)

    def quantiles_mg_dl(self, levels: tuple[float, ...] = LEVELS) -> Tensor:
        """(Q, H) quantiles over the paths."""
        # As torch.quantile does it, whose own sorting is 20 times slower.
        ranked = torch.from_numpy(np.sort(self.paths_mg_dl.numpy(), axis=0))
        rank = torch.tensor(levels) * (len(ranked) - 1)
        below = rank.floor()
        share = (rank - below).unsqueeze(-1)
        return torch.lerp(ranked[below.long()], ranked[rank.ceil().long()], share)

    def window(self, begin: pd.Timestamp, end: pd.Timestamp) -> "Forecast":
        """The part between two instants, for questions about a night or a meal."""
        times = self.times
        inside = torch.tensor((times >= begin) & (times <= end))
        first = int(inside.int().argmax())
        return Forecast(
            self.participant,
            self.plan,
            self.issued,
            self.start + first * pd.Timedelta(minutes=STEP_MIN),
            self.last_reading_mg_dl,
            self.last_reading_time,
            self.time_zone,
            self.expected_mg_dl[inside],
            self.paths_mg_dl[:, inside],
            self.trust,
        )

    def chosen(self, paths: Tensor) -> "Forecast":
        """With some of the paths, or some more than once."""
        return replace(self, paths_mg_dl=self.paths_mg_dl[paths])

    def events(self) -> EventProbabilities:
        """Probabilities of lows and highs of 15 minutes or longer."""
        paths = self.paths_mg_dl

        def share(beyond: Tensor) -> float:
            return round(float(lasts(beyond, EPISODE_STEPS).float().mean()), 4)

        return EventProbabilities(
            below_70=share(paths < LOW_MG_DL),
            below_54=share(paths < VERY_LOW_MG_DL),
            above_180=share(paths > HIGH_MG_DL),
            above_250=share(paths > VERY_HIGH_MG_DL),
        )

    def nadir(self, unit: GlucoseUnit = "mg/dL") -> Nadir:
        """The lowest point over the paths, in `unit` and the local zone."""
        lowest, when = self.paths_mg_dl.min(dim=1)
        median, low = _plain(torch.quantile(lowest, torch.tensor([0.5, 0.1])), unit)
        time = self.times[int(when.median())].tz_convert(self.time_zone)
        return Nadir(time=time.to_pydatetime(), median=median, low=low)

    def report(self, unit: GlucoseUnit = "mg/dL") -> ForecastReport:
        """The forecast as plain values, with glucose in `unit` and times in the local zone."""
        local = self.times.tz_convert(self.time_zone)
        return ForecastReport(
            participant=self.participant,
            plan=self.plan,
            unit=unit,
            issued=self.issued.tz_convert(self.time_zone).to_pydatetime(),
            last_reading=_plain(torch.tensor([self.last_reading_mg_dl]), unit)[0],
            last_reading_time=self.last_reading_time.tz_convert(self.time_zone).to_pydatetime(),
            times=local.to_pydatetime().tolist(),
            expected=_plain(self.expected_mg_dl, unit),
            levels=list(LEVELS),
            quantiles=[_plain(row, unit) for row in self.quantiles_mg_dl()],
            events=self.events(),
            nadir=self.nadir(unit),
            trust=self.trust,
        )


def _plain(values_mg_dl: Tensor, unit: GlucoseUnit) -> list[float]:
    values = from_mg_dl(values_mg_dl.double().numpy(), unit)
    plain: list[float] = values.round(_DIGITS[unit]).tolist()
    return plain
