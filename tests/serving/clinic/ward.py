"""Many patients on a panel at once, put there as the nightly review puts them."""

import base64
import random
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import torch

from hybridtwin.events import GlucoseReading, Profile
from hybridtwin.forecast import EventProbabilities, Forecast
from hybridtwin.record import Record, from_events
from hybridtwin.review.review import NightReview, NightRisk
from hybridtwin.trust import Trust, TrustNote
from serving.clinic import summary
from serving.store import consents, patients, summaries
from serving.store.database import open_database
from serving.store.vault import Vault

NAMES = ("Ada", "Bo", "Cleo", "Dan", "Eva", "Finn", "Gül", "Hugo", "Ida", "Jan", "Kim", "Lea")
KINDS = ("well", "low", "very low", "watch", "stale", "refused", "lows", "rising", "silent")
MIXED = ("well",) * 12 + KINDS
"""As a clinic may be: most are well."""
FILLED_H = 7 * 24


def readings(kind: str, now: datetime, chance: random.Random) -> list[GlucoseReading]:
    """A week of readings that make a patient be of a kind."""
    last = now - timedelta(hours=3 if kind == "stale" else 0, minutes=chance.uniform(1, 6))
    base, swing = chance.uniform(125, 150), chance.uniform(15, 35)
    count = 12 * FILLED_H
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
    risk = NightRisk(
        participant=name,
        status="forecast",
        begin=now + timedelta(hours=2),
        end=now + timedelta(hours=8),
        events=events,
        nadir=forecast.nadir(),
        trust=forecast.trust,
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
            for part, time, content in kept:
                said = content.model_dump_json().encode()
                summaries.put(session, vault, one, part, time, said)


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
