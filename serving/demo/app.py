"""What the virtual people do from the first evening on, sent to the service as an app would."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isnan
from pathlib import Path
from threading import Event
from typing import Any, Final

import httpx
import pandas as pd

from hybridtwin.units import STEP_MIN
from hybridtwin.virtual.clinic import as_recorded
from hybridtwin.virtual.diary import Diary
from hybridtwin.virtual.life import Lives, Moment, go_on
from serving.client import Client, ServiceError
from serving.clock import Pace
from serving.demo.opening import SOURCE
from serving.demo.pace import state

_STEP: Final = timedelta(minutes=STEP_MIN)
_AT_ONCE: Final = 24 * 60 // STEP_MIN
_READY_S: Final = 0.2
_AGAIN_S: Final = 5.0
_LIVED: Final = "lived"


@dataclass(frozen=True)
class App:
    """What sends for the virtual people.

    Attributes:
        home: The demonstration's folder, where it keeps how far it has come.
        client: Reaches the service.
        patients: Whom the service knows them as, in their order.
        lives: What is settled of them.
        pace: How their time will go on.
        say: Tells whoever started it.
    """

    home: Path
    client: Client
    patients: Sequence[uuid.UUID]
    lives: Lives
    pace: Pace
    say: Callable[[str], None]

    def keep_sending(self, since: Moment, stopping: Event) -> None:
        """Live and send by their clock, until `stopping` or the end of what is settled.

        It begins when the service is ready.
        """
        while not self.client.is_ready():
            if stopping.wait(_READY_S):
                return
        pace = self.pace.model_copy(update={"begun": datetime.now(UTC)})
        state(self.home, pace)
        while since.step < len(self.lives.grid) and not stopping.is_set():
            now = pace.at(datetime.now(UTC))
            due = steps_begun(self.lives.grid, now) - since.step
            if due <= 0:
                left = self.lives.grid[since.step].to_pydatetime() - now
                stopping.wait(left.total_seconds() / pace.speed)
                continue
            then, diary, _ = go_on(self.lives, since, min(due, _AT_ONCE))
            try:
                self.send(since, then, diary)
            except (ServiceError, httpx.TransportError) as error:
                if not stopping.is_set():
                    self.say(f"The virtual people's app could not send, and tries again: {error}")
                stopping.wait(_AGAIN_S)
                continue
            since = then
        if not stopping.is_set():
            self.say("The virtual people have lived all that was settled. Make a new clinic.")

    def send(self, since: Moment, then: Moment, diary: Diary) -> None:
        """Send what everybody logged between two moments, then keep that it is sent."""
        times = self.lives.grid[since.step : then.step].tz_convert("UTC")
        recorded = as_recorded(diary)
        for person, patient in enumerate(self.patients):
            report = self.client.send(patient, batch(recorded, person, times))
            for outcome in report.outcomes:
                if outcome.problem:
                    self.say(f"{outcome.where}: {outcome.problem.what}")
        keep_lived(self.home, then.step)


def batch(diary: Diary, person: int, times: pd.DatetimeIndex) -> dict[str, Any]:
    """What one person logged, as the service takes it.

    Each row depends on its own five minutes alone, so that whatever is sent again, with others or
    by itself, is the row that is known.
    """

    rows: dict[str, list[dict[str, Any]]] = {"glucose": [], "insulin": [], "meals": []}
    columns = (diary.reading_mg_dl, diary.bolus_u, diary.basal_u_h, diary.carbs_g)
    for time, *logged in zip(times, *(column[:, person] for column in columns), strict=True):
        at = {"time": time.isoformat()}
        reading, bolus, basal, carbs = map(float, logged)
        if not isnan(reading):
            rows["glucose"].append(at | {"value": reading})
        if bolus > 0:
            rows["insulin"].append(at | {"purpose": "bolus", "dose_u": bolus})
        if not isnan(basal):
            given = {"dose_u": basal * STEP_MIN / 60, "duration_min": STEP_MIN}
            rows["insulin"].append(at | {"purpose": "basal"} | given)
        if carbs > 0:
            rows["meals"].append(at | {"carbs_g": carbs})
    span = {"from": times[0].isoformat(), "to": (times[-1] + _STEP).isoformat()}
    complete = {"insulin": span, "meals": span}
    return {"source": SOURCE, "units": {"glucose": "mg/dL"}, "complete": complete} | rows


def steps_begun(grid: pd.DatetimeIndex, now: datetime) -> int:
    """How many steps of a grid have begun."""
    return int(grid.searchsorted(pd.Timestamp(now), side="right"))


def lived(home: Path) -> int:
    """How many steps the service knows, those that were recorded before it too."""
    return int((home / _LIVED).read_text())


def keep_lived(home: Path, step: int) -> None:
    """Keep how many steps were sent: the number before or this one, whatever happens meanwhile."""
    part = home / f"{_LIVED}.part"
    part.write_text(str(step))
    part.replace(home / _LIVED)
