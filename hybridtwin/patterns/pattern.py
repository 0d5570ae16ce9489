"""Pattern: something that keeps happening to a person, with its evidence."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Status = Literal["found", "not found", "unknown"]


class Pattern(BaseModel):
    """What was looked for between two visits, and what came of it.

    `unknown` means that the record cannot say, never that there is nothing.
    """

    model_config = ConfigDict(frozen=True)

    kind: str = Field(description="What it is, such as `night lows`.")
    part: str = Field("", description="Which of several: a meal, a half of the night; else empty.")
    status: Status = "not found"
    reason: str = Field("", description="Why it is unknown.")
    count: int | None = Field(None, description="How often it happened, of `looked_at`.")
    looked_at: int | None = Field(None, description="How many times it could have happened.")
    counted: str = Field("", description="What is counted: nights, meals, lows, days, bouts.")
    times: tuple[datetime, ...] = Field((), description="When it happened, local.")
    since: datetime | None = Field(None, description="From when on, where it began; local.")
    size: float | None = Field(None, description="How strong it is, in `unit`.")
    size_low: float | None = Field(None, description="Lower end of the size's 95 % interval.")
    size_high: float | None = Field(None, description="Upper end of the size's 95 % interval.")
    unit: str = Field("", description="Of the size.")
    against: float | None = Field(None, description="The size that would not be worth saying.")
    details: dict[str, float] = Field({}, description="Further counts by name.")
    chance: float | None = Field(
        None, ge=0, le=1, description="Probability of as much or more where there is no pattern."
    )
    chance_of_any: float | None = Field(
        None,
        ge=0,
        le=1,
        description="The same where all that was looked for in this person is taken into account "
        "(Holm 1979).",
    )


def unknown(kind: str, reason: str, part: str = "") -> Pattern:
    """A pattern of which the record cannot say whether it is there."""
    return Pattern(kind=kind, part=part, status="unknown", reason=reason)
