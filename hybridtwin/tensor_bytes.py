"""Tensors with plain values beside them, as bytes to be stored: one safetensors file."""

import json
import zlib
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

_HEAD: Final = "head"


def to_bytes(head: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> bytes:
    """The tensors as they are, and the head as compressed JSON."""
    text = zlib.compress(json.dumps(head).encode())
    packed = torch.from_numpy(np.frombuffer(text, dtype=np.uint8).copy())
    return save({_HEAD: packed} | {name: part.contiguous() for name, part in tensors.items()})


def from_bytes(content: bytes) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Head and tensors, as `to_bytes` took them.

    Raises:
        ValueError: These are no such bytes.
    """
    try:
        tensors = load(content)
        head: dict[str, Any] = json.loads(zlib.decompress(tensors.pop(_HEAD).numpy().tobytes()))
    except (SafetensorError, KeyError, zlib.error) as error:
        raise ValueError(str(error)) from error
    return head, tensors
