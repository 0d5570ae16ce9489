"""Finished lines of tonight's list in a file, so that a review broken off goes on from there."""

import json
from pathlib import Path

import pandas as pd

from hybridtwin.review.review import NightReview, NightRisk
from hybridtwin.review.settings import ReviewSettings


class Kept:
    """A file of one line for each reviewed patient, in JSON."""

    def __init__(self, path: Path, evening: pd.Timestamp, version: str, settings: ReviewSettings):
        """Lines of another evening, another population twin or other settings do not count.

        Args:
            path: The file; it need not exist.
            evening: From which the night is looked at.
            version: Of the population twin.
            settings: Of the review.
        """
        self.path = path
        self.about = [evening.isoformat(), version, settings.model_dump(mode="json")]

    def reviews(self) -> dict[str, NightReview]:
        """What is finished, by name; forecasts are not kept."""
        if not self.path.exists():
            return {}
        found = {}
        for line in self.path.read_text().splitlines():
            try:
                kept = json.loads(line)
            except json.JSONDecodeError:  # broken off while it was written
                continue
            if kept["about"] == self.about and "name" in kept:
                found[kept["name"]] = NightReview(NightRisk.model_validate(kept["risk"]))
        return found

    def add(self, name: str, review: NightReview) -> None:
        """Keep one more.

        Args:
            name: What tells it from all others, as a participant's name may not.
            review: Without its forecast.
        """
        risk = review.risk.model_dump(mode="json")
        line = json.dumps({"about": self.about, "name": name, "risk": risk})
        with self.path.open("a") as file:
            # What was broken off before stays a line by itself.
            file.write(f"\n{line}\n")
