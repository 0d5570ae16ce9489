"""What can happen to a person, one event at a time, and who they are.

These models are the single source of fields, units and limits: Record's tables, Plan and the
service's requests are all derived from them.
"""

import functools
from enum import StrEnum
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, Strict, model_validator
from pydantic.functional_validators import AfterValidator

from hybridtwin.units import (
    ALCOHOL_MAX_G,
    BASAL_RATE_MAX_U_H,
    BOLUS_MAX_U,
    CARBS_MAX_G,
    DOSE_MAX_U,
    GLUCAGON_MAX_UG,
    GLUCOSE_MAX_MG_DL,
    GLUCOSE_MIN_MG_DL,
)

MINUTES_PER_DAY = 24 * 60
CONDITION_MAX_MIN = 60 * MINUTES_PER_DAY


class InsulinKind(StrEnum):
    """Insulins by name; `rapid` and `long_acting` where only the class is known."""

    RAPID = "rapid"
    FASTER_ASPART = "faster_aspart"
    ULTRA_RAPID_LISPRO = "ultra_rapid_lispro"
    ASPART = "aspart"
    LISPRO = "lispro"
    GLULISINE = "glulisine"
    REGULAR = "regular"
    NPH = "nph"
    LONG_ACTING = "long_acting"
    DETEMIR = "detemir"
    GLARGINE_U100 = "glargine_u100"
    GLARGINE_U300 = "glargine_u300"
    DEGLUDEC = "degludec"

    @property
    def acts_long(self) -> bool:
        """Whether the kind is a basal insulin, absorbed over most of a day."""
        return self in _LONG_ACTING


STATED_EXERTION = {"light": 0.25, "moderate": 0.5, "vigorous": 0.8}
"""Exertion, 0 to 1, of an exercise of stated intensity."""

_LONG_ACTING = frozenset(
    {
        InsulinKind.NPH,
        InsulinKind.LONG_ACTING,
        InsulinKind.DETEMIR,
        InsulinKind.GLARGINE_U100,
        InsulinKind.GLARGINE_U300,
        InsulinKind.DEGLUDEC,
    }
)


# Nothing stands for something else: true is not 1 U, and "5" is a word.
Number = Annotated[float, Strict()]
Whole = Annotated[int, Strict()]
Flag = Annotated[bool, Strict()]


