"""Sensor faults: put into real recordings, are they recognised, and are night alarms fewer?

Faults are drawn by `hybridtwin.virtual.faults` and put into the readings of the last part of
people's time, each kind into copies of its own. Real recordings hold real faults, too, which nobody
labelled: what counts as false here may be right, so the figure is an upper bound. Virtual people,
whose sensors have noise and gaps but no faults, stand beside them. Of readings every 15 minutes
three show a low of 45: people whose come every 5 are counted apart, too.
"""

import time
from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
import pandas as pd
from pydantic import Field
from rich.progress import Progress

from hybridtwin.errors import HistoryError, Problem
from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.record import Record
from hybridtwin.sensor_faults.doubt import stream_of
from hybridtwin.sensor_faults.gain import fault_told
from hybridtwin.sensor_faults.modes import Array
from hybridtwin.sensor_faults.settings import FaultSettings
from hybridtwin.sensor_faults.watch import Suspicion, watch
from hybridtwin.timeline import Timeline
from hybridtwin.units import STEP_MIN, steps
from hybridtwin.virtual.faults import Fault, FaultKind
from training.fault_alarms import AlarmRule, alarm_rates
from training.faulted import Part, PartRule, draw, scored_parts, virtual_parts
from training.fingersticks import FingerstickRule, Fingersticks, draw_fingersticks, off_by
from training.rates import Rate, rate_rows
from training.scoring import Results
from training.twins import Twins
from training.windows import Mask

WATCH, STUCK = "watch", "watch-and-fingersticks"
"""The models' names in rows of what was recognised: by readings alone, and by both."""
_WEEK: Final = steps(7 * MINUTES_PER_DAY)
_HOUR: Final = steps(60)
_APART: Final = steps(30)


class SensorFaultsProtocol(PartRule):
    """Which faults are put into whose readings; see configs/protocols/sensor-faults.yaml."""

    kind: Literal["sensor-faults"] = "sensor-faults"
    name: str
    split: str = Field(description="The rows' word for what was scored.")
    faults_per_day: dict[FaultKind, float] = Field(
        {FaultKind.COMPRESSION_LOW: 1.0, FaultKind.JUMP: 0.5, FaultKind.DRIFT: 0.5},
        description="How often, each kind in copies of its own.",
    )
    copies: int = Field(2, ge=1, description="Of everyone's time, with faults drawn anew.")
    faults: FaultSettings = Field(FaultSettings(), description="What is held likely.")
    fingersticks: FingerstickRule = FingerstickRule()
    alarm: AlarmRule = AlarmRule()
    bootstrap_samples: int = Field(500, ge=1)


