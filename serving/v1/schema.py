"""What the routes of stored patients are asked, and what they answer."""

import uuid
from datetime import datetime
from typing import Annotated, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from hybridtwin.assimilation.unlogged import Unlogged
from hybridtwin.events import Activity, Condition, Dose, Glucagon, Meal, Profile, Whole
from hybridtwin.forecast import ForecastReport
from hybridtwin.plan import HORIZON_MAX_MIN, Plan
from hybridtwin.units import STEP_MIN, GlucoseUnit
from serving.access.caller import Role
from serving.access.relations import Relation
from serving.schema import (
    MAX_PLANS,
    ProblemItem,
    Request,
    Units,
    ZonedTime,
    is_believable,
)
from serving.store.consents import Purpose
from serving.store.shares import Scope, State


class Answer(BaseModel):
    """What is answered."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("holds characters that cannot be printed")
    return text


def _believable(time: datetime) -> datetime:
    if not is_believable(time):
        raise ValueError("lies in another century")
    return time


Kind = Literal["glucose", "insulin", "meals", "activity", "glucagon", "conditions"]
Clinic = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Words = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable)]
Version = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Subject = Annotated[str, Field(min_length=1, max_length=512), AfterValidator(_printable)]
Time = Annotated[ZonedTime, AfterValidator(_believable)]


class PatientChange(Request):
    """What is known of a person; it takes the place of what was known."""

    name: Words | None = Field(None, description="As people call them; it is kept sealed.")
    profile: Profile = Field(default_factory=Profile, description="What the twin needs to know.")


class PatientRequest(PatientChange):
    """A person to be entered."""

    id: uuid.UUID | None = Field(
        None, description="Your own identifier, if your token names one; else one is made."
    )
    clinic: Clinic | None = Field(None, description="To which they belong, if to any.")
    consents: dict[Purpose, Version] = Field(
        {},
        description="To what they agreed, by which version of its text; whoever enters them "
        "vouches for it.",
    )


class PatientReport(Answer):
    """A person as the store knows them."""

    id: uuid.UUID = Field(description="The patient's identifier; random.")
    clinic: str | None = Field(description="To which they belong, if to any.")
    name: str | None = Field(description="As people call them.")
    profile: Profile = Field(description="What the twin needs to know.")
    created: datetime = Field(description="When they were entered.")
    version: int = Field(ge=1, description="Counts changes; it is the ETag too.")


class PatientTies(Answer):
    """Somebody to whom the caller is tied."""

    id: uuid.UUID = Field(description="The patient's identifier.")
    relations: list[Relation] = Field(description="What the caller is to them.")


class PatientList(Answer):
    """A page of patients, in order of their identifiers."""

    patients: list[PatientTies] = Field(description="Everybody to whom the caller is tied.")
    next: uuid.UUID | None = Field(description="`after` of the next page; null on the last one.")


class OutcomeReport(Answer):
    """What became of a row."""

    where: str = Field(description="Its place in the batch, such as meals[3].")
    outcome: Literal["accepted", "known", "corrected", "refused"] = Field(
        description="known: it was there, and nothing changed. corrected: it replaces another "
        "version, which is kept."
    )
    id: uuid.UUID | None = Field(description="The row's identifier; null where it was refused.")
    problem: ProblemItem | None = Field(description="Why it was refused.")


class BatchReport(Answer):
    """What became of a batch."""

    accepted: int = Field(ge=0, description="How many rows are new.")
    known: int = Field(ge=0, description="How many were there before.")
    corrected: int = Field(ge=0, description="How many replace another version.")
    refused: int = Field(ge=0, description="How many were refused.")
    outcomes: list[OutcomeReport] = Field(description="One for each row, and each complete log.")


class KeptGlucose(Answer):
    """A reading in the unit that was asked for."""

    time: datetime = Field(description="When it was measured.")
    value: float = Field(description="Glucose in the stated unit.")
    source: Literal["cgm", "fingerstick"] = Field(description="What measured it.")
    interpolated: bool = Field(description="Whether it was filled in between two readings.")


class KeptReport(Answer):
    """One row that counts."""

    id: uuid.UUID = Field(description="Of this version of the row.")
    kind: Kind = Field(description="Of which table it is.")
    source: str = Field(description="Who sent it.")
    sender_id: str | None = Field(description="By what the sender knows it, if they said so.")
    received: datetime = Field(description="When it was sent.")
    event: KeptGlucose | Dose | Meal | Activity | Glucagon | Condition = Field(
        description="What happened."
    )


class ObservationList(Answer):
    """Rows in order of their time."""

    unit: GlucoseUnit = Field(description="Unit of every glucose value here.")
    rows: list[KeptReport] = Field(description="Those that count, none that was replaced.")
    more: bool = Field(description="Whether there are more; ask again from the last one's time.")


class ForecastQuestion(Request):
    """What will happen to a stored patient, from now on?"""

    units: Units = Field(description="The units; they are always stated, never guessed.")
    plan: Plan = Field(
        default_factory=Plan, description="What will be done from now on; as usual if absent."
    )
    horizon_min: Whole = Field(
        240, ge=STEP_MIN, le=HORIZON_MAX_MIN, description="How far to look ahead, in minutes."
    )


class ScenarioQuestion(Request):
    """What would happen to a stored patient if?"""

    units: Units = Field(description="The units; they are always stated, never guessed.")
    plans: list[Plan] = Field(
        min_length=2, max_length=MAX_PLANS, description="Two to eight plans with different names."
    )
    horizon_min: Whole = Field(
        240, ge=STEP_MIN, le=HORIZON_MAX_MIN, description="How far to look ahead, in minutes."
    )


class IssuedForecast(Answer):
    """A forecast as it was issued; it never changes."""

    id: uuid.UUID = Field(description="Of the forecast.")
    model: str = Field(description="Which version of the twin made it.")
    forecast: ForecastReport = Field(description="What it said, in the unit of the question.")


class UnloggedList(Answer):
    """What probably happened and was not logged; no facts."""

    unlogged: list[Unlogged] = Field(description="The oldest first.")
    last_reading_time: datetime = Field(description="Up to when readings were looked at.")


class ForecastList(Answer):
    """Forecasts as they were issued."""

    forecasts: list[IssuedForecast] = Field(description="The newest first.")


class ForecastComparison(IssuedForecast):
    """A forecast as it was issued, beside what then happened."""

    observed: list[float | None] = Field(
        description="H readings in the forecast's unit, each the nearest within half a step; null "
        "where there is none (yet)."
    )


class ConsentRequest(Request):
    """To what somebody agrees."""

    version: Version = Field(description="Which version of the purpose's text was agreed to.")


class ConsentReport(Answer):
    """An agreement to one version of a purpose's text."""

    purpose: Purpose = Field(description="Care, sharing with others, or research and training.")
    version: str = Field(description="Of the text.")
    given: datetime = Field(description="When.")
    ended: datetime | None = Field(description="When it was withdrawn or replaced, if it was.")