class Event(BaseModel):
    """Something with a time. Times carry a zone; fields not listed are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    time: AwareDatetime = Field(description="When it happened or begins: ISO 8601 with a zone.")


class GlucoseReading(Event):
    """One glucose value."""

    mg_dl: Number = Field(
        ge=GLUCOSE_MIN_MG_DL, le=GLUCOSE_MAX_MG_DL, description="Glucose in mg/dL."
    )
    source: Literal["cgm", "fingerstick"] = Field("cgm", description="What measured it.")
    interpolated: Flag = Field(
        False, description="True where the value was filled in between two readings."
    )


class Dose(Event):
    """Insulin: at once (duration 0) or evenly over a duration (pump basal, extended bolus)."""

    kind: InsulinKind = Field(InsulinKind.RAPID, description="Which insulin.")
    purpose: Literal["bolus", "basal"] = Field(
        "bolus", description="Bolus (meal or correction) or basal (pump rate or long-acting)."
    )
    dose_u: Number = Field(
        ge=0, le=DOSE_MAX_U, description="Insulin in U, over the whole duration."
    )
    duration_min: Number = Field(
        0, ge=0, le=MINUTES_PER_DAY, description="Minutes over which it is given; 0 is at once."
    )
    automatic: Flag = Field(False, description="True where a closed loop decided it.")

    @model_validator(mode="after")
    def _within_what_devices_give(self) -> "Dose":
        if self.purpose == "bolus" and self.dose_u > BOLUS_MAX_U:
            raise ValueError(f"a bolus above {BOLUS_MAX_U:g} U is more than pens and pumps give")
        if self.purpose == "basal" and not self.kind.acts_long:
            if self.duration_min == 0:
                raise ValueError("a basal dose of rapid insulin needs a duration_min above 0")
            if self.rate_u_h > BASAL_RATE_MAX_U_H:
                raise ValueError(f"the basal rate is above {BASAL_RATE_MAX_U_H:g} U/h: is it mU/h?")
        return self

    @property
    def rate_u_h(self) -> float:
        """U/h while it is given; 0 for a dose at once."""
        return 60 * self.dose_u / self.duration_min if self.duration_min else 0.0


class Meal(Event):
    """Something eaten or drunk."""

    carbs_g: Number = Field(ge=0, le=CARBS_MAX_G, description="Carbohydrate in g.")
    fat_g: Number | None = Field(None, ge=0, le=CARBS_MAX_G, description="Fat in g.")
    protein_g: Number | None = Field(None, ge=0, le=CARBS_MAX_G, description="Protein in g.")
    fibre_g: Number | None = Field(None, ge=0, le=CARBS_MAX_G, description="Fibre in g.")
    glycaemic_index: Number | None = Field(
        None, ge=0, le=150, description="Glycaemic index, glucose = 100."
    )
    alcohol_g: Number | None = Field(
        None, ge=0, le=ALCOHOL_MAX_G, description="Alcohol in g of ethanol; a beer holds about 15."
    )
    liquid: Flag = Field(
        False,
        description="True where it is drunk, or chewed glucose: nothing holds it back, as rescue "
        "carbohydrate.",
    )


class Glucagon(Event):
    """Glucagon under the skin."""

    dose_ug: Number = Field(
        ge=0,
        le=GLUCAGON_MAX_UG,
        description="Glucagon in micrograms: a mini-dose is 100 to 300, a rescue kit 1000.",
    )


class Activity(Event):
    """Movement and vitals over a duration, measured or stated."""

    duration_min: Number = Field(5, gt=0, le=MINUTES_PER_DAY, description="Minutes that it covers.")
    heart_rate_bpm: Number | None = Field(
        None, ge=25, le=250, description="Mean heart rate in beats per minute."
    )
    steps: Number | None = Field(None, ge=0, le=30_000, description="Steps in the whole duration.")
    energy_kcal: Number | None = Field(
        None, ge=0, le=10_000, description="Energy spent in kcal in the whole duration."
    )
    kind: Literal["aerobic", "anaerobic", "mixed"] | None = Field(
        None, description="Kind of exercise, if it was exercise."
    )
    intensity: Literal["light", "moderate", "vigorous"] | None = Field(
        None, description="Stated intensity of the exercise."
    )
    asleep: Flag | None = Field(None, description="Whether the person slept.")


class Condition(Event):
    """A state that changes for hours or days what insulin does, or how much of it arrives."""

    kind: Literal["illness", "stress", "short sleep", "luteal phase", "site failure"] = Field(
        description="What it is; a site failure is a pump's, whose insulin does not all arrive."
    )
    duration_min: Number = Field(
        gt=0, le=CONDITION_MAX_MIN, description="Minutes that it lasts, at most 60 days."
    )
    severity: Number = Field(
        1.0,
        ge=0,
        le=1,
        description="From 0, not noticeable, to 1, severe; of a site failure, the share of the "
        "pump's insulin that does not arrive.",
    )


@functools.cache
def _zones() -> set[str]:
    return available_timezones()


def _known_zone(name: str) -> str:
    if name not in _zones():
        raise ValueError("unknown time zone: use an IANA name such as Europe/Madrid")
    return name


TimeZone = Annotated[str, AfterValidator(_known_zone)]
Medication = Literal[
    "metformin", "glp1_agonist", "sglt2_inhibitor", "glucocorticoid", "beta_blocker"
]


class Profile(BaseModel):
    """Who the person is, as far as it is known."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    participant: str = Field(
        "me", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="A pseudonym; no real name."
    )
    time_zone: TimeZone = Field("UTC", description="IANA time zone in which the person lives.")
    diabetes_type: Literal["type 1", "type 2", "other"] | None = Field(
        "type 1", description="Type of diabetes."
    )
    therapy: Literal["pump", "closed loop", "injections"] | None = Field(
        None, description="How insulin is given."
    )
    age_years: Number | None = Field(None, ge=0, le=120, description="Age in years.")
    sex: Literal["female", "male", "other"] | None = Field(None, description="Sex.")
    weight_kg: Number | None = Field(None, ge=2, le=350, description="Body weight in kg.")
    hba1c_percent: Number | None = Field(None, ge=3, le=20, description="Last HbA1c in % (NGSP).")
    sensor: str | None = Field(None, max_length=80, description="Glucose sensor's name.")
    diabetes_years: Number | None = Field(
        None, ge=0, le=100, description="Years since the diagnosis of diabetes."
    )
    egfr_ml_min: Number | None = Field(
        None,
        ge=1,
        le=200,
        description="Kidney function: estimated filtration in mL/min per 1.73 m2.",
    )
    pregnancy_week: Whole | None = Field(
        None, ge=1, le=42, description="Week of pregnancy; absent where there is none."
    )
    medications: tuple[Medication, ...] = Field(
        (), max_length=20, description="Medicines besides insulin that are taken regularly."
    )
    features: dict[str, Annotated[Number, Field(ge=-5, le=5)]] = Field(
        default_factory=dict,
        max_length=100,
        description="Further scores by name, genetic or of the microbiome for example, in standard "
        "deviations from -5 to 5.",
    )

    @property
    def zone(self) -> ZoneInfo:
        """The time zone as an object."""
        return ZoneInfo(self.time_zone)
