"""What the service is asked, and how it says that something is wrong."""

from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from hybridtwin.events import Activity, Condition, Dose, Glucagon, Meal, Number, Profile, Whole
from hybridtwin.plan import HORIZON_MAX_MIN, Plan
from hybridtwin.units import STEP_MIN, GlucoseUnit

MAX_DAYS: Final = 30
MAX_READINGS: Final = MAX_DAYS * 24 * 60 // STEP_MIN
MAX_DOSES: Final = 2 * MAX_READINGS  # a closed loop may set a basal rate and a bolus each step
MAX_MEALS: Final = 100 * MAX_DAYS
MAX_RARE: Final = 10 * MAX_DAYS
MAX_PLANS: Final = 8
MAX_BODY_BYTES: Final = 8 * 2**20
MAX_IMPORT_BYTES: Final = 16 * 2**20
MAX_FORM_BYTES: Final = 64 * 2**10
MAX_UNPACKED_BYTES: Final = 64 * 2**20


def _as_words(time: Any) -> Any:
    if isinstance(time, int | float):
        raise ValueError("is a number; write ISO 8601 with a zone")
    return time


ZonedTime = Annotated[AwareDatetime, BeforeValidator(_as_words)]
"""A time in words: of a number nobody knows whether it counts seconds or milliseconds."""


def is_believable(time: datetime) -> bool:
    """Whether a time is of this century; others come from clocks that were never set."""
    return 2000 <= time.year < 2100


class Request(BaseModel):
    """A part of a question. Fields not listed are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Units(Request):
    """The units of the question, and so of the answer. Insulin is always in U, food in g."""

    glucose: GlucoseUnit = Field(
        description="Unit of every glucose value in the question and in the answer."
    )


class Reading(Request):
    """One glucose value of a sensor."""

    time: ZonedTime = Field(description="When it was measured: ISO 8601 with a zone.")
    value: Number = Field(
        description="Glucose in the stated unit: 20 to 600 mg/dL, or 1.2 to 33.3 mmol/L."
    )


class History(Request):
    """What is known of the person, and the moment at which it is asked.

    A log that is absent or null is *unknown*: the twin takes it as not recorded, and the answer's
    trust says so. A list, even an empty one, says that the log is complete over the readings'
    span: what it does not mention did not happen. Basal insulin is known where doses with the
    purpose basal cover the time. Glucagon and conditions that are absent did not happen.
    """

    units: Units = Field(description="The units; they are always stated, never guessed.")
    profile: Profile = Field(default_factory=Profile, description="Who the person is.")
    glucose: list[Reading] = Field(
        max_length=MAX_READINGS,
        description=f"Sensor readings in order of time: at least 3 h, better 2 days, at most "
        f"{MAX_DAYS} days ({MAX_READINGS} rows). The last is at most 60 minutes old.",
    )
    insulin: list[Dose] | None = Field(
        None,
        max_length=MAX_DOSES,
        description="Doses given, in order of time. Null or absent: unknown. []: none was given.",
    )
    meals: list[Meal] | None = Field(
        None,
        max_length=MAX_MEALS,
        description="Meals eaten, in order of time. Null or absent: unknown. []: none was eaten.",
    )
    activity: list[Activity] | None = Field(
        None,
        max_length=MAX_READINGS,
        description="Movement and exercise, in order of time. Null or absent: unknown.",
    )
    glucagon: list[Glucagon] | None = Field(
        None,
        max_length=MAX_RARE,
        description="Glucagon given, in order of time. Null or absent: none was given.",
    )
    conditions: list[Condition] | None = Field(
        None,
        max_length=MAX_RARE,
        description="Illness, stress, short sleep, luteal phases and site failures, in order of "
        "their begin; what still lasts goes on into the forecast. Null or absent: there was none.",
    )
    now: ZonedTime | None = Field(
        None, description="The present: ISO 8601 with a zone. Absent: the server's clock."
    )
    horizon_min: Whole = Field(
        240,
        ge=STEP_MIN,
        le=HORIZON_MAX_MIN,
        description="How far to look ahead of the last reading, in minutes.",
    )


class ForecastRequest(History):
    """What will happen?"""

    plan: Plan = Field(
        default_factory=Plan, description="What will be done from now on; as usual if absent."
    )


class ScenarioRequest(History):
    """What would happen if? Every later plan is compared with the first."""

    plans: list[Plan] = Field(
        min_length=2, max_length=MAX_PLANS, description="Two to eight plans with different names."
    )


class ModelReport(BaseModel):
    """Which twin answers."""

    name: str = Field(description="population, or whose twin it is.")
    version: str = Field(description="Which training run it comes from.")
    participants: int | None = Field(
        ge=1,
        description="From how many people's recordings it learnt; null where it is not stated.",
    )


class ProblemItem(BaseModel):
    """One thing that is wrong."""

    where: str = Field(description="The place in the request, such as glucose[3].value.")
    what: str = Field(description="What is wrong there.")
    advice: str = Field(description="What to do about it.")


class ErrorReport(BaseModel):
    """Problem details (RFC 9457): the one shape of every error."""

    type: str = Field(description="A URN of the kind of error.")
    title: str = Field(description="The kind of error in words.")
    status: Annotated[int, Field(ge=400, le=599, description="The HTTP status.")]
    detail: str = Field(description="All problems in words.")
    code: str = Field(description="The kind of error for programs; stable.")
    problems: list[ProblemItem] = Field(description="Each thing that is wrong.")
