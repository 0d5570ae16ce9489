"""Small made-up histories for tests."""

from datetime import UTC, datetime, timedelta

from hybridtwin.events import Dose, GlucoseReading, Meal, Profile
from hybridtwin.record import Record, from_events

START = datetime(2026, 3, 1, 6, 0, tzinfo=UTC)


def history(
    hours: float = 30,
    level_mg_dl: float = 140.0,
    step_min: int = 5,
    basal_u_h: float | None = 0.8,
    bolus: bool = True,
    meals: bool = True,
) -> Record:
    """A wavy course with pump basal, a bolus and a meal every six hours."""
    count = int(hours * 60 / step_min) + 1
    times = [START + timedelta(minutes=step_min * i) for i in range(count)]
    glucose = [
        GlucoseReading(time=time, mg_dl=level_mg_dl + 30 * ((i * step_min // 60) % 3 - 1))
        for i, time in enumerate(times)
    ]
    insulin = []
    food = []
    for hour in range(0, int(hours), 6):
        at = START + timedelta(hours=hour)
        if basal_u_h is not None:
            insulin.append(Dose(time=at, purpose="basal", dose_u=6 * basal_u_h, duration_min=360))
        if bolus:
            insulin.append(Dose(time=at + timedelta(minutes=10), dose_u=4))
        if meals:
            food.append(Meal(time=at + timedelta(minutes=20), carbs_g=45))
    logged = [name for name, kept in (("bolus", bolus), ("meals", meals)) if kept]
    return from_events(
        Profile(participant="made-up", time_zone="Europe/Madrid", weight_kg=70),
        glucose,
        insulin,
        food,
        logged=logged,
    )
