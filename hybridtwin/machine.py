"""Programs written in C++ at run time, as machine code of this very machine, and kept there."""

import ctypes
import functools
import hashlib
import logging
import os
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from platformdirs import user_cache_path

_LOG = logging.getLogger(__name__)
_ALWAYS: Final = ("-march=native", "-fno-math-errno", "-fopenmp", "-fPIC")


def machine_code(source: str, flags: Sequence[str], instead: str) -> ctypes.CDLL | None:
    """A compiled program; None, with a line in the log, where it cannot be made.

    Args:
        source: In C++, with `extern "C"` functions.
        flags: Further flags for compiling, not for linking: a library that is linked with
            -ffast-math changes the arithmetic of the whole process.
        instead: What is done where there is no program, for the log.
    """
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None:
        _LOG.warning("no C++ compiler at hand: %s", instead)
        return None
    try:
        return ctypes.CDLL(str(_made(compiler, source, flags)))
    except (OSError, subprocess.CalledProcessError) as problem:
        _LOG.warning("the C++ compiler failed: %s (%s)", instead, problem)
        return None


def _made(compiler: str, source: str, flags: Sequence[str]) -> Path:
    """The program, made now or kept from the last time: compiling takes half a minute."""
    asked = [compiler, "-###", "-S", *_ALWAYS, *flags, "-x", "c++", os.devnull, "-o", os.devnull]
    # Names the compiler's version and what "native" is here, as in gcc so in clang.
    machine = subprocess.run(asked, check=True, capture_output=True).stderr  # noqa: S603
    name = hashlib.sha256(machine + source.encode()).hexdigest()
    kept = _home() / f"{name}.so"
    if not kept.exists():
        with TemporaryDirectory(dir=kept.parent) as folder:
            Path(folder, "run.cpp").write_text(source)
            commands = (
                [compiler, "-c", *_ALWAYS, *flags, "run.cpp", "-o", "run.o"],
                [compiler, "-shared", *_ALWAYS, "run.o", "-o", "run.so"],
            )
            for command in commands:
                subprocess.run(command, cwd=folder, check=True, capture_output=True)  # noqa: S603
            Path(folder, "run.so").replace(kept)  # whole or not at all, whoever else makes it
    return kept


def _home() -> Path:
    """Where programs are kept: where nobody but this user can put one; else for this process."""
    home = user_cache_path("hybridtwin")
    with suppress(OSError):
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = home.stat()
        if found.st_uid == os.getuid() and not found.st_mode & 0o022 and os.access(home, os.W_OK):
            return home
    return Path(_for_now().name)


@functools.cache
def _for_now() -> TemporaryDirectory[str]:
    return TemporaryDirectory()
