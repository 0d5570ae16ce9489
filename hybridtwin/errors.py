"""Every error that hybridtwin raises on purpose.

    TwinError                     something cannot be done, and the message says why
    ├── RecordError               what is known of a person is impossible or inconsistent
    │   └── ImportFormatError     a file is not what its importer expects
    ├── PlanError                 a plan contradicts itself, the clock or physiology
    ├── HistoryError              the history cannot carry a forecast
    │   └── StaleHistoryError     the last reading is too old
    └── ModelError                a twin cannot be found or loaded

An error carries problems, each with *where*, *what* and *what to do*, so that the command line
and the service can show the same words.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where it is, what it is, and what to do about it."""

    where: str
    what: str
    advice: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}. {self.advice}"


class TwinError(Exception):
    """Base of all deliberate errors; `code` is stable and meant for programs."""

    code = "error"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    @classmethod
    def of(cls, where: str, what: str, advice: str) -> "TwinError":
        """An error with a single problem."""
        return cls([Problem(where, what, advice)])


class RecordError(TwinError):
    """What is known of a person is impossible or inconsistent."""

    code = "invalid-record"


class ImportFormatError(RecordError):
    """A file is not what its importer expects."""

    code = "invalid-file"


class PlanError(TwinError):
    """A plan contradicts itself, the clock or physiology."""

    code = "invalid-plan"


class HistoryError(TwinError):
    """The history cannot carry a forecast."""

    code = "insufficient-history"


class StaleHistoryError(HistoryError):
    """The last reading is too old."""

    code = "stale-history"


class ModelError(TwinError):
    """A twin cannot be found or loaded."""

    code = "model-unavailable"
