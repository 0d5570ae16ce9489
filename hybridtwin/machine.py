"""Programs written in C++ at run time, as machine code of this very machine."""

import ctypes
import logging
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

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
    with TemporaryDirectory() as folder:
        Path(folder, "run.cpp").write_text(source)
        commands = (
            [compiler, "-c", *_ALWAYS, *flags, "run.cpp", "-o", "run.o"],
            [compiler, "-shared", *_ALWAYS, "run.o", "-o", "run.so"],
        )
        try:
            for command in commands:
                subprocess.run(command, cwd=folder, check=True, capture_output=True)  # noqa: S603
            return ctypes.CDLL(str(Path(folder, "run.so")))
        except (OSError, subprocess.CalledProcessError) as problem:
            _LOG.warning("the C++ compiler failed: %s (%s)", instead, problem)
            return None
