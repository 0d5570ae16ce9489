"""What a deployment may choose, read from `HYBRIDTWIN_*` in the environment."""

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
)

from hybridtwin.errors import ModelError, Problem
from serving.access.issuers import Issuer

PREFIX: Final = "HYBRIDTWIN_"


def _from_json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


class Settings(BaseModel):
    """Settings of the service; each field is the variable HYBRIDTWIN_<NAME>."""

    model_config = ConfigDict(frozen=True)

    model: str | None = Field(
        None, description="A twin's folder or models:/NAME@ALIAS; the twin in the box if absent."
    )
    clinic: Path | None = Field(
        None,
        description="Folder with records/<participant>/ and, if any, twins/<participant>/. With a "
        "database, clinicians of the clinic of the folder's name see its nights.",
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
        "where their claims are named otherwise with roles_claim, clinics_claim, patient_claim.",
    )
    requests_per_min: int = Field(
        600, ge=1, description="How often one caller may ask in a minute, for each process."
    )
    strangers_per_min: int = Field(
        60, ge=1, description="How often one address may ask without valid credentials."
    )

    def as_environment(self) -> dict[str, str]:
        """The variables that give these settings."""
        return {PREFIX + name.upper(): _as_text(value) for name, value in self if value is not None}


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
