"""A review that was broken off goes on where it was."""

from pathlib import Path

import pandas as pd

from hybridtwin.forecast import EventProbabilities
from hybridtwin.review.kept import Kept
from hybridtwin.review.review import NightReview, NightRisk
from hybridtwin.review.settings import ReviewSettings

EVENING = pd.Timestamp("2026-03-01T21:30+01:00")


def _review(name: str) -> NightReview:
    events = EventProbabilities(below_70=0.2, below_54=0.1, above_180=0.5, above_250=0.1)
    return NightReview(NightRisk(participant=name, status="forecast", events=events))


def test_what_is_kept_is_read_again_and_a_broken_line_is_not(tmp_path: Path) -> None:
    path = tmp_path / "kept.jsonl"
    kept = Kept(path, EVENING, "v1", ReviewSettings())
    assert kept.reviews() == {}
    kept.add("north/ann", _review("ann"))
    with path.open("a") as file:
        file.write('{"about": [')  # killed here
    kept.add("south/ann", _review("ann"))
    assert kept.reviews() == {"north/ann": _review("ann"), "south/ann": _review("ann")}


def test_of_another_evening_twin_or_settings_nothing_is_kept(tmp_path: Path) -> None:
    path, settings = tmp_path / "kept.jsonl", ReviewSettings()
    Kept(path, EVENING, "v1", settings).add("ann", _review("ann"))
    later = EVENING + pd.Timedelta(days=1)
    for other in (
        Kept(path, later, "v1", settings),
        Kept(path, EVENING, "v2", settings),
        Kept(path, EVENING, "v1", settings.model_copy(update={"prevents_at_least": 0.5})),
    ):
        assert other.reviews() == {}
