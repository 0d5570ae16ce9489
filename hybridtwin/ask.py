"""What people ask for on the command line: whose history, from when, under which plan.

A plan is a JSON file or is typed, its events separated by semicolons:

    bolus DOSE [U] [KIND] WHEN            bolus 3 at 18:30
    basal DOSE [U] KIND WHEN              basal 14 glargine_u100 at 22:00
    basal RATE [U/h] for MINUTES min WHEN basal 0.4 for 90 min now
    carbs GRAMS [g] [OF WHAT] WHEN        carbs 40 at +15min
                                          carbs 15 liquid now
                                          carbs 60 fat 40 protein 30 at 19:00
    alcohol GRAMS [g] WHEN                alcohol 24 at 20:00
    exercise MINUTES min [HOW] WHEN       exercise 45 min vigorous at +1h
                                          exercise 15 min vigorous anaerobic at +1h
    glucagon MICROGRAMS [ug] WHEN         glucagon 150 ug now
    illness SEVERITY for MINUTES min WHEN illness 0.5 for 300 min now

WHEN is `now`, `at HH:MM` (the next such local time) or `at +N min` or `at +N h`; KIND is a name of
`InsulinKind`; OF WHAT is fat and then protein, each if known, and `liquid` for what is drunk; HOW
is light, moderate (if left out) or vigorous, and then aerobic (if left out), anaerobic or mixed;
`stress` is written as `illness` is, and SEVERITY is 0 to 1. `as usual` is the plan without events.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import pandas as pd
from pydantic import ValidationError

from hybridtwin import importers
from hybridtwin.errors import PlanError, Problem, RecordError, TwinError
from hybridtwin.event_tables import EVENT_TABLES
from hybridtwin.events import Activity, Condition, Dose, Glucagon, Meal
from hybridtwin.plan import Plan
from hybridtwin.record import Record
from hybridtwin.record_files import load_record, record_folders
from hybridtwin.validation import explain, place

Choice = TypeVar("Choice")
Parts = dict[str, Any]

AS_USUAL: Final = "as usual"
_NAME_LENGTH = 80
_NAMES_SHOWN = 12
_EXAMPLES = (
    "Write events such as 'bolus 3 at 18:30', 'carbs 40 at +15min', "
    "'basal 0.4 for 90 min now' or 'exercise 45 min at +1h', separated by ';', "
    "or name a JSON file"
)


def read_person(source: Path, participant: str | None) -> Record:
    """One person's record, from record folders or from files that an importer knows.

    Args:
        source: A record folder, a folder of them, or an export's file or folder.
        participant: Whose, where there are several.

    Raises:
        RecordError: There is no such person, or the choice is open.
    """
    if source.is_dir() and any(source.rglob("record.json")):
        homes = record_folders(source)
        home = _choose(source, {home.name: home for home in homes}, participant)
        return load_record(home)
    people = {record.profile.participant: record for record in importers.read(source)}
    return _choose(source, people, participant)


def _choose(source: Path, people: dict[str, Choice], participant: str | None) -> Choice:
    names = sorted(people)
    shown = ", ".join(names[:_NAMES_SHOWN])
    if len(names) > _NAMES_SHOWN:
        shown += f" and {len(names) - _NAMES_SHOWN} more"
    if participant is None and len(names) == 1:
        return people[names[0]]
    if participant is None:
        raise RecordError.of(
            str(source), f"holds {len(names)} people", f"Choose with --participant: {shown}."
        )
    if participant not in people:
        raise RecordError.of(
            str(source), f"holds no participant {participant!r}", f"There is: {shown}."
        )
    return people[participant]


def read_time(text: str, option: str) -> pd.Timestamp:
    """An instant from ISO 8601 with a zone.

    Raises:
        TwinError: It is none, or has no zone.
    """
    advice = "Write it with its zone, as in 2026-11-22T21:30+01:00."
    try:
        time = pd.Timestamp(text)
    except ValueError as error:
        raise TwinError.of(option, f"{text!r} is no time", advice) from error
    if pd.isna(time) or time.tzinfo is None:
        raise TwinError.of(option, f"{text!r} has no time zone", advice)
    return time.tz_convert("UTC")


def read_plan(text: str, now: pd.Timestamp, time_zone: str) -> Plan:
    """A plan from a JSON file's path, or as typed.

    Args:
        text: Either of them.
        now: From which `now` and `+N min` count.
        time_zone: In which `HH:MM` is meant.

    Raises:
        PlanError: The file or a part of the text is not a plan.
    """
    if text.endswith(".json") or Path(text).is_file():
        return _from_file(Path(text))
    return _from_text(text, now, time_zone)


def _from_file(path: Path) -> Plan:
    try:
        plan = Plan.model_validate_json(path.read_bytes())
    except OSError as error:
        raise PlanError.of(
            str(path), f"cannot be read ({error.strerror})", "Check the path."
        ) from error
    except ValidationError as error:
        raise PlanError(_problems(str(path), error)) from error
    named = "name" in plan.model_fields_set
    return plan if named else plan.model_copy(update={"name": path.stem[:_NAME_LENGTH]})


def _problems(where: str, error: ValidationError) -> list[Problem]:
    return [
        explain(entry, ": ".join(filter(None, [where, place(entry["loc"])])))
        for entry in error.errors()
    ]


_WHEN = r" (?:(?P<now>now)|at (?P<clock>\d{1,2}:\d{2})|at \+ ?(?P<after>\d+) ?(?P<unit>min|h))"
_NUMBER = r"\d+(?:\.\d+)?"
_AMOUNT = rf" (?P<amount>{_NUMBER})"
_NUMBERS = ("amount", "fat", "protein", "minutes")
_COMPOSITION = rf"(?: fat (?P<fat>{_NUMBER})(?: ?g)?)?(?: protein (?P<protein>{_NUMBER})(?: ?g)?)?"
_INTENSITY = r"(?: (?P<intensity>light|moderate|vigorous))?"
_EFFORT = r"(?: (?P<kind>aerobic|anaerobic|mixed))?"


def _bolus(said: Parts, time: pd.Timestamp) -> Parts:
    return {"insulin": Dose(time=time, kind=said["kind"] or "rapid", dose_u=said["amount"])}


def _pen_basal(said: Parts, time: pd.Timestamp) -> Parts:
    dose = Dose(time=time, kind=said["kind"], purpose="basal", dose_u=said["amount"])
    return {"insulin": dose}


def _pump_basal(said: Parts, time: pd.Timestamp) -> Parts:
    minutes = said["minutes"]
    dose_u = said["amount"] * minutes / 60
    return {"insulin": Dose(time=time, purpose="basal", dose_u=dose_u, duration_min=minutes)}


def _carbs(said: Parts, time: pd.Timestamp) -> Parts:
    meal = Meal(
        time=time,
        carbs_g=said["amount"],
        fat_g=said["fat"],
        protein_g=said["protein"],
        liquid=bool(said["liquid"]),
    )
    return {"meals": meal}


def _alcohol(said: Parts, time: pd.Timestamp) -> Parts:
    return {"meals": Meal(time=time, carbs_g=0, alcohol_g=said["amount"])}


def _exercise(said: Parts, time: pd.Timestamp) -> Parts:
    kind, intensity = said["kind"] or "aerobic", said["intensity"] or "moderate"
    activity = Activity(time=time, duration_min=said["amount"], kind=kind, intensity=intensity)
    return {"activity": activity}


def _glucagon(said: Parts, time: pd.Timestamp) -> Parts:
    return {"glucagon": Glucagon(time=time, dose_ug=said["amount"])}


def _condition(said: Parts, time: pd.Timestamp) -> Parts:
    condition = Condition(
        time=time, kind=said["kind"], severity=said["amount"], duration_min=said["minutes"]
    )
    return {"conditions": condition}


_FORMS: dict[re.Pattern[str], Callable[[Parts, pd.Timestamp], Parts]] = {
    re.compile(form + _WHEN): build
    for form, build in (
        (rf"bolus{_AMOUNT}(?: ?u)?(?: (?!now|at|u )(?P<kind>\w+))?", _bolus),
        (rf"basal{_AMOUNT}(?: ?u)? (?!now|at|u )(?P<kind>\w+)", _pen_basal),
        (rf"basal{_AMOUNT}(?: ?u/h)? for (?P<minutes>\d+) ?min", _pump_basal),
        (rf"carbs{_AMOUNT}(?: ?g)?{_COMPOSITION}(?: (?P<liquid>liquid))?", _carbs),
        (rf"alcohol{_AMOUNT}(?: ?g)?", _alcohol),
        (rf"exercise{_AMOUNT} ?min{_INTENSITY}{_EFFORT}", _exercise),
        (rf"glucagon{_AMOUNT}(?: ?ug)?", _glucagon),
        (rf"(?P<kind>illness|stress){_AMOUNT} for (?P<minutes>\d+) ?min", _condition),
    )
}


def _from_text(text: str, now: pd.Timestamp, time_zone: str) -> Plan:
    events: dict[str, list[object]] = {table: [] for table in EVENT_TABLES}
    name = " ".join(text.split())
    parts = [] if name.lower() == AS_USUAL else name.lower().rstrip("; ").split(";")
    for part in parts:
        for table, event in _event(name, part.strip(), now, time_zone).items():
            events[table].append(event)
    shown = name if len(name) <= _NAME_LENGTH else name[: _NAME_LENGTH - 1] + "…"
    return Plan.model_validate({"name": shown, **events})


def _event(plan: str, part: str, now: pd.Timestamp, time_zone: str) -> Parts:
    for form, build in _FORMS.items():
        said = form.fullmatch(part)
        if said:
            try:
                read = said.groupdict()
                return build(_with_numbers(read), _instant(plan, read, now, time_zone))
            except ValidationError as error:
                raise PlanError(_problems(f"plan {plan!r}", error)) from error
    raise PlanError.of(f"plan {plan!r}", f"{part!r} is not understood", _EXAMPLES + ".")


def _with_numbers(said: Parts) -> Parts:
    """What was typed as a number is one."""
    typed = {name: float(said[name]) for name in _NUMBERS if said.get(name)}
    return said | {name: int(x) if x.is_integer() else x for name, x in typed.items()}


def _instant(plan: str, said: Parts, now: pd.Timestamp, time_zone: str) -> pd.Timestamp:
    if said["now"]:
        return now
    if said["after"]:
        return now + pd.Timedelta(int(said["after"]), said["unit"])
    hour, minute = (int(number) for number in said["clock"].split(":"))
    if hour > 23 or minute > 59:
        raise PlanError.of(
            f"plan {plan!r}", f"{said['clock']} is no time of day", "Write 00:00 to 23:59."
        )
    today = now.tz_convert(time_zone).tz_localize(None).normalize()
    clock = pd.Timedelta(hours=hour, minutes=minute)
    times = [
        day.tz_localize(time_zone, ambiguous=True, nonexistent="shift_forward")
        for day in (today + clock, today + pd.DateOffset(days=1) + clock)
    ]
    return next((time for time in times if time >= now), times[-1])