class ConsentList(Answer):
    """All that a person ever agreed to."""

    consents: list[ConsentReport] = Field(description="In order.")


class ShareRequest(Request):
    """With whom to share, what, and for how long."""

    subject: Subject = Field(
        description="Who: `issuer#subject` of a token, or `key:identifier` of an API key."
    )
    scopes: list[Scope] = Field(
        min_length=1, max_length=len(get_args(Scope)), description="What they may do."
    )
    begin: Time = Field(alias="from", description="Begin: ISO 8601 with a zone.")
    end: Time = Field(alias="until", description="End, not included: ISO 8601 with a zone.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.begin >= self.end:
            raise ValueError("a share ends after it begins")
        return self


class ShareReport(Answer):
    """A share, and how it stands."""

    id: uuid.UUID = Field(description="Of the share.")
    subject: str = Field(description="With whom.")
    scopes: list[Scope] = Field(description="What they may do.")
    begin: datetime = Field(serialization_alias="from", description="Begin.")
    end: datetime = Field(serialization_alias="until", description="End, not included.")
    state: State = Field(description="How it stands now.")


class ShareList(Answer):
    """All shares that a person ever gave."""

    shares: list[ShareReport] = Field(description="In order of their begin.")


class KeyRequest(Request):
    """What a new API key is for."""

    name: Words = Field(description="What it is for; no person's name.")
    roles: list[Role] = Field(
        min_length=1,
        max_length=len(Role),
        description="What it may be: app, admin or both; other keys are made on the machine, with "
        "`hybridtwin database key`.",
    )
    expires: Time | None = Field(
        None, description="When it ends by itself: in a year at the latest, and if absent."
    )


class KeyReport(Answer):
    """What a key allows; not the key itself."""

    id: uuid.UUID = Field(description="By which it is revoked.")
    subject: str = Field(description="Whom a share with it names.")
    name: str = Field(description="What it is for.")
    roles: list[Role] = Field(description="What it may be.")
    clinics: list[str] = Field(description="Of which clinics it is.")
    patient: uuid.UUID | None = Field(description="Whose own data it reaches, if any.")
    created: datetime = Field(description="When it was made.")
    expires: datetime | None = Field(description="When it ends by itself, if it does.")
    revoked: datetime | None = Field(description="When it was taken back, if it was.")


class NewKeyReport(KeyReport):
    """A key that was just made."""

    key: str = Field(description="The key itself. It is shown now, and never again.")


class KeyList(Answer):
    """All keys that were ever made."""

    keys: list[KeyReport] = Field(description="In order.")


class AuditReport(Answer):
    """One entry of the audit log."""

    sequence: int = Field(ge=1, description="Its number in the log.")
    time: datetime = Field(description="When.")
    actor: str = Field(description="Who: subject of a token, or identifier of a key.")
    action: str = Field(description="What.")
    patient: uuid.UUID | None = Field(description="About whom, if about anybody.")
    outcome: Literal["done", "denied"] = Field(description="Whether it was done or denied.")


class AuditList(Answer):
    """A page of what was done, and by whom."""

    entries: list[AuditReport] = Field(description="In order.")
    next: int | None = Field(ge=1, description="`after` of the next page; null on the last one.")


class AuditHeadReport(Answer):
    """Where the verified audit log ends."""

    head: str = Field(description="Keep it outside of the service, as the next `anchor`.")
