"""Suggestions: what would help tonight, found by scenarios; material for a clinician's decision.

Every candidate is a plan beside the plan to do nothing more, from the same belief and with the same
chance, so that every path shows what it changes. All are complete: what people would do against a
low is no part of what prevents one. The smallest of a kind is offered that prevents nearly all
lows and makes few highs. Counted are the paths with a low, not all: where a low of 40 % becomes one
of 15 %, it still comes in more than a third of the nights that were heading for one. Where none is
good enough, or the twin does not know enough, it offers nothing, and says why.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final

import numpy as np
import pandas as pd
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from hybridtwin.events import Dose, Meal
from hybridtwin.glycemia.episodes import (
    HIGH_MG_DL,
    LOW_MG_DL,
    VERY_HIGH_MG_DL,
    VERY_LOW_MG_DL,
    lasts,
)
from hybridtwin.plan import Plan
from hybridtwin.record import Record
from hybridtwin.review.night import Night
from hybridtwin.review.settings import ReviewSettings
from hybridtwin.timeline import CHANNEL, Timeline, to_timeline
from hybridtwin.trust import LOOK_BACK_MIN
from hybridtwin.twin import Twin
from hybridtwin.units import GlucoseUnit, from_mg_dl, steps

_NOTHING: Final = Plan(name="nothing more", mode="complete")
_WITH_MEAL: Final = pd.Timedelta(minutes=60)
_LEAST_CORRECTIONS: Final = 3


class Measure(StrEnum):
    """A kind of help."""

    SNACK = "snack"
    BASAL = "less basal insulin"
    HOLD_BACK = "no correction now"


class Silence(StrEnum):
    """Why nothing is suggested."""

    UNLIKELY = "A low is not likely enough."
    LOW_NOW = "Glucose is low now: that is treated first, and then looked at again."
    TRUST = "The forecast is not to be acted upon: see the statement of trust."
    STALE = "The last reading is too old."
    INSULIN = "Insulin of the last hours is not known."
    NO_INSULIN = "No insulin is recorded: what would help this person is another question."
    NOTHING_HELPS = "No single measure tried makes a low unlikely without risking a high."


class Chances(BaseModel):
    """From now to the night's end, if nothing else is done; 0 to 1, of 15 minutes or longer."""

    model_config = ConfigDict(frozen=True)

    below_70: float = Field(ge=0, le=1, description="Below 70 mg/dL (3.9 mmol/L).")
    below_54: float = Field(ge=0, le=1, description="Below 54 mg/dL (3.0 mmol/L).")
    above_250: float = Field(ge=0, le=1, description="Above 250 mg/dL (13.9 mmol/L).")
    long_above_180: float = Field(ge=0, le=1, description="Above 180 mg/dL for long.")


class Suggestion(BaseModel):
    """Something that would help, for a clinician to judge; never an instruction to a patient."""

    model_config = ConfigDict(frozen=True)

    measure: Measure = Field(description="What kind of help.")
    begin: datetime = Field(description="From when, local time.")
    end: datetime | None = Field(None, description="Of less basal insulin: until when.")
    carbs_g: float | None = Field(None, ge=0, description="Of a snack: carbohydrate in g.")
    less_percent: float | None = Field(
        None, ge=0, le=100, description="Of less basal insulin: by how much, %."
    )
    dose_u: float | None = Field(None, ge=0, description="The correction not given, in U.")
    without: Chances = Field(description="If it is not followed.")
    following: Chances = Field(description="If it is.")
    rise: float = Field(description="By how much it lifts the lowest point, median, in the unit.")
    rise_low: float = Field(description="10 % of paths are lifted by less, in the unit.")
    rise_high: float = Field(description="10 % of paths are lifted by more, in the unit.")

    def in_unit(self, unit: GlucoseUnit) -> "Suggestion":
        """From mg/dL in another unit."""
        names = ("rise", "rise_low", "rise_high")
        rises = {name: round(from_mg_dl(getattr(self, name), unit), 2) for name in names}
        return self.model_copy(update=rises)


