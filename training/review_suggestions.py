"""Whether a review's suggestions are right, on virtual people who do as it says.

Asked on every evening, with something planted and without; told by the people's own equations,
which no twin shares. Nothing else is eaten or bolused in the night.

- `low_prevented`: of suggestions on evenings that head for a low, those with which there is none.
- `very_high_caused`: and those with which glucose goes above 250 mg/dL, as it does not without.
- `low_suggested`: share of evenings that head for a low on which something is suggested.
- `needless`: share of the other evenings on which something is suggested.
- `needless_very_high`: of those suggestions, as `very_high_caused`.

The first two also stand for each measure by itself.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Literal

import numpy as np
import pandas as pd
from rich.progress import Progress

from hybridtwin.review.night import forecast_night
from hybridtwin.review.settings import ReviewSettings
from hybridtwin.review.suggestions import Measure, Suggestion, advise
from hybridtwin.twin import Twin
from hybridtwin.virtual.changes import Inputs
from hybridtwin.virtual.planted import Evening
from hybridtwin.virtual.uva_padova import eaten
from training.cause_scores import rows
from training.personalise import PersonalSettings
from training.review_evenings import (
    NIGHT_MIN,
    EveningsRule,
    draw_evenings,
    has_low,
    has_very_high,
    is_fresh,
    people_and_twins,
)


class ReviewSuggestionsProtocol(EveningsRule):
    """Suggestions against lows; see configs/protocols/review-suggestions.yaml."""

    kind: Literal["review-suggestions"] = "review-suggestions"
    name: str = "review-suggestions"


def evaluate_suggestions(
    protocol: ReviewSuggestionsProtocol, twin: Twin, settings: PersonalSettings, progress: Progress
) -> pd.DataFrame:
    """Tidy rows of the personal twins."""
    people, twins = people_and_twins(protocol, twin, settings, progress)
    found: list[dict[str, object]] = []
    task = progress.add_task("suggesting", total=None)
    for asked in draw_evenings(protocol, people):
        progress.advance(task)
        for evening in (asked.evening, asked.untouched):
            if is_fresh(evening, protocol.least_mg_dl):
                found += [
                    {"person": asked.person, "metric": metric, "score": float(score)}
                    for metric, score in _scores(twins[asked.person], evening, protocol.review)
                ]
    return rows(
        "twin-personal",
        pd.DataFrame(found).assign(horizon_min=NIGHT_MIN),
        [one.record.profile.participant for one in people],
        protocol.split,
        protocol.bootstrap_samples,
        protocol.seed,
    )


def _scores(twin: Twin, evening: Evening, settings: ReviewSettings) -> Iterator[tuple[str, bool]]:
    night = forecast_night(twin, twin.believe(evening.record, evening.now))
    made = [
        one
        for one in advise(twin, evening.record, night, settings).suggestions
        if one.measure != Measure.HOLD_BACK  # nothing is done then
    ]
    without = evening.ahead_mg_dl()
    heads_for_low = has_low(without)
    yield ("low_suggested" if heads_for_low else "needless"), bool(made)
    for one in made:
        following = evening.ahead_mg_dl(followed(evening, one))
        caused = has_very_high(following) and not has_very_high(without)
        if not heads_for_low:
            yield "needless_very_high", caused
            continue
        kind = one.measure.name.lower()
        for suffix in ("", f"_{kind}"):
            yield f"low_prevented{suffix}", not has_low(following)
            yield f"very_high_caused{suffix}", caused


def followed(evening: Evening, suggestion: Suggestion) -> Inputs:
    """What is eaten and given by who follows a suggestion."""
    inputs = evening.inputs
    begin = evening.now_min + _minutes(evening, suggestion.begin)
    if suggestion.carbs_g is not None:
        table = np.zeros_like(inputs.carbs_g_min)
        table[begin] = suggestion.carbs_g
        return replace(inputs, carbs_g_min=inputs.carbs_g_min + eaten(table))
    if suggestion.less_percent is None or suggestion.end is None:
        return inputs
    less = np.zeros_like(inputs.insulin_u_min)
    end = evening.now_min + _minutes(evening, suggestion.end)
    less[begin:end] = suggestion.less_percent / 100
    return replace(inputs, insulin_u_min=inputs.insulin_u_min - less * inputs.basal_u_min())


def _minutes(evening: Evening, time: datetime) -> int:
    minutes: float = (pd.Timestamp(time) - evening.now) / pd.Timedelta(minutes=1)
    return round(minutes)
