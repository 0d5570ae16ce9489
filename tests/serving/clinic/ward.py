"""Many patients on a panel at once, put there as the nightly review puts them."""

import base64
import random
import uuid
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import torch
from sqlalchemy.orm import Session

from hybridtwin.events import Dose, GlucoseReading, Profile
from hybridtwin.forecast import EventProbabilities, Forecast
from hybridtwin.physiology.parameters import PARAMETERS
from hybridtwin.record import Record, from_events
from hybridtwin.review.drivers import Driver
from hybridtwin.review.night import HourRisk
from hybridtwin.review.reasons import Explanation, Reason, Share
from hybridtwin.review.review import NightReview, NightRisk
from hybridtwin.review.suggestions import Advice, Chances, Measure, Suggestion
from hybridtwin.trust import Trust, TrustNote
from serving.clinic import summary
from serving.clinic.weeks import weeks
from serving.store import consents, issued, patients, summaries
from serving.store.database import open_database
from serving.store.vault import Vault
from serving.v1.belief import BeliefReport, ParameterBelief

NAMES = ("Ada", "Bo", "Cleo", "Dan", "Eva", "Finn", "Gül", "Hugo", "Ida", "Jan", "Kim", "Lea")
KINDS = ("well", "low", "very low", "watch", "stale", "refused", "lows", "rising", "silent")
MIXED = ("well",) * 12 + KINDS
"""As a clinic may be: most are well."""
FILLED_H = 7 * 24


def readings(
    kind: str, now: datetime, chance: random.Random, hours: int = FILLED_H
) -> list[GlucoseReading]:
    """A week of readings, or other hours, that make a patient be of a kind."""
    last = now - timedelta(hours=3 if kind == "stale" else 0, minutes=chance.uniform(1, 6))
    base, swing = chance.uniform(125, 150), chance.uniform(15, 35)
    count = 12 * hours
    level = base + swing * np.sin(np.arange(count) / chance.uniform(20, 40))
    if kind == "lows":
        for begin in range(100, count - 200, 300):
            level[begin : begin + 8] = 60
    if kind == "rising":
        level[-24:] = np.linspace(level[-24], 265, 24)
    if kind in ("low", "very low"):
        level[-24:] = np.linspace(level[-24], 100, 24)
    times = [last - timedelta(minutes=5 * back) for back in reversed(range(count))]
    return [
        GlucoseReading(time=time, mg_dl=float(np.clip(value, 45, 390)))
        for time, value in zip(times, level, strict=True)
    ]


def review(kind: str, record: Record, now: datetime, chance: random.Random) -> NightReview:
    """A review as it might be: paths that fan out from the last reading."""
    name = record.profile.participant
    if kind in ("refused", "stale", "silent"):
        return NightReview(NightRisk(participant=name, status="refused", reason="no readings"))
    last, steps = record.glucose.iloc[-1], 108
    goal = {"low": 68.0, "very low": 55.0, "watch": 85.0, "rising": 255.0}.get(kind, 130.0)
    ahead = torch.linspace(1 / steps, 1, steps)
    middle = float(last["mg_dl"]) + (goal - float(last["mg_dl"])) * (1 - (1 - ahead) ** 2)
    spread = torch.linspace(-1.6, 1.6, 41)[:, None] * 26 * ahead.sqrt()
    start = pd.Timestamp(last["time"]).ceil("5min")
    forecast = Forecast(
        participant=name,
        plan="as usual",
        issued=pd.Timestamp(now),
        start=start,
        last_reading_mg_dl=float(last["mg_dl"]),
        last_reading_time=last["time"],
        time_zone=record.profile.time_zone,
        expected_mg_dl=middle,
        paths_mg_dl=(middle + spread).clamp(min=40),
        trust=Trust(level="reduced", notes=[TrustNote(kind="assumed", text="70 kg is assumed.")]),
    )
    low = {"low": 0.62, "very low": 0.81, "watch": 0.31}.get(kind, 0.04) + chance.uniform(
        -0.03, 0.1
    )
    events = EventProbabilities(
        below_70=round(low, 4),
        below_54=0.34 if kind == "very low" else round(low / 9, 4),
        above_180=0.2,
        above_250=0.55 if kind == "rising" else 0.01,
    )
    hour = now.replace(minute=0, second=0, microsecond=0)
    reasons = [
        Reason(driver=driver, nadir=round(chance.uniform(-30, 5), 1), below_70=0.1)
        for driver in (Driver.EXERCISE, Driver.INSULIN, Driver.SENSITIVITY, Driver.HABIT)
    ]
    risk = NightRisk(
        participant=name,
        status="forecast",
        begin=now + timedelta(hours=2),
        end=now + timedelta(hours=8),
        events=events,
        hours=[
            HourRisk(begin=hour + timedelta(hours=back), below_70=0.1, below_54=0.02)
            for back in range(9)
        ],
        nadir=forecast.nadir(),
        trust=forecast.trust,
        explanation=Explanation(reasons=reasons, residual=Share(nadir=-4, below_70=0.03))
        if low >= 0.1
        else None,
    )
    return NightReview(risk, forecast)


