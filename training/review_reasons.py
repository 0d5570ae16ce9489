"""Whether the first reason of a review is the true one, on virtual people.

Scored are evenings on which the planted thing makes a low that the same evening without it does not
have, by the people's own equations, which no twin shares.

- `reason_first`: share of these on which what was planted is the first reason; also for each kind
  of driver by itself, and (`_shown`) of those that a review would explain.
- `reason_first_untouched`: how often it comes first on the same evenings without it.
"""

from typing import Final, Literal

import pandas as pd
from rich.progress import Progress

from hybridtwin.review.drivers import Driver
from hybridtwin.review.night import forecast_night
from hybridtwin.review.reasons import explain
from hybridtwin.twin import Twin
from hybridtwin.virtual.planted import Evening, Planted
from training.cause_scores import rows
from training.personalise import PersonalSettings
from training.review_evenings import (
    NIGHT_MIN,
    EveningsRule,
    draw_evenings,
    has_low,
    is_fresh,
    people_and_twins,
)

TRUE_REASON: Final = {
    Planted.BOLUS: Driver.INSULIN,
    Planted.RUN: Driver.EXERCISE,
    Planted.MEAL: Driver.MEAL,
}


class ReviewReasonsProtocol(EveningsRule):
    """Reasons of lows; see configs/protocols/review-reasons.yaml."""

    kind: Literal["review-reasons"] = "review-reasons"
    name: str = "review-reasons"


def evaluate_reasons(
    protocol: ReviewReasonsProtocol, twin: Twin, settings: PersonalSettings, progress: Progress
) -> pd.DataFrame:
    """Tidy rows of the personal twins."""
    people, twins = people_and_twins(protocol, twin, settings, progress)
    found: list[dict[str, object]] = []
    task = progress.add_task("explaining", total=None)
    for asked in draw_evenings(protocol, people):
        progress.advance(task)
        evening, untouched = asked.evening, asked.untouched
        caused = has_low(evening.ahead_mg_dl()) and not has_low(untouched.ahead_mg_dl())
        if not caused or not is_fresh(evening, protocol.least_mg_dl):
            continue
        own, reason = twins[asked.person], TRUE_REASON[asked.planted]
        right, likely = _first(own, evening, reason)
        named, _ = _first(own, untouched, reason)
        scores = {
            "reason_first": right,
            f"reason_first_{asked.planted.name.lower()}": right,
            "reason_first_untouched": named,
        }
        if likely >= protocol.review.explain_from:
            scores["reason_first_shown"] = right
        found += [
            {"person": asked.person, "horizon_min": NIGHT_MIN, "metric": metric, "score": score}
            for metric, score in scores.items()
        ]
    return rows(
        "twin-personal",
        pd.DataFrame(found).astype({"score": float}),
        [one.record.profile.participant for one in people],
        protocol.split,
        protocol.bootstrap_samples,
        protocol.seed,
    )


def _first(twin: Twin, evening: Evening, reason: Driver) -> tuple[bool, float]:
    """Whether this is the first reason, and how likely a low is said to be."""
    night = forecast_night(twin, twin.believe(evening.record, evening.now))
    reasons = explain(twin, night).reasons
    return bool(reasons) and reasons[0].driver == reason, night.events.below_70