class Advice(BaseModel):
    """What would help, or why nothing is said."""

    model_config = ConfigDict(frozen=True)

    suggestions: list[Suggestion] = Field(
        default_factory=list, description="At most one of a kind."
    )
    silence: Silence | None = Field(None, description="Why there is none.")

    def in_unit(self, unit: GlucoseUnit) -> "Advice":
        """From mg/dL in another unit."""
        return self.model_copy(
            update={"suggestions": [each.in_unit(unit) for each in self.suggestions]}
        )


def advise(twin: Twin, record: Record, night: Night, settings: ReviewSettings) -> Advice:
    """What would help against a low tonight.

    Args:
        twin: The patient's.
        record: Theirs.
        night: As forecast from this record by this twin.
        settings: What counts as likely, and what is tried.
    """
    belief = night.belief
    if belief.trust.level == "low":
        return Advice(silence=Silence.TRUST)
    if any(note.kind == "stale" for note in belief.trust.notes):
        return Advice(silence=Silence.STALE)
    if belief.last_reading_mg_dl < LOW_MG_DL:
        return Advice(silence=Silence.LOW_NOW)
    likely = night.events.below_70 >= settings.explain_from
    high = belief.last_reading_mg_dl >= settings.corrected_above_mg_dl
    if not likely and not high:
        return Advice(silence=Silence.UNLIKELY)
    record = record.before(belief.now)
    if record.insulin.empty:
        return Advice(silence=Silence.NO_INSULIN)
    if not insulin_known(to_timeline(record, belief.time)):
        return Advice(silence=Silence.INSULIN)
    nothing = _paths(twin, night, [_NOTHING])[0]
    if _chances(nothing, settings).below_70 < settings.explain_from:
        found = _hold_back(twin, night, settings, nothing, record) if high else []
        return Advice(suggestions=found, silence=None if found else Silence.UNLIKELY)
    # Nobody is to eat, or to do with less insulin, while glucose is high: a low is far then.
    kinds = [] if high else [_snacks(night, settings), _basals(night, settings)]
    tried = [_smallest(twin, night, settings, nothing, each) for each in kinds if each]
    found = [suggestion for suggestion in tried if suggestion is not None]
    return Advice(suggestions=found, silence=None if found else Silence.NOTHING_HELPS)


def insulin_known(timeline: Timeline) -> bool:
    """Whether boluses and basal of the last hours are known: without, no doses are compared."""
    lately = slice(-1 - steps(LOOK_BACK_MIN), -1)
    columns = [CHANNEL[name] for name in ("bolus_u", "basal_u")]
    return bool(timeline.known[lately, columns].all())


_Candidate = tuple[Plan, dict[str, object]]
"""A plan, and the fields of the suggestion that says so."""


def _snacks(night: Night, settings: ReviewSettings) -> list[_Candidate]:
    time = night.belief.now + pd.Timedelta(minutes=settings.snack_after_min)
    found = []
    for carbs_g in sorted(settings.snacks_g):
        meal = Meal(time=time, carbs_g=carbs_g)
        plan = Plan(name=f"snack {carbs_g:g} g", mode="complete", meals=[meal])
        said = {"measure": Measure.SNACK, "begin": _local(time, night), "carbs_g": carbs_g}
        found.append((plan, said))
    return found


def _basals(night: Night, settings: ReviewSettings) -> list[_Candidate]:
    """Less of the pump's basal, the least insulin held back first; none for who has no pump."""
    begin = night.belief.now
    usual_u_h = 60 * float(night.belief.usual_basal_u_min[0])
    found = []
    for percent, hours in sorted(settings.basals, key=lambda each: each[0] * each[1]):
        end = begin + pd.Timedelta(hours=hours)
        if usual_u_h <= 0 or end > night.end:
            continue
        dose = Dose(
            time=begin,
            purpose="basal",
            dose_u=usual_u_h * hours * (1 - percent / 100),
            duration_min=60 * hours,
        )
        plan = Plan(name=f"basal -{percent:g} % {hours:g} h", mode="complete", insulin=[dose])
        said = {"measure": Measure.BASAL, "begin": _local(begin, night), "less_percent": percent}
        found.append((plan, said | {"end": _local(end, night)}))
    return found