def evaluate_sensor_faults(
    records: Sequence[Record], protocol: SensorFaultsProtocol, twins: Twins, progress: Progress
) -> Results:
    """Rows of what was recognised, of what was not there, and of night alarms.

    Raises:
        HistoryError: Nobody's record is long enough.
    """
    real, skipped = scored_parts(records, protocol)
    if not real:
        reasons = [Problem(each.participant, each.reason, "Send more.") for each in skipped]
        raise HistoryError(reasons or [Problem("records", "there are none", "Send some.")])
    parts = real + virtual_parts(protocol)
    began = time.perf_counter()
    untouched = suspected([part.timeline for part in parts], protocol.faults)
    sticks = [
        draw_fingersticks(
            part, protocol.fingersticks, np.random.default_rng([protocol.seed, at, protocol.copies])
        )
        for at, part in enumerate(parts)
    ]

    sound = [
        _told(part, part.reading_mg_dl, at, untouched, own, protocol.faults)
        for at, (part, own) in enumerate(zip(parts, sticks, strict=True))
    ]
    rates = [
        _false(part, model, mask)
        for part, masks in zip(parts, sound, strict=True)
        for model, mask in masks.items()
    ]
    nights = [("untouched", [part.reading_mg_dl for part in parts], untouched)]
    task = progress.add_task("recognise", total=len(protocol.faults_per_day) * protocol.copies)
    for kind, per_day in protocol.faults_per_day.items():
        for copy in range(protocol.copies):
            drawn = [
                draw(part, kind, per_day, np.random.default_rng([protocol.seed, at, copy]))
                for at, part in enumerate(parts)
            ]
            shown = [reading for reading, _ in drawn]
            faulty = suspected(
                [part.showing(each) for part, each in zip(parts, shown, strict=True)],
                protocol.faults,
            )
            for at, (part, (reading, faults)) in enumerate(zip(parts, drawn, strict=True)):
                told = _told(part, reading, at, faulty, sticks[at], protocol.faults)
                for model, mask in told.items():
                    rates += _recognised(part, faults, model, mask, sound[at][model])
            if kind is FaultKind.COMPRESSION_LOW and copy == 0:
                nights.append(("with_lows", shown, faulty))
            progress.advance(task)
    seconds = {WATCH: time.perf_counter() - began}
    began = time.perf_counter()
    for named, readings, suspicion in nights:
        rates += alarm_rates(
            twins.population,
            real,
            readings[: len(real)],
            [
                each[: len(part.timeline)]
                for part, each in zip(parts, suspicion.compression, strict=True)
            ][: len(real)],
            named,
            protocol.alarm,
            protocol.faults,
            progress,
        )
    seconds["alarms"] = time.perf_counter() - began
    of_virtual = {part.participant for part in parts[len(real) :]}
    table = pd.concat(
        [
            rate_rows(those, protocol.split, protocol.bootstrap_samples, protocol.seed)
            for those in (
                [rate for rate in rates if rate.participant not in of_virtual],
                [rate for rate in rates if rate.participant in of_virtual],
            )
            if those
        ],
        ignore_index=True,
    )
    return Results(table, skipped, seconds)


def suspected(timelines: Sequence[Timeline], settings: FaultSettings) -> Suspicion:
    """What was suspected at every step, knowing nothing of later ones; shorter ones padded."""
    return watch(stream_of(timelines), settings)[0]


def _told(
    part: Part,
    shown: Array,
    at: int,
    suspicion: Suspicion,
    sticks: Fingersticks,
    settings: FaultSettings,
) -> dict[str, Mask]:
    """(T,) steps at which a fault is told of the part in row `at`, by each model."""
    steps_in = slice(len(part.timeline))
    compression, jump = suspicion.compression[at, steps_in], suspicion.jump[at, steps_in]
    off = off_by(sticks, part.timeline, shown, settings.gain)
    return {
        WATCH: suspicion.told(settings)[at, steps_in],
        STUCK: fault_told(compression, jump, off, settings),
    }


def _false(part: Part, model: str, told: Mask) -> Rate:
    """Faults told in untouched readings, by the week with readings."""
    on = np.flatnonzero(told & part.scored)
    count = int((np.diff(on) > _APART).sum()) + bool(len(on))
    weeks = part.covered.sum() / _WEEK
    return Rate(part.cohort, part.participant, model, "false_faults_per_week", count, weeks)


def _recognised(
    part: Part, faults: Sequence[Fault], model: str, told: Mask, told_without: Mask
) -> list[Rate]:
    """Faults told while they lasted, in their first hour, and in the same readings without them."""
    rates = []
    for fault in faults:
        first_hour = slice(fault.start, fault.start + min(fault.duration, _HOUR))
        for metric, where, span in (
            ("recognised", told, fault.span),
            ("recognised_in_1h", told, first_hour),
            ("recognised_without", told_without, fault.span),
        ):
            count = float(where[span].any())
            names = [f"{metric}_{fault.kind}"]
            if fault.kind is FaultKind.COMPRESSION_LOW:
                names.append(f"{metric}_{'deep' if fault.size >= 30 else 'shallow'}_low")
            if part.every_min <= STEP_MIN:
                names += [f"{name}_every_5_min" for name in names]
            rates += [Rate(part.cohort, part.participant, model, name, count, 1) for name in names]
    return rates
