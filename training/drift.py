"""Drift: recent days, and the twin's errors on them, held against those at training time.

Every day of a person gives one value a channel, inputs and errors alike, so that one comparison
serves them all: the distance of Kolmogorov and Smirnov between recent days and a reference that
lies beside the twin.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from scipy.stats import ks_2samp, kstwobign

from hybridtwin.errors import HistoryError, ModelError
from hybridtwin.record import Record
from hybridtwin.registry import twin_folder
from hybridtwin.timeline import to_timeline
from hybridtwin.twin import Twin
from training.batch import Participants
from training.days import DAY_STEPS, daily, windows_since
from training.metrics import ALL
from training.windows import WindowRule

REFERENCE: Final = "reference.json"
_LEVELS: Final = np.linspace(0, 1, 101)


class DriftSettings(BaseModel):
    """How far recent days may lie from training; see configs/drift.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    distance_all: float = Field(0.25, gt=0, lt=1)
    distance_participant: float = Field(0.8, gt=0, lt=1)
    chance: float = Field(0.001, gt=0, lt=1)
    min_days: int = Field(5, ge=1)
    held_back: float = Field(0.1, gt=0, lt=1, description="Last share of what was learnt from.")
    windows: WindowRule = Field(WindowRule(score_stride=3), description="Where errors are taken.")


class Channel(BaseModel):
    """One channel's values of many days.

    Attributes:
        days: How many.
        quantiles: 101 of their values, from the least to the greatest.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    days: int
    quantiles: list[float]


class Reference(BaseModel):
    """What the days that a twin learnt from looked like.

    Attributes:
        participants: How many people's.
        channels: By name, see `training.days.daily`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    participants: int
    channels: dict[str, Channel]


@dataclass(frozen=True)
class Finding:
    """One channel of one participant, or of all together.

    Attributes:
        participant: Whose, or `all`.
        channel: See `training.days.daily`.
        days: Recent days with a value.
        at_training: Median of the reference, if there is one.
        recently: Median of the recent days, if there are any.
        distance: Of Kolmogorov and Smirnov, 0 to 1, if there are both.
        verdict: `stable`, `drifting`, `no reference` or `too few days`.
    """

    participant: str
    channel: str
    days: int
    at_training: float | None
    recently: float | None
    distance: float | None
    verdict: str


def reference(twin: Twin, participants: Participants, settings: DriftSettings) -> Reference:
    """Summarise the days that a twin learnt from.

    Args:
        twin: The population twin.
        participants: What it learnt from.
        settings: How; errors are taken on the share that was held back.
    """
    since = [round((1 - settings.held_back) * len(timeline)) for timeline in participants.timelines]
    windows = windows_since(participants.names, participants.timelines, since, settings.windows)
    values = daily(twin, windows).drop(columns=["participant", "day"])
    return Reference(
        participants=len(participants.names),
        channels={
            str(name): Channel(
                days=len(known),
                quantiles=[float(f"{value:.5g}") for value in np.quantile(known, _LEVELS)],
            )
            for name, column in values.items()
            if len(known := column.dropna())
        },
    )


def write_reference(summary: Reference, folder: Path) -> Path:
    """Write a reference beside a twin."""
    path = folder / REFERENCE
    path.write_text(summary.model_dump_json() + "\n")
    return path


def read_reference(source: str | Path | None) -> Reference | None:
    """The reference beside a twin (`source` as for `load_twin`), or None if there is none.

    Raises:
        ModelError: It cannot be read.
    """
    path = twin_folder(source) / REFERENCE
    if not path.exists():
        return None
    try:
        return Reference.model_validate_json(path.read_text())
    except (OSError, ValidationError) as error:
        what = f"no reference ({error})"
        raise ModelError.of(str(path), what, "Write it again with --learn.") from error


def drift(
    twin: Twin,
    known: Reference | None,
    records: Sequence[Record],
    days: int,
    settings: DriftSettings,
) -> list[Finding]:
    """Hold everyone's last days against the reference.

    Args:
        twin: The population twin.
        known: Its reference, if it has one.
        records: Of anyone.
        days: How many, back from each one's last reading.
        settings: How far is too far.

    Raises:
        HistoryError: No record spans a day.
    """
    known_days = {
        record.profile.participant: timeline
        for record in records
        if not record.glucose.empty and len(timeline := to_timeline(record)) >= DAY_STEPS
    }
    if not known_days:
        raise HistoryError.of("records", "none spans a day", "Send some that do.")
    names, timelines = list(known_days), list(known_days.values())
    since = [len(timeline) - days * DAY_STEPS for timeline in timelines]
    table = daily(twin, windows_since(names, timelines, since, settings.windows))
    table = table[table["day"] < days].drop(columns="day")
    people = [(str(name), rows) for name, rows in table.groupby("participant", sort=False)]
    findings = []
    for name, rows in [(ALL, table), *people]:
        for channel, values in rows.drop(columns="participant").items():
            findings.append(_finding(name, str(channel), values.dropna(), known, settings))
    return findings


def write_findings(findings: Sequence[Finding], path: Path) -> None:
    """Write findings as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(each) for each in findings], indent=1) + "\n")


def _finding(
    participant: str,
    channel: str,
    values: "pd.Series[float]",
    known: Reference | None,
    settings: DriftSettings,
) -> Finding:
    expected = known.channels.get(channel) if known else None
    at_training = float(np.median(expected.quantiles)) if expected else None
    recently = float(values.median()) if len(values) else None
    distance, verdict = None, "no reference"
    if len(values) < settings.min_days:
        verdict = "too few days"
    elif expected:
        limit = settings.distance_all if participant == ALL else settings.distance_participant
        by_chance = kstwobign.isf(settings.chance) * np.sqrt(1 / len(values) + 1 / expected.days)
        distance = float(ks_2samp(values, expected.quantiles).statistic)
        verdict = "drifting" if distance > max(limit, by_chance) else "stable"
    return Finding(participant, channel, len(values), at_training, recently, distance, verdict)
