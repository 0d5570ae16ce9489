"""The virtual patients' equations as machine code: whole days of many patients at once.

`uva_padova.step` is taken through one minute with symbols in the place of numbers. What it does
with them is written down as C++, looped over minutes and patients, and compiled, so that the
equations stand in one place only. Where there is no compiler, NumPy takes the same steps.
"""

import ctypes
import platform
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from hybridtwin.machine import machine_code
from hybridtwin.virtual.patients import PARAMETERS, Array, Patients
from hybridtwin.virtual.uva_padova import COMPARTMENTS, State, glucose_mg_dl, simulate, step

# Vectors as wide as the machine has; GCC would otherwise use half of them.
_WIDE: Final = ["-mprefer-vector-width=512"] if platform.machine() == "x86_64" else []
_FAST: Final = ["-O3", *_WIDE, "-ffast-math"]

_ARRAY: Final = np.ctypeslib.ndpointer(dtype=np.float64, flags="C_CONTIGUOUS")

_WRITTEN: Final[dict[Callable[..., Any], str]] = {
    np.add: "{} + {}",
    np.subtract: "{} - {}",
    np.multiply: "{} * {}",
    np.divide: "{} / {}",
    np.maximum: "{0} > {1} ? {0} : {1}",
    np.exp: "std::exp({})",
    np.greater: "{} > {}",
    np.equal: "{} == {}",
    np.bitwise_and: "{} & {}",
    np.where: "{} ? {} : {}",
}

_PROGRAM: Final = """
#include <algorithm>
#include <cmath>
#include <cstdint>

// So many patients go through all minutes together: few enough to stay in a core's cache.
constexpr int64_t TOGETHER = 128;
constexpr int64_t WORTH_THREADS = 100000;  // patient-minutes: about 10 ms

extern "C" void run(double *state, const double *parameters, const double *carbs,
                    const double *insulin, const double *sensitivity, double *glucose,
                    int64_t minutes, int64_t patients) {{
  #pragma omp parallel for schedule(dynamic) if (minutes * patients > WORTH_THREADS)
  for (int64_t first = 0; first < patients; first += TOGETHER) {{
    const int count = std::min(TOGETHER, patients - first);
    double s[{states}][TOGETHER], p[{parameters}][TOGETHER];
    for (int k = 0; k < {states}; k++)
      std::copy_n(state + k * patients + first, count, s[k]);
    for (int k = 0; k < {parameters}; k++)
      std::copy_n(parameters + k * patients + first, count, p[k]);
    for (int64_t at = first; at < minutes * patients; at += patients) {{
      #pragma omp simd
      for (int i = 0; i < count; i++) {{
        {minute}
      }}
    }}
    for (int k = 0; k < {states}; k++)
      std::copy_n(s[k], count, state + k * patients + first);
  }}
}}
"""


def run(
    state: State,
    carbs_g_min: Array,
    insulin_u_min: Array,
    patients: Patients,
    sensitivity: Array | None = None,
) -> tuple[Array, State]:
    """What `uva_padova.simulate` does, for when nobody has to see the bodies on the way.

    Args:
        state: P bodies at the start.
        carbs_g_min: (M, P) carbohydrate eaten per minute.
        insulin_u_min: (M, P) rapid insulin given per minute.
        patients: P patients.
        sensitivity: (M, P) factor on insulin's action; None for 1 throughout.

    Returns:
        (M + 1, P) glucose in mg/dL at every minute, and the bodies at the end.
    """
    minutes, count = insulin_u_min.shape
    if sensitivity is None:
        sensitivity = np.ones_like(insulin_u_min)
    inputs = [np.ascontiguousarray(one) for one in (carbs_g_min, insulin_u_min, sensitivity)]
    if any(one.shape != (minutes, count) for one in inputs) or len(patients) != count:
        raise ValueError("inputs and patients do not have one shape")

    glucose = np.empty((minutes + 1, count))
    program = _program()
    if program is None:
        states = simulate(state, carbs_g_min, insulin_u_min, patients, sensitivity)
        for minute, now in enumerate(states):
            glucose[minute] = glucose_mg_dl(now, patients)
        return glucose, now
    glucose[0] = glucose_mg_dl(state, patients)
    numbers = np.vstack([state.compartments, state.meal_mg, state.eating])
    program(numbers, patients.table, *inputs, glucose[1:], minutes, count)
    return glucose, State(numbers[:-2], numbers[-2], numbers[-1])


class _Symbol(NDArrayOperatorsMixin):
    """A number of the program: what NumPy does with it is written down."""

    def __init__(self, name: str, program: list[str]) -> None:
        self.name, self.program = name, program

    def __array_ufunc__(self, function: np.ufunc, method: str, *inputs: object) -> "_Symbol":
        return self._write(function, inputs)

    def __array_function__(
        self,
        function: Callable[..., Any],
        types: object,
        inputs: tuple[object, ...],
        options: object,
    ) -> "_Symbol":
        return self._write(function, inputs)

    def _write(self, function: Callable[..., Any], inputs: tuple[object, ...]) -> "_Symbol":
        result = _Symbol(f"v{len(self.program)}", self.program)
        names = [one.name if isinstance(one, _Symbol) else f"{one!r}" for one in inputs]
        self.program.append(f"const auto {result.name} = {_WRITTEN[function].format(*names)};")
        return result


def _source() -> str:
    """One minute of every patient, written down as a program for all."""
    minute: list[str] = []

    def symbol(name: str) -> Any:
        return _Symbol(name, minute)

    states = [symbol(f"s[{k}][i]") for k in range(len(COMPARTMENTS) + 2)]
    patients = Patients((), **{name: symbol(f"p[{k}][i]") for k, name in enumerate(PARAMETERS)})
    carbs, insulin, sensitivity = map(
        symbol, ("carbs[at + i]", "insulin[at + i]", "sensitivity[at + i]")
    )
    before = State(np.array(states[:-2], dtype=object), *states[-2:])
    after = step(before, carbs, insulin, sensitivity, patients)
    glucose: Any = glucose_mg_dl(after, patients)
    results: list[Any] = [*after.compartments, after.meal_mg, after.eating]
    for old, new in zip(states, results, strict=True):
        minute.append(f"{old.name} = {new.name};")
    minute.append(f"glucose[at + i] = {glucose.name};")
    return _PROGRAM.format(
        states=len(states), parameters=len(PARAMETERS), minute="\n        ".join(minute)
    )


@cache
def _program() -> Callable[..., None] | None:
    """The compiled program; None where it cannot be made."""
    slower = "virtual patients are computed by NumPy, which is slower"
    library = machine_code(_source(), _FAST, slower)
    if library is None:
        return None
    program: Any = library.run
    program.argtypes = [*[_ARRAY] * 6, ctypes.c_int64, ctypes.c_int64]
    program.restype = None
    made: Callable[..., None] = program
    return made
