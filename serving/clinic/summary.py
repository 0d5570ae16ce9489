"""What the panel shows of one patient, worked out once when it changes and kept as plain values."""

from datetime import datetime, timedelta
from typing import Any, Final, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import AliasPath, AwareDatetime, BaseModel, ConfigDict, Field

from hybridtwin.forecast import Forecast, ForecastReport
from hybridtwin.glycemia.episodes import LOW_MG_DL, VERY_LOW_MG_DL, episodes
from hybridtwin.glycemia.summary import LEAST_WORN_PERCENT, recent_trace
from hybridtwin.record import Record
from hybridtwin.review.reasons import Reason
from hybridtwin.review.review import NightReview, NightRisk
from hybridtwin.trust import STALE_MIN
from hybridtwin.units import STEP_MIN
from serving.clinic import drawing

RECENT_DAYS: Final = 7
PAST_DAYS: Final = 28
"""How far back the clinic looks at its forecasts."""
RATE_OVER_MIN: Final = 30
"""Over how long a change is read off the trace."""
COVERED_LEAST: Final = LEAST_WORN_PERCENT / 100
"""Share of a night that readings must cover before it counts as without a low; AGP reports ask for
the same."""
PICTURE_MIN: Final = 9 * 60
"""How much of an evening and night the pictures of past ones show."""
PICTURES: Final = 14
"""Of so many nights."""
_BANDS: Final = ((0.05, 0.95), (0.25, 0.75))
_LEVELS: Final = (*(level for band in _BANDS for level in band), 0.5)
_THIN: Final = 3
"""Every so many grid points are drawn: 15 minutes."""
_DRAWN_H: Final = 12


class Part(BaseModel):
    """A part of a summary; times carry a zone, glucose is in mg/dL."""

    model_config = ConfigDict(frozen=True)


class Lately(Part):
    """The last readings.

    Attributes:
        time: Of the last one.
        mg_dl: Its value.
        rate_mg_dl_min: How fast glucose changes; None where readings are missing.
        lows: Episodes below 70 of 15 minutes or longer in the last 7 days.
        very_lows: And below 54.
        origin: From which the curve's minutes count.
        curve: The last 12 hours, as an SVG path.
    """

    time: AwareDatetime
    mg_dl: float
    rate_mg_dl_min: float | None
    lows: int
    very_lows: int
    origin: AwareDatetime
    curve: str


class Night(Part):
    """A night as it was forecast in the evening.

    Attributes:
        issued: When.
        risk: Its line of the list.
        origin: From which the fan's minutes count.
        fan: Half and nine tenths of what may come, the wider first, as SVG paths.
        median: The middle, as an SVG path.
    """

    issued: AwareDatetime
    risk: NightRisk
    origin: AwareDatetime | None = None
    fan: tuple[str, ...] = ()
    median: str = ""


def _at(*names: str) -> Any:
    """A value that lies deep in a night as it is kept, if it is there."""
    return Field(None, validation_alias=AliasPath("risk", *names))


class Tonight(Part):
    """Of a `Night`, what the panel shows: a thousand are read at once.

    Attributes:
        issued: When it was forecast.
        begin: Of the night; None without a forecast.
        end: Of the night.
        below_70: Probability of a low; None without a forecast.
        below_54: And of a very low.
        above_250: And of a very high.
        lowest_mg_dl: The lowest point, expected.
        lowest_time: When that is.
        trust: How far the forecast is to be relied on.
        reasons: Why, those first that lower the night most; none where it was not explained.
        origin: From which the fan's minutes count.
        fan: As SVG paths.
        median: As an SVG path.
    """

    issued: AwareDatetime
    begin: AwareDatetime | None = _at("begin")
    end: AwareDatetime | None = _at("end")
    below_70: float | None = _at("events", "below_70")
    below_54: float | None = _at("events", "below_54")
    above_250: float | None = _at("events", "above_250")
    lowest_mg_dl: float | None = _at("nadir", "median")
    lowest_time: AwareDatetime | None = _at("nadir", "time")
    trust: Literal["full", "reduced", "low"] | None = _at("trust", "level")
    reasons: tuple[Reason, ...] | None = _at("explanation", "reasons")
    origin: AwareDatetime | None = None
    fan: tuple[str, ...] = ()
    median: str = ""


class PastNight(Part):
    """A night as it was forecast, and what happened.

    Attributes:
        end: Six o'clock of its morning.
        below_70: The probability that was given; None where the data allowed none.
        below_54: And of a very low.
        lowest_mg_dl: The lowest reading; None where there was none.
        low: Whether there was a low; None where too few readings came to tell.
        very_low: And a very low.
        covered: Share of the night with readings.
    """

    end: AwareDatetime
    below_70: float | None
    below_54: float | None
    lowest_mg_dl: float | None
    low: bool | None
    very_low: bool | None
    covered: float


class Nights(Part):
    """The past nights, in order."""

    nights: list[PastNight] = []


class NightPicture(Part):
    """A past night as it was forecast, and what was read; from `PICTURE_MIN` before its end on.

    Attributes:
        end: Six o'clock of its morning.
        curve: What was read, as an SVG path.
        curve_x: Where it begins, in minutes from the left.
        fan: Half and nine tenths of what might have come, the wider first, as SVG paths.
        median: The middle, as an SVG path.
        fan_x: Where they begin.
    """

    end: AwareDatetime
    curve: str
    curve_x: int
    fan: tuple[str, ...]
    median: str
    fan_x: int


