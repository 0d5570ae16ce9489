"""A demonstration clinic: virtual people on the evening before an interesting night."""

from dataclasses import replace
from typing import Final

import numpy as np
import pandas as pd

from hybridtwin.virtual.habits import Habits, draw_traits
from hybridtwin.virtual.life import VirtualPerson, live
from hybridtwin.virtual.patients import load_patients

NIGHT_HOURS: Final = 10.0
"""How long the truth goes on after the records: until the next morning."""

_FIRST = (
    *("adult-04", "adolescent-07", "adult-09", "adolescent-04", "child-08", "adult-06"),
    *("adult-07", "adolescent-10", "adult-03", "child-06", "adolescent-02", "adult-10"),
)
# Positions in the clinic.
_STRONG_NIGHT_BASAL = {3: 1.6, 9: 1.6}
_OVERDOSED_TONIGHT = {1: 50, 4: 35, 7: 75}  # minutes before the end
_STALE_SENSOR = 6
_NO_BASAL = 8
_STALE_FOR = pd.Timedelta(hours=3)


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
    patients = load_patients()
    others = [name for name in patients.name if name not in _FIRST]
    order = [patients.name.index(name) for name in (*_FIRST, *others)]
    chosen = patients.take([order[person % len(order)] for person in range(count)])
    habits = Habits()
    traits = [
        draw_traits(np.random.default_rng([seed, person, 0]), habits) for person in range(count)
    ]
    for person, factor in _STRONG_NIGHT_BASAL.items():
        if person < count:
            traits[person] = replace(traits[person], night_factor=factor)
    for person, minutes in _OVERDOSED_TONIGHT.items():
        if person < count:
            overdosed = (end - pd.Timedelta(minutes=minutes),)
            traits[person] = replace(traits[person], overdoses_at=overdosed)
    start = end - pd.Timedelta(days=days)
    people = live(chosen, days, start, seed, habits, traits, hours_after=NIGHT_HOURS)
    if count > _STALE_SENSOR:
        people[_STALE_SENSOR] = _without_recent_readings(people[_STALE_SENSOR], end - _STALE_FOR)
    if count > _NO_BASAL:
        people[_NO_BASAL] = _without_basal(people[_NO_BASAL])
    return people


def _without_recent_readings(person: VirtualPerson, after: pd.Timestamp) -> VirtualPerson:
    glucose = person.record.glucose
    record = replace(person.record, glucose=glucose[glucose["time"] <= after])
    return replace(person, record=record)


def _without_basal(person: VirtualPerson) -> VirtualPerson:
    insulin = person.record.insulin
    record = replace(person.record, insulin=insulin[insulin["purpose"] != "basal"])
    return replace(person, record=record)
