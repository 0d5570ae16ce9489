"""What a deployment may choose, read from `HYBRIDTWIN_*` in the environment."""

import json
import os
from datetime import datetime, time
from pathlib import Path
from typing import Annotated, Any, Final

import httpx
from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from hybridtwin.errors import ModelError, Problem
from serving.access.issuers import Issuer, safe

PREFIX: Final = "HYBRIDTWIN_"


def _from_json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _unless_off(value: Any) -> Any:
    return None if value == "off" else value


class Settings(BaseModel):
    """Settings of the service; each field is the variable HYBRIDTWIN_<NAME>."""

    model_config = ConfigDict(frozen=True)

    model: str | None = Field(
        None, description="A twin's folder or models:/NAME@ALIAS; the twin in the box if absent."
    )
    clinic: Path | None = Field(
        None,
        description="Folder with records/<participant>/ and, if any, twins/<participant>/. With a "
        "database, clinicians of the clinic of the folder's name read its nights at /v1/tonight.",
    )
    now: AwareDatetime | None = Field(
        None,
        description="The evening of the review; the clinic's latest reading if absent.",
    )
    likely_low: float = Field(
        0.5, ge=0, le=1, description="From this probability of a low on, it is likely."
    )
    watch: float = Field(
        0.2, ge=0, le=1, description="From this probability of a low on, a night is to be watched."
    )
    very_low: float = Field(
        0.2, ge=0, le=1, description="From this probability of a very low on, it comes first."
    )
    recent_lows: int = Field(
        4, ge=1, description="From so many lows in a week on, or one very low, a patient is listed."
    )
    evening: Annotated[time | None, BeforeValidator(_unless_off)] = Field(
        time(21),
        description="From this time on, where the patient lives, the coming night is reviewed; off "
        "if only on demand.",
    )

    compiled: bool = Field(
        True,
        description="Whether to compile the model in the background, so that answers come several "
        "times faster after the first half minute.",
    )
    workers: int = Field(
        1, ge=1, description="Processes that answer side by side: one for each processor core."
    )
    waiting_max: int = Field(
        50, ge=0, description="Questions that may wait for a worker's twin; beyond them it is busy."
    )

    database: SecretStr | None = Field(
        None,
        description="sqlite:///path/to/file or postgresql://user:password@host/name. Without it "
        "nothing is kept and nobody is asked who they are: for one machine alone.",
    )
    master_key: SecretStr | None = Field(
        None, description="32 bytes in base64, which open the database: openssl rand -base64 32."
    )
    master_key_file: Path | None = Field(None, description="A file that holds the master key.")
    master_key_old: SecretStr | None = Field(
        None, description="The master key before, until `hybridtwin database rotate` has run."
    )
    master_key_old_file: Path | None = Field(None, description="A file that holds that one.")
    issuers: Annotated[tuple[Issuer, ...], BeforeValidator(_from_json)] = Field(
        (),
        description='Whose tokens are trusted: [{"issuer": "https://...", "audience": "..."}], '
        "where their claims are named otherwise with roles_claim, clinics_claim, patient_claim; "
        "with client_id, and scopes, one of them signs people in who come by a browser.",
    )
    client_secret: SecretStr | None = Field(
        None, description="By which that issuer knows the service; none for a public client."
    )
    client_secret_file: Path | None = Field(None, description="A file that holds that secret.")
    public_url: str | None = Field(
        None,
        validate_default=True,
        description="The service's address in browsers, such as https://twin.example; sign-in "
        "needs it, and HTTPS but on one machine alone.",
    )
    session_idle_min: int = Field(
        30, ge=1, description="Without a request for so long, a browser's session is over."
    )
    session_max_min: int = Field(
        480, ge=1, description="After so long it is over in any case, and roles are read anew."
    )
    requests_per_min: int = Field(
        600, ge=1, description="How often one caller may ask in a minute, for each process."
    )
    strangers_per_min: int = Field(
        60, ge=1, description="How often one address may ask without valid credentials, likewise."
    )

    @field_validator("issuers")
    @classmethod
    def _one_place_to_sign_in(cls, issuers: tuple[Issuer, ...]) -> tuple[Issuer, ...]:
        if sum(issuer.client_id is not None for issuer in issuers) > 1:
            raise ValueError("one issuer alone may have a client_id")
        return issuers

    @field_validator("public_url")
    @classmethod
    def _known_where_people_sign_in(cls, url: str | None, info: ValidationInfo) -> str | None:
        if url is None:
            if any(issuer.client_id for issuer in info.data.get("issuers", ())):
                raise ValueError("is not set, and people are to sign in")
            return None
        found = safe(url)
        if found.path not in ("", "/") or found.query or found.fragment or found.username:
            raise ValueError("has more than a scheme, a host and a port")
        return str(httpx.URL(url)).rstrip("/")

    @property
    def sign_in(self) -> Issuer | None:
        """Where people who come by a browser sign in."""
        return next((issuer for issuer in self.issuers if issuer.client_id), None)

    def as_environment(self) -> dict[str, str]:
        """The variables that give these settings."""
        found = {
            PREFIX + name.upper(): _as_text(value) for name, value in self if value is not None
        }
        return found if self.evening else found | {PREFIX + "EVENING": "off"}


def _as_text(value: object) -> str:
    match value:
        case SecretStr():
            return value.get_secret_value()
        case datetime():
            return value.isoformat()
        case tuple():
            return json.dumps([issuer.model_dump() for issuer in value])
        case _:
            return str(value)


def from_environment() -> Settings:
    """The settings as the environment states them.

    Raises:
        ModelError: A variable has an impossible value.
    """
    found = {
        name: value
        for name in Settings.model_fields
        if (value := os.environ.get(PREFIX + name.upper()))
    }
    try:
        return Settings.model_validate(found)
    except ValidationError as error:
        raise ModelError(
            [
                Problem(
                    PREFIX + str(entry["loc"][0]).upper(),
                    entry["msg"],
                    Settings.model_fields[str(entry["loc"][0])].description or "",
                )
                for entry in error.errors()
            ]
        ) from error
