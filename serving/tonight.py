"""The clinic's night: every patient reviewed, sorted by need and drawn."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Final, Literal

import matplotlib as mpl
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from hybridtwin.errors import RecordError
from hybridtwin.plots import describe, fan_chart
from hybridtwin.record import Record
from hybridtwin.record_files import load_record, record_folders
from hybridtwin.registry import load_twin
from hybridtwin.review.review import NightReview, NightRisk, by_attention, refusal, review_night
from hybridtwin.twin import Twin
from hybridtwin.units import GlucoseUnit
from serving.reader import UNITS
from serving.settings import Settings

Group = Literal["refused", "low", "watch", "quiet"]

_CHART_IN: Final = (4.4, 4.0)  # small, so that its words can still be read on a phone
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Chart:
    """A picture of the night, and the same in words."""

    svg: str
    text: str


@dataclass(frozen=True)
class Patient:
    """One patient's night.

    Attributes:
        risk: Their line of the list, glucose in mg/dL.
        group: Where it is listed.
        time_zone: In which they live.
        last_reading: When glucose was last read; None where nothing could be read.
        charts: The forecast by unit; empty where there is none.
    """

    risk: NightRisk
    group: Group
    time_zone: str
    last_reading: pd.Timestamp | None
    charts: Mapping[GlucoseUnit, Chart] = field(default_factory=dict)


@dataclass(frozen=True)
class Tonight:
    """The reviewed clinic, those who need attention first."""

    now: pd.Timestamp
    patients: list[Patient]


class TonightReport(BaseModel):
    """Tonight's list, those who need attention first."""

    model_config = ConfigDict(frozen=True)

    now: datetime = Field(description="The evening from which the night was looked at.")
    unit: GlucoseUnit = Field(description="Unit of every glucose value here.")
    patients: list[NightRisk] = Field(description="A line for each patient; none is left out.")


def review_clinic(clinic: Path, population: Twin, settings: Settings) -> Tonight:
    """Review the coming night of all patients of a clinic.

    Args:
        clinic: Folder with records/<participant>/ and, if any, twins/<participant>/.
        population: The twin of those who have none of their own.
        settings: The evening, and what counts as likely.

    Raises:
        RecordError: The clinic has no readings at all.
    """
    records: dict[str, Record] = {}
    reviews: list[NightReview] = []
    for home in record_folders(clinic / "records"):
        try:
            records[home.name] = load_record(home)
        except RecordError as error:
            reviews.append(refusal(home.name, str(error)))
    now = _evening(records.values(), settings.now)
    for name, record in records.items():
        reviews.append(_review(clinic / "twins" / name, record, population, now))
    patients = []
    for review in by_attention(reviews):
        known = records.get(review.risk.participant)
        patients.append(_patient(review, known, settings))
        _log.info("reviewed %s", review.risk.participant)
    return Tonight(now, patients)


def group_of(risk: NightRisk, settings: Settings) -> Group:
    """Where a patient is listed; who cannot be judged well is never listed as quiet."""
    if risk.events is None or risk.trust is None:
        return "refused"
    if risk.events.below_70 >= settings.likely_low:
        return "low"
    if risk.events.below_70 >= settings.watch or risk.trust.level == "low":
        return "watch"
    return "quiet"


def _evening(records: Iterable[Record], now: datetime | None) -> pd.Timestamp:
    if now is not None:
        return pd.Timestamp(now).tz_convert("UTC")
    latest = [record.glucose["time"].iloc[-1] for record in records if len(record.glucose)]
    if not latest:
        raise RecordError.of("the clinic", "holds no readings", "Import its records again.")
    return max(latest)


def _review(home: Path, record: Record, population: Twin, now: pd.Timestamp) -> NightReview:
    try:
        twin = load_twin(home) if home.is_dir() else population
        return review_night(twin, record, now)
    except Exception as error:  # one patient's fault must not hide the others
        _log.exception("the review of %s failed", record.profile.participant)
        return refusal(record.profile.participant, f"The review failed: {error}")


def _patient(review: NightReview, record: Record | None, settings: Settings) -> Patient:
    group = group_of(review.risk, settings)
    if record is None:
        return Patient(review.risk, group, "UTC", None)
    times = record.glucose["time"]
    return Patient(
        risk=review.risk,
        group=group,
        time_zone=record.profile.time_zone,
        last_reading=None if times.empty else times.iloc[-1],
        charts={unit: chart for unit in UNITS if (chart := _chart(review, record, unit))},
    )


def _chart(review: NightReview, record: Record, unit: GlucoseUnit) -> Chart | None:
    risk, forecast = review.risk, review.forecast
    if forecast is None or risk.begin is None or risk.end is None:
        return None
    drawn = StringIO()
    with mpl.rc_context({"svg.hashsalt": risk.participant}):
        figure = fan_chart(forecast, record, unit, (risk.begin, risk.end))
        figure.set_size_inches(_CHART_IN)
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return Chart(drawn.getvalue(), describe(forecast, unit))
