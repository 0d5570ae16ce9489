"""What a deployment may choose, read from `HYBRIDTWIN_*` in the environment."""

import os
from datetime import datetime
from pathlib import Path
from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from hybridtwin.errors import ModelError, Problem

PREFIX: Final = "HYBRIDTWIN_"


class Settings(BaseModel):
    """Settings of the service; each field is the variable HYBRIDTWIN_<NAME>."""

    model_config = ConfigDict(frozen=True)

    model: str | None = Field(
        None, description="A twin's folder or models:/NAME@ALIAS; the twin in the box if absent."
    )
    clinic: Path | None = Field(
        None, description="Folder with records/<participant>/ and, if any, twins/<participant>/."
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

    def as_environment(self) -> dict[str, str]:
        """The variables that give these settings."""
        return {
            PREFIX + name.upper(): value.isoformat() if isinstance(value, datetime) else str(value)
            for name, value in self
            if value is not None
        }


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
