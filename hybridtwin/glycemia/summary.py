"""Glycemia of some days: the standard figures of the consensus, and whether to trust them.

Battelino et al. 2019, Diabetes Care 42:1593: 14 days, of which the sensor measured 70 % or more.
"""

from datetime import datetime
from typing import Final

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from hybridtwin.errors import HistoryError
from hybridtwin.glycemia import metrics
from hybridtwin.glycemia.episodes import (
    HIGH_MG_DL,
    LOW_MG_DL,
    VERY_HIGH_MG_DL,
    VERY_LOW_MG_DL,
    episodes,
)
from hybridtwin.glycemia.ranges import PREGNANCY_RANGES, RANGES, TIGHT
from hybridtwin.glycemia.trace import DAY_STEPS, Floats, Trace, to_trace
from hybridtwin.record import Record
from hybridtwin.timeline import to_timeline
from hybridtwin.units import STEP_MIN

AGP_DAYS: Final = 14
LEAST_WORN_PERCENT: Final = 70.0
_STEP: Final = pd.Timedelta(minutes=STEP_MIN)


class Glycemia(BaseModel):
    """What clinicians measure of some days of a person's glucose."""

    model_config = ConfigDict(frozen=True)

    participant: str
    begin: datetime = Field(description="First instant that is counted, local.")
    end: datetime = Field(description="First instant after, local.")
    days: float = Field(description="Between these.")
    worn_percent: float = Field(description="Of the time for which glucose is known.")
    lacking: tuple[str, ...] = Field(description="Why not to trust the figures; empty if to trust.")
    mean_mg_dl: float
    sd_mg_dl: float
    cv_percent: float
    gmi_percent: float = Field(description="Glucose management indicator.")
    percents: dict[str, float] = Field(description="% of time in `ranges.RANGES`, by name.")
    tight_percent: float = Field(description="% of time in 70-140 mg/dL.")
    pregnancy_percents: dict[str, float] = Field(
        description="% of time in `ranges.PREGNANCY_RANGES`, by name."
    )
    risk_index: float = Field(description="Glycemia risk index, 0 to 100.")
    risk_hypoglycemia: float = Field(description="Its first component.")
    risk_hyperglycemia: float = Field(description="Its second component.")
    risk_zone: metrics.Zone
    episodes: dict[str, int] = Field(
        description="Lows and highs of 15 minutes or longer: below_54 and below_70, above_180 "
        "and above_250."
    )

    @property
    def trusted(self) -> bool:
        """Whether there are days and readings enough."""
        return not self.lacking


def recent_trace(record: Record, end: pd.Timestamp | None = None, days: float = AGP_DAYS) -> Trace:
    """The glucose of a record's last days.

    Args:
        record: Of whom.
        end: First instant that does not count; None for just after the last reading.
        days: How many before it, or since the first reading if these are fewer.

    Raises:
        HistoryError: There is no reading before the end.
    """
    times = record.glucose["time"]
    known = times if end is None else times[times < end]
    if known.empty:
        raise HistoryError.of(
            "glucose", "the record holds no reading in these days", "Choose days with readings."
        )
    last = (known.iloc[-1] + _STEP if end is None else end).floor(_STEP)
    start = max(last - pd.Timedelta(days=days), known.iloc[0].floor(_STEP))
    timeline = to_timeline(record, end=last - _STEP, start=start)
    return to_trace(timeline, record.profile.time_zone)


def glycemia(record: Record, end: pd.Timestamp | None = None, days: float = AGP_DAYS) -> Glycemia:
    """The figures of a record's last days; arguments as for `recent_trace`.

    Raises:
        HistoryError: Less than a day's worth of readings is known.
    """
    trace = recent_trace(record, end, days)
    known = int((~np.isnan(trace.mg_dl)).sum())
    if known < DAY_STEPS:
        raise HistoryError.of(
            "glucose",
            f"only {known * STEP_MIN / 60:.0f} hours of glucose are known in these days",
            "A day is the least, fourteen are needed to trust the figures.",
        )
    whole_days = len(trace) / DAY_STEPS
    worn_percent = 100 * known / len(trace)
    mean_mg_dl = metrics.mean(trace.mg_dl)
    percents = {each.name: each.percent(trace.mg_dl) for each in RANGES}
    risk = metrics.glycemia_risk(percents)
    return Glycemia(
        participant=record.profile.participant,
        begin=trace.time(0),
        end=trace.time(len(trace)),
        days=whole_days,
        worn_percent=worn_percent,
        lacking=_lacking(whole_days, worn_percent),
        mean_mg_dl=mean_mg_dl,
        sd_mg_dl=metrics.sd(trace.mg_dl),
        cv_percent=metrics.cv_percent(trace.mg_dl),
        gmi_percent=metrics.gmi_percent(mean_mg_dl),
        percents=percents,
        tight_percent=TIGHT.percent(trace.mg_dl),
        pregnancy_percents={each.name: each.percent(trace.mg_dl) for each in PREGNANCY_RANGES},
        risk_index=risk.index,
        risk_hypoglycemia=risk.hypoglycemia,
        risk_hyperglycemia=risk.hyperglycemia,
        risk_zone=risk.zone,
        episodes=_episodes(trace.mg_dl),
    )


def _lacking(days: float, worn_percent: float) -> tuple[str, ...]:
    said = []
    if round(days) < AGP_DAYS:
        said.append(f"{days:.1f} days of data; {AGP_DAYS} are needed")
    if worn_percent < LEAST_WORN_PERCENT:
        said.append(
            f"glucose is known for {worn_percent:.0f} % of the time; "
            f"{LEAST_WORN_PERCENT:.0f} % are needed"
        )
    return tuple(said)


def _episodes(mg_dl: Floats) -> dict[str, int]:
    known = ~np.isnan(mg_dl)
    beyond = {
        f"below_{VERY_LOW_MG_DL:.0f}": mg_dl < VERY_LOW_MG_DL,
        f"below_{LOW_MG_DL:.0f}": mg_dl < LOW_MG_DL,
        f"above_{HIGH_MG_DL:.0f}": mg_dl >= HIGH_MG_DL + 1,
        f"above_{VERY_HIGH_MG_DL:.0f}": mg_dl >= VERY_HIGH_MG_DL + 1,
    }
    return {name: len(episodes(each, known)) for name, each in beyond.items()}
