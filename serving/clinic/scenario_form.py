"""What is typed into the scenario bench: a question to the twin, and what is wrong with it.

Each side, what happens as usual and what if, has the same fields: two meals, two boluses, a change
of the pump's basal and exercise. A field's name begins with its side's: `usual_meal1_g`. What is
left empty in what if is as usual; 0 takes a meal, a bolus or exercise away.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal, get_args
from zoneinfo import ZoneInfo

from hybridtwin.events import Activity, Dose, Meal
from hybridtwin.plan import Plan
from hybridtwin.units import BOLUS_MAX_U, CARBS_MAX_G

Side = Literal["usual", "if"]
SIDES: Final[tuple[Side, ...]] = get_args(Side)
NAMES: Final[Mapping[Side, str]] = {"usual": "as usual", "if": "what if"}
"""What the plans of the sides are called."""
NUMBERS: Final = (1, 2)
"""Of meals, and of boluses."""
HORIZONS_H: Final = (2, 4, 6, 8, 12)
HORIZON_H: Final = 6
"""Where nothing is typed."""
MODES: Final = ("open", "complete")
SPEEDS: Final = ("usual", "fast", "slow")
INTENSITIES: Final = ("light", "moderate", "vigorous")
KINDS: Final = ("aerobic", "anaerobic", "mixed")
PERCENT_MAX: Final = 200
EXERCISE_MAX_MIN: Final = 300
STEP_MIN: Final = 15
"""Between two times that are offered."""
NOW: Final = "now"
_AMOUNT: Final = "_(g|u|percent|min)"
_SLOW_INDEX: Final = 40.0
"""A low glycaemic index is 55 or less (ISO 26642); pasta and lentils have about this."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with a field.

    Attributes:
        kind: Which text says it: number, range, time, order, choice or no pump.
        low: The least that is taken, of a range.
        high: And the most.
    """

    kind: str
    low: float = 0
    high: float = 0


@dataclass(frozen=True)
class Basal:
    """A change of the pump's basal: to so many percent of the usual rate, from when to when."""

    percent: float
    begin: datetime
    end: datetime


@dataclass(frozen=True)
class Doings:
    """What one side says will be done."""

    meals: list[Meal]
    boluses: list[Dose]
    basal: Basal | None
    activity: list[Activity]

    def plan(self, name: str, mode: str, usual_basal_u_h: float) -> Plan:
        """The same as a plan, once the usual rate of the pump is known."""
        insulin = list(self.boluses)
        if self.basal:
            hours = (self.basal.end - self.basal.begin) / timedelta(hours=1)
            dose = Dose(
                time=self.basal.begin,
                purpose="basal",
                dose_u=usual_basal_u_h * hours * self.basal.percent / 100,
                duration_min=60 * hours,
            )
            insulin.append(dose)
        said = {"name": name, "mode": mode, "insulin": insulin}
        return Plan.model_validate(said | {"meals": self.meals, "activity": self.activity})


@dataclass(frozen=True)
class Question:
    """Two futures, of which the second is compared with the first."""

    sides: Mapping[Side, Doings]
    mode: str
    horizon_min: int


@dataclass(frozen=True)
class Form:
    """What was typed, as it was.

    Attributes:
        typed: By field; fields that the bench does not know are left out.
        now: The present, from which times count.
        zone: In which they are meant.
    """

    typed: Mapping[str, str]
    now: datetime
    zone: str

    def value(self, name: str, otherwise: object = "") -> str:
        """What was typed into a field."""
        return self.typed.get(name, "").strip() or str(otherwise)

    def as_usual(self, name: str) -> str:
        """What the other side says, where what if says nothing; empty for other fields."""
        return self.value(_usual(name)) if name.startswith("if_") else ""

    def says(self, side: Side) -> bool:
        """Whether an amount was typed into a side; times alone say nothing."""
        amounts = (name for name in self.typed if re.fullmatch(f"{side}_.*{_AMOUNT}", name))
        return any(self.value(name) for name in amounts)

    def times(self, name: str) -> list[tuple[str, datetime | None]]:
        """The times that a field offers: the quarter hours ahead, and what was typed."""
        first = self.now + timedelta(minutes=STEP_MIN - self.now.minute % STEP_MIN)
        first = first.replace(second=0, microsecond=0)
        count = 60 * max(HORIZONS_H) // STEP_MIN
        ahead = [first + timedelta(minutes=STEP_MIN * number) for number in range(count)]
        found = {f"{time.astimezone(ZoneInfo(self.zone)):%H:%M}": time for time in ahead}
        typed = self.value(name, NOW)
        offered: dict[str, datetime | None] = {NOW: None, **found}
        if typed not in offered and (time := self._ahead(typed)):
            offered[typed] = time
        return list(offered.items())

    def read(self) -> tuple[Question | None, dict[str, Fault]]:
        """The question, or by field what is wrong."""
        reading = _Reading(self)
        horizon_h = int(
            reading.choice("horizon_h", [str(hours) for hours in HORIZONS_H], HORIZON_H)
        )
        reading.end = self.now + timedelta(hours=horizon_h)
        mode = reading.choice("mode", MODES, MODES[0])
        sides = {side: reading.side(side) for side in SIDES}
        question = None if reading.faults else Question(sides, mode, 60 * horizon_h)
        return question, reading.faults

    def _ahead(self, clock: str) -> datetime | None:
        """The next such local time; None for what is no time."""
        try:
            time = datetime.strptime(clock, "%H:%M")
        except ValueError:
            return None
        local = self.now.astimezone(ZoneInfo(self.zone)).replace(second=0, microsecond=0)
        found = local.replace(hour=time.hour, minute=time.minute)
        return found if found >= local else found + timedelta(days=1)

    def time(self, name: str) -> datetime | None:
        """When a field means; None for what is no time."""
        typed = self.value(name, NOW)
        found = self.now if typed == NOW else self._ahead(typed)
        return max(found, self.now) if found else None