class NightPictures(Part):
    """Of the last nights, in order."""

    nights: list[NightPicture] = []


def lately(record: Record) -> Lately | None:
    """The last readings of a record; None if there is none."""
    glucose = record.glucose
    if glucose.empty:
        return None
    trace = recent_trace(record, days=RECENT_DAYS)
    known = ~np.isnan(trace.mg_dl)
    lows = episodes(trace.mg_dl < LOW_MG_DL, known)
    count = 60 * _DRAWN_H // STEP_MIN + 1
    first = max(len(trace) - count, 0)
    last = glucose.iloc[-1]
    return Lately(
        time=last["time"].to_pydatetime(),
        mg_dl=float(last["mg_dl"]),
        rate_mg_dl_min=_rate(trace.mg_dl),
        lows=len(lows),
        very_lows=len(episodes(trace.mg_dl < VERY_LOW_MG_DL, known)),
        origin=trace.time(first).to_pydatetime(),
        curve=drawing.line(trace.mg_dl[first::_THIN], _THIN * STEP_MIN),
    )


def _rate(mg_dl: NDArray[np.float64]) -> float | None:
    steps = RATE_OVER_MIN // STEP_MIN
    if len(mg_dl) <= steps or np.isnan(mg_dl[[-1 - steps, -1]]).any():
        return None
    return round(float(mg_dl[-1] - mg_dl[-1 - steps]) / RATE_OVER_MIN, 2)


def night(review: NightReview, issued: datetime) -> Night:
    """A night as it was reviewed."""
    if review.forecast is None:
        return Night(issued=issued, risk=review.risk)
    fan, median = _fan(review.forecast)
    origin = review.forecast.times[0].to_pydatetime()
    return Night(issued=issued, risk=review.risk, origin=origin, fan=fan, median=median)


def _fan(forecast: Forecast) -> tuple[tuple[str, ...], str]:
    return _drawn(forecast.quantiles_mg_dl(_LEVELS).double().numpy())


def _drawn(quantiles_mg_dl: NDArray[np.float64]) -> tuple[tuple[str, ...], str]:
    """Bands and median of quantiles (Q, H) at `_LEVELS`."""
    *edges, median = quantiles_mg_dl[:, ::_THIN]
    step_min = _THIN * STEP_MIN
    bands = [
        drawing.band(low, high, step_min) for low, high in zip(edges[::2], edges[1::2], strict=True)
    ]
    return tuple(bands), drawing.line(median, step_min)


def past_night(record: Record, risk: NightRisk, end: pd.Timestamp) -> PastNight:
    """What happened in a night, beside what had been forecast.

    Args:
        record: Readings of the night, and others.
        risk: As it was forecast.
        end: Six o'clock, local time.
    """
    begin = end - pd.DateOffset(hours=6) if risk.begin is None else pd.Timestamp(risk.begin)
    times = record.glucose["time"]
    inside = record.glucose[(times >= begin) & (times < end)]
    lowest = low = very_low = None
    covered = 0.0
    if not inside.empty:
        span_days = (end - begin) / pd.Timedelta(days=1)
        trace = recent_trace(record, end, days=span_days)
        known = ~np.isnan(trace.mg_dl)
        covered = min(float(known.sum()) * STEP_MIN / (span_days * 24 * 60), 1.0)
        lowest = float(inside["mg_dl"].min())
        low = _happened(trace.mg_dl < LOW_MG_DL, known, covered)
        very_low = _happened(trace.mg_dl < VERY_LOW_MG_DL, known, covered)
    events = risk.events
    return PastNight(
        end=end.to_pydatetime(),
        below_70=events.below_70 if events else None,
        below_54=events.below_54 if events else None,
        lowest_mg_dl=lowest,
        low=low,
        very_low=very_low,
        covered=round(covered, 3),
    )


def night_picture(record: Record, forecast: ForecastReport, end: pd.Timestamp) -> NightPicture:
    """A past night as it was forecast, in mg/dL, and what was read.

    Args:
        record: Readings of the night, and others.
        forecast: As it was issued.
        end: Six o'clock, local time.
    """
    left: datetime = end.to_pydatetime() - timedelta(minutes=PICTURE_MIN)

    def x(time: datetime) -> int:
        return round((time - left) / timedelta(minutes=1))

    trace = recent_trace(record, end, days=PICTURE_MIN / (24 * 60))
    rows = [forecast.quantiles[forecast.levels.index(level)] for level in _LEVELS]
    fan, median = _drawn(np.array(rows))
    return NightPicture(
        end=end.to_pydatetime(),
        curve=drawing.line(trace.mg_dl[::_THIN], _THIN * STEP_MIN),
        curve_x=x(trace.time(0).to_pydatetime()),
        fan=fan,
        median=median,
        fan_x=x(forecast.times[0]),
    )


def _happened(beyond: NDArray[np.bool_], known: NDArray[np.bool_], covered: float) -> bool | None:
    """A low that was seen was one; that none was seen says something only of a night well seen."""
    if episodes(beyond, known):
        return True
    return False if covered >= COVERED_LEAST else None


def is_stale(time: datetime, now: datetime) -> bool:
    """Whether a last reading is too old to forecast from."""
    return now - time > timedelta(minutes=STALE_MIN)
