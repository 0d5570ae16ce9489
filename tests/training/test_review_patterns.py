import pytest

from hybridtwin.patterns.pattern import Pattern
from hybridtwin.virtual.drawn import draw_patients
from hybridtwin.virtual.plants import PlantedPerson, PlantKind, live_with_plants
from training.metrics import MEAN, ROW
from training.review_patterns import _START, PatternsProtocol, Searched, is_plant, rows, search

PROTOCOL = PatternsProtocol(people_per_plant=1, untouched=2, days=14, bootstrap_samples=50)


@pytest.fixture(scope="module")
def people() -> list[PlantedPerson]:
    kinds = [PlantKind.LATE_NIGHT_LOWS, None, None]
    return live_with_plants(draw_patients(3, 1), kinds, PROTOCOL.days, _START, 1)


def pattern(kind: str, part: str = "", size: float = 1.0) -> Pattern:
    return Pattern(kind=kind, part=part, status="found", size=size)


def test_the_plant_is_its_own_pattern_only(people: list[PlantedPerson]) -> None:
    assert is_plant(pattern("night lows", "late"), people[0])
    assert not is_plant(pattern("night lows", "early"), people[0])
    assert not is_plant(pattern("night lows", "late"), people[1])
    runner = PlantedPerson(people[0].person, PlantKind.AEROBIC_EXERCISE, "evening")
    assert is_plant(pattern("exercise", "aerobic, evening", -40), runner)
    assert not is_plant(pattern("exercise", "aerobic, evening", 40), runner)
    eater = PlantedPerson(people[0].person, PlantKind.MISSED_BOLUSES, "lunch")
    assert is_plant(pattern("late or missed boluses", "lunch"), eater)
    assert not is_plant(pattern("late or missed boluses", "dinner"), eater)


def test_rows_count_what_was_found_and_what_was_not(people: list[PlantedPerson]) -> None:
    lows, dawn = pattern("night lows", "late"), pattern("dawn phenomenon")
    table = rows(
        [Searched(people[0], [lows, dawn]), Searched(people[1], [dawn]), Searched(people[2], [])],
        PROTOCOL,
    )
    assert tuple(table.columns) == ROW
    means = table[(table["participant"] == MEAN) & (table["cohort"] == "virtual")]
    values = means.set_index("metric")["value"].to_dict()
    # Fourteen days are half a month: one pattern in them is two a month.
    assert values == {
        "found_late_night_lows": 1,
        "beside_it": 2,
        "false_per_month": 1,
        "false_per_month_dawn_phenomenon": 1,
    }


def test_only_what_is_found_counts(people: list[PlantedPerson]) -> None:
    searched = search(people[0], PROTOCOL.settings)
    assert all(each.status == "found" for each in searched.found)
    assert any(is_plant(each, people[0]) for each in searched.found)
