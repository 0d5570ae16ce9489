"""Rows: values of many side by side, each a dataclass of tensors with a row for each of them."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, TypeVar

import torch

Rows = TypeVar("Rows")


def stacked(parts: Sequence[Rows]) -> Rows:
    """Several of a kind as one, their rows one after the other; there is at least one part."""
    kind: Any = type(parts[0])
    columns = (f.name for f in fields(kind))
    found: Rows = kind(*(torch.cat([getattr(one, name) for one in parts]) for name in columns))
    return found