def _smallest(
    twin: Twin,
    night: Night,
    settings: ReviewSettings,
    nothing: Tensor,
    candidates: Sequence[_Candidate],
) -> Suggestion | None:
    """The first candidate that prevents enough lows; None if none does, or it makes highs."""
    for paths, (_, said) in zip(
        _paths(twin, night, [plan for plan, _ in candidates]), candidates, strict=True
    ):
        if lows_prevented(nothing, paths) >= settings.prevents_at_least:
            few = very_highs_caused(nothing, paths) <= settings.very_high_at_most
            return _suggestion(nothing, paths, settings, said) if few else None
    return None


def lows_prevented(without: Tensor, following: Tensor) -> float:
    """Share of the paths (M, H) with a low without it that have none with it; NaN without lows."""
    low = _is_low(without)
    return float((low & ~_is_low(following)).sum() / low.sum())


def very_highs_caused(without: Tensor, following: Tensor) -> float:
    """Share of those paths that go above 250 mg/dL with it, and do not without it."""
    low = _is_low(without)
    return float((low & _is_very_high(following) & ~_is_very_high(without)).sum() / low.sum())


def _hold_back(
    twin: Twin, night: Night, settings: ReviewSettings, nothing: Tensor, record: Record
) -> list[Suggestion]:
    """A correction of this person's usual size would make a low likely."""
    dose_u = _usual_correction_u(record)
    if dose_u is None:
        return []
    dose = Dose(time=night.belief.now, dose_u=dose_u)
    plan = Plan(name="usual correction", mode="complete", insulin=[dose])
    corrected = _paths(twin, night, [plan])[0]
    if _chances(corrected, settings).below_70 < settings.explain_from:
        return []
    said = {"measure": Measure.HOLD_BACK, "begin": _local(night.belief.now, night)}
    return [_suggestion(corrected, nothing, settings, said | {"dose_u": round(dose_u, 2)})]


def _suggestion(
    without: Tensor, following: Tensor, settings: ReviewSettings, said: dict[str, object]
) -> Suggestion:
    lift = following.amin(1) - without.amin(1)
    low, middle, high = torch.quantile(lift, torch.tensor([0.1, 0.5, 0.9])).tolist()
    return Suggestion.model_validate(
        said
        | {
            "without": _chances(without, settings),
            "following": _chances(following, settings),
            "rise": round(middle, 1),
            "rise_low": round(low, 1),
            "rise_high": round(high, 1),
        }
    )


def _paths(twin: Twin, night: Night, plans: Sequence[Plan]) -> list[Tensor]:
    """(M, H) mg/dL from now on, under each plan and with the same chance."""
    forecasts = twin.forecasts(night.belief, plans, night.horizon_min)
    ahead = torch.tensor(forecasts[0].times >= forecasts[0].issued)
    return [forecast.paths_mg_dl[:, ahead] for forecast in forecasts]


def _is_low(paths: Tensor) -> Tensor:
    return lasts(paths < LOW_MG_DL)


def _is_very_high(paths: Tensor) -> Tensor:
    return lasts(paths > VERY_HIGH_MG_DL)


def _chances(paths: Tensor, settings: ReviewSettings) -> Chances:
    def share(happens: Tensor) -> float:
        return round(float(happens.float().mean()), 4)

    return Chances(
        below_70=share(_is_low(paths)),
        below_54=share(lasts(paths < VERY_LOW_MG_DL)),
        above_250=share(_is_very_high(paths)),
        long_above_180=share(lasts(paths > HIGH_MG_DL, steps(settings.long_high_min))),
    )


def _usual_correction_u(record: Record) -> float | None:
    """Median bolus with no meal about it; None where there are too few."""
    doses = record.insulin[record.insulin["purpose"] == "bolus"]
    meals = record.meals["time"].to_numpy()
    times = doses["time"].to_numpy()
    near = np.searchsorted(meals, times - _WITH_MEAL) < np.searchsorted(
        meals, times + _WITH_MEAL, side="right"
    )
    alone = doses["dose_u"].to_numpy()[~near]
    return float(np.median(alone)) if len(alone) >= _LEAST_CORRECTIONS else None


def _local(time: pd.Timestamp, night: Night) -> datetime:
    found: datetime = time.tz_convert(night.begin.tz).to_pydatetime()
    return found
