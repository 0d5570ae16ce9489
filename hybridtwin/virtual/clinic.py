"""A demonstration clinic: virtual people on the evening before an interesting night.

They may go on living after it: `settle_clinic` says what will become of them.
"""

from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.units import steps
from hybridtwin.virtual.diary import Diary, to_record
from hybridtwin.virtual.habits import Habits, draw_traits
from hybridtwin.virtual.life import Lives, VirtualPerson, at_first, go_on, settle
from hybridtwin.virtual.patients import load_patients

NIGHT_HOURS: Final = 10.0
"""How long the truth goes on after the records: until the next morning."""
SETTLED_DAYS: Final = 60
"""How long they could go on after the records."""
RECIPE_FILE: Final = "clinic.json"
"""Beside the records of a clinic: its recipe, so that it can go on."""

_FIRST = (
    *("adult-04", "adolescent-07", "adult-09", "adolescent-04", "child-08", "adult-06"),
    *("adult-07", "adolescent-10", "adult-03", "child-06", "adolescent-02", "adult-10"),
)
# Positions in the clinic.
_STRONG_NIGHT_BASAL = {3: 1.6, 9: 1.6}
_OVERDOSED_TONIGHT = {1: 50, 4: 35, 7: 75}  # minutes before the end
_STALE_SENSOR = 6
_NO_BASAL = 8
_SILENT_FROM, _SILENT_UNTIL = pd.Timedelta(hours=-3), pd.Timedelta(hours=1)  # from the end


class Recipe(BaseModel):
    """All that decides who is in a clinic and what becomes of them."""

    model_config = ConfigDict(frozen=True)

    end: AwareDatetime = Field(description="When the records end; about 21:30 local is best.")
    count: int = Field(12, ge=1, description="How many people; beyond 30 patients are taken again.")
    days: float = Field(14, gt=0, description="Length of the records.")
    seed: int = Field(1, ge=0, description="Fixes everything that is left to chance.")

    @property
    def recorded(self) -> int:
        """Steps of 5 minutes in the records."""
        return steps(self.days * MINUTES_PER_DAY)


def clinic(
    end: pd.Timestamp, count: int = 12, days: float = 14, seed: int = 1
) -> list[VirtualPerson]:
    """People of all ages whose records end at one moment, with the truth of the night after it.

    Among the first ten, two have too strong a basal at night, three have just taken too large a
    correction, one has a sensor that last read three hours ago, one does not record basal.

    Args:
        end: The moment, aware; about 21:30 local makes the demonstration.
        count: How many people; beyond 30 patients are taken again, as other people.
        days: Length of the records.
        seed: Fixes everything that is left to chance.
    """
    recipe = Recipe(end=end.to_pydatetime(), count=count, days=days, seed=seed)
    lives = settle_clinic(recipe)
    _, diary, truths = go_on(lives, at_first(lives), recipe.recorded + steps(NIGHT_HOURS * 60))
    recorded = as_recorded(diary)
    local = lives.grid[: recipe.recorded]
    return [
        VirtualPerson(to_record(recorded, person, lives.patients, local), truths[person])
        for person in range(count)
    ]


def settle_clinic(recipe: Recipe) -> Lives:
    """What is settled of the clinic's people, until `SETTLED_DAYS` after their records."""
    count, end = recipe.count, pd.Timestamp(recipe.end)
    patients = load_patients()
    others = [name for name in patients.name if name not in _FIRST]
    order = [patients.name.index(name) for name in (*_FIRST, *others)]
    chosen = patients.take([order[person % len(order)] for person in range(count)])
    habits = Habits()
    traits = [
        draw_traits(np.random.default_rng([recipe.seed, person, 0]), habits)
        for person in range(count)
    ]
    for person, factor in _STRONG_NIGHT_BASAL.items():
        if person < count:
            traits[person] = replace(traits[person], night_factor=factor)
    for person, minutes in _OVERDOSED_TONIGHT.items():
        if person < count:
            overdosed = (end - pd.Timedelta(minutes=minutes),)
            traits[person] = replace(traits[person], overdoses_at=overdosed)
    start = end - pd.Timedelta(days=recipe.days)
    lives = settle(chosen, recipe.days + SETTLED_DAYS, start, recipe.seed, habits, traits)
    silent = (lives.grid > end + _SILENT_FROM) & (lives.grid < end + _SILENT_UNTIL)
    sensors = [
        replace(sensor, works=sensor.works & ~silent) if person == _STALE_SENSOR else sensor
        for person, sensor in enumerate(lives.sensors)
    ]
    return replace(lives, sensors=sensors)


def as_recorded(diary: Diary) -> Diary:
    """What of these people's days their clinic gets to know: one does not record basal."""
    basal = diary.basal_u_h.copy()
    basal[:, _NO_BASAL : _NO_BASAL + 1] = np.nan
    return replace(diary, basal_u_h=basal)