def fill(
    database_url: str, master_key: str, clinic: str, kinds: Sequence[str], seed: int = 0
) -> None:
    """Enter patients of these kinds, with their summaries and four weeks of nights."""
    vault, chance, now = Vault(base64.b64decode(master_key)), random.Random(seed), datetime.now(UTC)  # noqa: S311
    made = {}
    for kind in set(kinds):
        profile = Profile(participant="p")
        record = from_events(profile, [] if kind == "silent" else readings(kind, now, chance))
        made[kind] = summary.lately(record), record
    with closing(open_database(database_url)) as database, database.session() as session:
        for number, kind in enumerate(kinds):
            name = f"{NAMES[number % len(NAMES)]} {number:04d}"
            profile = Profile(participant=f"p{number}")
            one = patients.create(session, vault, profile, clinic, name).id
            consents.give(session, one, "care", "1")
            lately, record = made[kind]
            shown = summary.night(review(kind, record, now, chance), now)
            kept: list[tuple[summaries.Part, datetime, summary.Part]] = [("night", now, shown)]
            if lately is not None:
                kept.append(("lately", lately.time, lately))
            nights = [_past(now, back, chance) for back in reversed(range(28))]
            kept.append(("nights", now, summary.Nights(nights=nights)))
            kept.append(("morning", now, nights[-1].model_copy(update={"low": False})))
            _put(session, vault, one, kept)


def fill_page(database_url: str, master_key: str, clinic: str, name: str) -> uuid.UUID:
    """Enter a patient of whom four weeks are known: lows before three in the night, a low ahead."""
    vault, chance, now = Vault(base64.b64decode(master_key)), random.Random(1), datetime.now(UTC)  # noqa: S311
    levels = readings("low", now, chance, hours=28 * 24)
    night_lows = [
        one.model_copy(update={"mg_dl": 61.0})
        if one.time.hour == 1 and one.time.minute < 30 and one.time.day % 2
        else one
        for one in levels
    ]
    doses = [Dose(time=one.time, dose_u=4) for one in levels[::72]]
    record = from_events(Profile(participant="p"), night_lows, doses, logged=["bolus"])
    explained = review("low", record, now, chance)
    reasons = [
        Reason(driver=Driver.EXERCISE, nadir=-31.0, below_70=0.38),
        Reason(driver=Driver.INSULIN, nadir=-12.0, below_70=0.11),
        Reason(driver=Driver.HABIT, nadir=3.0, below_70=-0.02),
    ]
    chances = {"below_70": 0.62, "below_54": 0.2, "above_250": 0.01, "long_above_180": 0.02}
    snack = Suggestion(
        measure=Measure.SNACK,
        begin=now,
        carbs_g=15,
        without=Chances.model_validate(chances),
        following=Chances.model_validate(chances | {"below_70": 0.08, "below_54": 0.01}),
        rise=28,
        rise_low=19,
        rise_high=36,
    )
    hours = [
        HourRisk(begin=begin, below_70=0.1 * hour, below_54=0.02 * hour)
        for hour in range(6)
        for begin in [now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=hour + 1)]
    ]
    risk = explained.risk.model_copy(
        update={
            "explanation": Explanation(reasons=reasons, residual=Share(nadir=-4, below_70=0.03)),
            "advice": Advice(suggestions=[snack]),
            "hours": hours,
        }
    )
    assert explained.forecast
    report = explained.forecast.report().model_dump_json().encode()
    known, last = weeks(record, now), summary.lately(record)
    assert known
    assert last
    nights = [_past(now, back, chance) for back in reversed(range(28))]
    kept: list[tuple[summaries.Part, datetime, summary.Part]] = [
        ("night", now, summary.night(replace(explained, risk=risk), now)),
        ("lately", now, last),
        ("weeks", now, known),
        ("nights", now, summary.Nights(nights=nights)),
    ]
    with closing(open_database(database_url)) as database, database.session() as session:
        one = patients.create(session, vault, Profile(participant="p"), clinic, name).id
        consents.give(session, one, "care", "1")
        _put(session, vault, one, kept)
        issued.keep(session, vault, one, "forecast", now, "m", report)
        for back in range(28 * 24):
            time = now - timedelta(hours=back)
            factor = 1 + 0.2 * np.sin(back / 90) + chance.uniform(-0.05, 0.05)
            said = belief(time, factor).model_dump_json().encode()
            issued.keep(session, vault, one, "belief", time, "m", said)
    return one


def belief(time: datetime, factor: float = 1.0, **profile: float) -> BeliefReport:
    """Medians of the population, but for the sensitivity and its profile over the day."""
    values = {one.name: one.median for one in PARAMETERS} | profile
    values["uptake_sensitivity"] *= factor
    return BeliefReport(
        time=time,
        last_reading_time=time,
        model="m",
        trust=Trust(level="full"),
        usual_basal_u_h=0.8,
        parameters=[
            ParameterBelief(
                name=one.name,
                unit=one.unit,
                value=values[one.name],
                low=0.8 * values[one.name],
                high=1.25 * values[one.name],
                personal=True,
            )
            for one in PARAMETERS
        ],
    )


def _put(
    session: Session,
    vault: Vault,
    patient: uuid.UUID,
    kept: Sequence[tuple[summaries.Part, datetime, summary.Part]],
) -> None:
    for part, time, content in kept:
        summaries.put(session, vault, patient, part, time, content.model_dump_json().encode())


def _past(now: datetime, back: int, chance: random.Random) -> summary.PastNight:
    likely = chance.betavariate(0.6, 3)
    low = chance.random() < likely
    return summary.PastNight(
        end=now - timedelta(days=back, hours=9),
        below_70=round(likely, 4),
        below_54=round(likely / 5, 4),
        lowest_mg_dl=chance.uniform(55, 69) if low else chance.uniform(75, 140),
        low=low,
        very_low=False,
        covered=0.97,
    )
