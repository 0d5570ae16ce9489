"""Settings from YAML, checked."""

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from hybridtwin.errors import TwinError
from hybridtwin.validation import explain, place

Settings = TypeVar("Settings", bound=BaseModel)


def read_config(path: Path, kind: type[Settings]) -> Settings:
    """Settings of a kind from a YAML file.

    Raises:
        TwinError: The file cannot be read, or a setting is unknown or impossible.
    """
    try:
        return kind.model_validate(yaml.safe_load(path.read_text()))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise TwinError.of(
            str(path), f"cannot be read ({error})", "See configs/ for what it holds."
        ) from error
    except ValidationError as error:
        problems = [
            explain(entry, f"{path}: {place(entry['loc']) or 'the whole'}")
            for entry in error.errors()
        ]
        raise TwinError(problems) from error