@dataclass
class _Reading:
    """Reads field after field, and remembers what is wrong."""

    form: Form
    faults: dict[str, Fault] = field(default_factory=dict)
    end: datetime = datetime.max

    def number(self, name: str, low: float, high: float) -> float | None:
        """A number; None where there is none, or a wrong one."""
        typed = self.form.value(name).replace(",", ".")
        if not typed:
            return None
        try:
            found = float(typed)
        except ValueError:
            self.faults[name] = Fault("number")
            return None
        if not low <= found <= high:
            self.faults[name] = Fault("range", low, high)
            return None
        return found

    def choice(self, name: str, among: Any, otherwise: object) -> str:
        """One of several; the first where a wrong one was typed."""
        typed = self.form.value(name, otherwise)
        if typed in among:
            return typed
        self.faults[name] = Fault("choice")
        return str(otherwise)

    def time(self, name: str) -> datetime:
        """A time before the end."""
        found = self.form.time(name)
        if found is None or found > self.end - timedelta(minutes=STEP_MIN):
            self.faults[name] = Fault("time")
            return self.form.now
        return found

    def side(self, side: Side) -> Doings:
        """What one side says."""
        return Doings(
            meals=[meal for number in NUMBERS for meal in self._meal(f"{side}_meal{number}")],
            boluses=[dose for number in NUMBERS for dose in self._bolus(f"{side}_bolus{number}")],
            basal=self._basal(f"{side}_basal"),
            activity=self._exercise(f"{side}_exercise"),
        )

    def _where(self, name: str, amount: str) -> str:
        """Which fields say it: those of as usual, where what if says nothing."""
        return name if self.form.value(f"{name}_{amount}") else _usual(name)

    def _meal(self, name: str) -> list[Meal]:
        name = self._where(name, "g")
        carbs_g = self.number(f"{name}_g", 0, CARBS_MAX_G)
        if not carbs_g:
            return []
        time = self.time(f"{name}_at")
        speed = self.choice(f"{name}_speed", SPEEDS, SPEEDS[0])
        index = _SLOW_INDEX if speed == "slow" else None
        liquid = speed == "fast"
        return [Meal(time=time, carbs_g=carbs_g, liquid=liquid, glycaemic_index=index)]

    def _bolus(self, name: str) -> list[Dose]:
        name = self._where(name, "u")
        dose_u = self.number(f"{name}_u", 0, BOLUS_MAX_U)
        return [Dose(time=self.time(f"{name}_at"), dose_u=dose_u)] if dose_u else []

    def _basal(self, name: str) -> Basal | None:
        name = self._where(name, "percent")
        percent = self.number(f"{name}_percent", 0, PERCENT_MAX)
        if percent is None:
            return None
        begin = self.time(f"{name}_from")
        end = self.form.time(f"{name}_to") if self.form.value(f"{name}_to") else self.end
        if end is None or end <= begin:
            self.faults[f"{name}_to"] = Fault("time" if end is None else "order")
            return None
        return Basal(percent, begin, min(end, self.end))

    def _exercise(self, name: str) -> list[Activity]:
        name = self._where(name, "min")
        minutes = self.number(f"{name}_min", 0, EXERCISE_MAX_MIN)
        if not minutes:
            return []
        said = {
            "time": self.time(f"{name}_at"),
            "duration_min": minutes,
            "kind": self.choice(f"{name}_kind", KINDS, KINDS[0]),
            "intensity": self.choice(f"{name}_intensity", INTENSITIES, INTENSITIES[1]),
        }
        return [Activity.model_validate(said)]


def fields() -> list[str]:
    """The names of all fields."""
    own = [f"meal{number}_{part}" for number in NUMBERS for part in ("g", "at", "speed")]
    own += [f"bolus{number}_{part}" for number in NUMBERS for part in ("u", "at")]
    own += [f"basal_{part}" for part in ("percent", "from", "to")]
    own += [f"exercise_{part}" for part in ("min", "at", "kind", "intensity")]
    return ["horizon_h", "mode", *(f"{side}_{name}" for side in SIDES for name in own)]


def _usual(name: str) -> str:
    return re.sub("^if_", "usual_", name)
