"""The time by which the service lives: the machine's, or a virtual clinic's.

What is about patients asks here: how old a reading is, whether it is evening, when something was
issued. What is about safety does not: sessions, tokens, keys, shares, the audit log and jobs go by
the machine's clock alone.

No setting changes the time. A process that shows virtual people says so in its own code
(`serving.demo.service`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


class Pace(BaseModel):
    """How a virtual clinic's time goes on."""

    model_config = ConfigDict(frozen=True)

    origin: AwareDatetime = Field(description="A moment of theirs.")
    begun: AwareDatetime | None = Field(
        None, description="When it was that, by the machine's clock; it is that still if absent."
    )
    speed: float = Field(1.0, gt=0, description="How much of theirs passes in one of ours.")

    def at(self, time: datetime) -> datetime:
        """Their time at one of the machine's."""
        return self.origin + self.speed * (time - (self.begun or time))


_pace: Pace | None = None


def follow(pace: Pace | None) -> None:
    """Live by a virtual clinic's time from now on, in this process; None for the machine's."""
    global _pace
    _pace = pace


@contextmanager
def standing_at(moment: datetime) -> Iterator[None]:
    """Do something as of another moment, in this process."""
    before = _pace
    follow(Pace(origin=moment))
    try:
        yield
    finally:
        follow(before)


def now() -> datetime:
    """The present, UTC."""
    machine = datetime.now(UTC)
    return _pace.at(machine).astimezone(UTC) if _pace else machine


def wait_s(passing: timedelta) -> float:
    """How many seconds of the machine's pass while so much passes here."""
    return passing.total_seconds() / (_pace.speed if _pace else 1.0)
