"""Trust: whether a forecast can be relied on, and what it had to do without."""

from collections.abc import Sequence
from typing import Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from hybridtwin.errors import HistoryError, Problem, RecordError, StaleHistoryError
from hybridtwin.events import InsulinKind
from hybridtwin.plan import under_way
from hybridtwin.record import Record
from hybridtwin.timeline import CHANNEL, Timeline
from hybridtwin.units import STEP_MIN, steps

LOOK_BACK_MIN = 6 * 60
MIN_READINGS = 12
"""In the look-back: half of what a 15-minute sensor gives."""
FRESH_MIN = 15.0
STALE_MIN = 60.0
CLOCK_TOLERANCE_MIN = 5.0
LEVEL_2_LOW_MG_DL = 54.0
SENSOR_RANGE_MG_DL = (40.0, 400.0)
_DAY_MIN = 24 * 60
_WELL_COVERED = 0.7  # share of a day with readings, as for AGP reports
_UNUSUAL = {
    "illness": "Illness is under way: its effect differs from person to person; look often.",
    "site failure": "A site failure is under way: how much insulin arrives is a guess; "
    "change the site.",
}


class TrustNote(BaseModel):
    """One reason for caution."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["missing", "stale", "mended", "assumed", "urgent", "fault"] = Field(
        description="What sort of reason it is."
    )
    text: str = Field(description="The reason, in a sentence.")


class Trust(BaseModel):
    """How far to rely on a forecast, and why."""

    model_config = ConfigDict(frozen=True)

    level: Literal["full", "reduced", "low"] = Field(
        description="full: all channels known and fresh. reduced: something was missing or "
        "assumed. low: not to be acted upon."
    )
    notes: list[TrustNote] = Field(default_factory=list, description="The reasons.")


def check_history(record: Record, now: pd.Timestamp) -> None:
    """Refuse a history that cannot carry a forecast.

    Raises:
        HistoryError: No readings, or too few in the last hours.
        StaleHistoryError: The last reading is too old.
        RecordError: A reading lies in the future.
    """
    times = record.glucose["time"]
    if times.empty:
        raise HistoryError.of(
            "glucose", "the history holds no readings", "Send three hours of them, better two days."
        )
    last = times.iloc[-1]
    age_min = (now - last) / pd.Timedelta(minutes=1)
    if age_min < -CLOCK_TOLERANCE_MIN:
        raise RecordError.of(
            f"glucose[{len(times) - 1}].time",
            f"{last.isoformat()} lies after now, {now.isoformat()}",
            "Check the time zone and the clock.",
        )
    if age_min > STALE_MIN:
        raise StaleHistoryError.of(
            "glucose",
            f"the last reading is {age_min:.0f} minutes old (at {last.isoformat()}), "
            f"more than {STALE_MIN:.0f}",
            "Send newer readings; no forecast is made from stale ones.",
        )
    begin = times.searchsorted(last - pd.Timedelta(minutes=LOOK_BACK_MIN), "right")
    recent = len(times) - begin
    span_min = (last - times.iloc[0]) / pd.Timedelta(minutes=1)
    if recent < MIN_READINGS or span_min < LOOK_BACK_MIN / 2:
        raise HistoryError(
            [
                Problem(
                    "glucose",
                    f"too short a history: {recent} readings in the last "
                    f"{LOOK_BACK_MIN // 60} hours, {span_min / 60:.1f} h in all",
                    f"Send at least {LOOK_BACK_MIN // 2 // 60} hours with {MIN_READINGS} readings, "
                    "better two days.",
                )
            ]
        )


def judge(
    record: Record,
    timeline: Timeline,
    now: pd.Timestamp,
    personal: bool,
    suspected: Sequence[TrustNote] = (),
) -> Trust:
    """What a forecast from this history has to do without.

    Args:
        record: All that arrived.
        timeline: What the forecast looks at.
        now: The present.
        personal: Whether the twin was fitted to this person.
        suspected: What is suspected of the sensor.
    """
    notes = list(suspected)
    day = slice(max(len(timeline) - steps(_DAY_MIN), 0), None)
    known = timeline.known[day].float().mean(0)

    def note(kind: Literal["missing", "stale", "mended", "assumed", "urgent"], text: str) -> None:
        notes.append(TrustNote(kind=kind, text=text))

    last_mg_dl, last = (record.glucose[name].iloc[-1] for name in ("mg_dl", "time"))
    age_min = (now - last) / pd.Timedelta(minutes=1)
    if age_min > FRESH_MIN:
        note("stale", f"The last reading is {age_min:.0f} minutes old.")
    lowest, highest = SENSOR_RANGE_MG_DL
    if not lowest < last_mg_dl < highest:
        note(
            "missing",
            f"The last reading is at the end of a sensor's range ({lowest:.0f} to {highest:.0f} "
            "mg/dL): the true value may lie beyond.",
        )
    if last_mg_dl < LEVEL_2_LOW_MG_DL:
        note("urgent", "Glucose is below 54 mg/dL: treat it now; do not wait for a forecast.")
    for channel, words, meaning in (
        ("bolus_u", "boluses", "taken as unknown, not as none"),
        ("basal_u", "basal insulin", "this person's usual need is assumed"),
        ("carbs_g", "meals", "taken as unknown, not as none"),
    ):
        share = float(known[CHANNEL[channel]])
        if share < _WELL_COVERED:
            note(
                "missing",
                f"No record of {words} for {100 * (1 - share):.0f} % of the last day: {meaning}.",
            )
    if len(timeline) < steps(_DAY_MIN):
        hours = len(timeline) * STEP_MIN / 60
        note("missing", f"Only {hours:.0f} h of history; a day or more is better.")
    if record.glucose["interpolated"].tail(MIN_READINGS).any():
        note("mended", "Recent readings were interpolated between sensor values.")
    mended = record.provenance.count("mended")
    if mended:
        note("mended", f"{mended} rows were mended on import; see the import report.")
    if (record.insulin["kind"] == InsulinKind.LONG_ACTING).any():
        note("assumed", "Long-acting insulin of unknown kind is taken as glargine U100.")
    lasting = {condition.kind for condition in under_way(record, now)}
    unusual = [text for kind, text in _UNUSUAL.items() if kind in lasting]
    if record.profile.pregnancy_week is not None:
        unusual.append("Pregnancy: the twin is untested on pregnant people.")
    for text in unusual:
        note("assumed", text)
    if record.profile.weight_kg is None:
        note("assumed", "Body weight is not known: 70 kg is assumed.")
    if not personal:
        note("assumed", "The population twin: not yet fitted to this person.")
    kinds = {entry.kind for entry in notes}
    level: Literal["full", "reduced", "low"] = "full"
    if kinds & {"missing", "stale", "mended", "fault"} or unusual or not personal:
        level = "reduced"
    if "urgent" in kinds or sum(entry.kind == "missing" for entry in notes) >= 3:
        level = "low"
    return Trust(level=level, notes=notes)
