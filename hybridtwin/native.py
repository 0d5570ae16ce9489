"""The step as machine code: whole forecasts of many people without a call per operation.

`dynamics.step` is traced once by torch.fx; what it does is written down as C++, a vector of people
at a time, looped over steps and people, and compiled. So the equations stand in one place only.
Where there is no compiler, `dynamics.walk` takes the same steps by torch.
"""

import ctypes
import functools
from collections.abc import Callable, Sequence
from itertools import accumulate
from threading import Lock
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from hybridtwin.dynamics import Acting, Person, State, Step, Walk, step, walk
from hybridtwin.machine import machine_code
from hybridtwin.neural.residual import ResidualWeights

_LANES: Final = 16
_PEOPLE: Final = 13  # in the trace; no other size is the same
_FLAGS: Final = ("-O2", "-ffp-contract=fast")
_MAKING: Final = Lock()
"""One thread makes the program and the others wait: torch.fx fails where two trace at once."""

_PROGRAM: Final = """
#include <cmath>
#include <cstdint>
#include <cstring>

constexpr int LANES = {lanes};
typedef float V __attribute__((vector_size(4 * LANES)));
typedef int32_t I __attribute__((vector_size(4 * LANES)));

static inline V load(const float *at) {{ V v; std::memcpy(&v, at, sizeof v); return v; }}
static inline void store(float *at, V v) {{ std::memcpy(at, &v, sizeof v); }}
static inline float sqrt_(float x) {{ return std::sqrt(x); }}
static inline float exp_(float x) {{ return std::exp(x); }}
static inline float tanh_(float x) {{ return std::tanh(x); }}
static inline V sqrt_(V x) {{
  for (int i = 0; i < LANES; i++) x[i] = __builtin_sqrtf(x[i]);
  return x;
}}
// Cephes' expf: the exponent as an integer, a polynomial for the rest.
static inline V exp_(V x) {{
  const V bounded = x < -87.0f ? V{{}} - 87.0f : (x > 88.0f ? V{{}} + 88.0f : x);
  const V half = bounded < 0.0f ? V{{}} - 0.5f : V{{}} + 0.5f;
  const I n = __builtin_convertvector(bounded * 1.44269504f + half, I);
  const V whole = __builtin_convertvector(n, V);
  const V r = bounded - whole * 0.693359375f + whole * 2.12194440e-4f;
  V y = 1.9875691500e-4f * r + 1.3981999507e-3f;
  y = y * r + 8.3334519073e-3f;
  y = y * r + 4.1665795894e-2f;
  y = y * r + 1.6666665459e-1f;
  y = y * r + 5.0000001201e-1f;
  y = y * r * r + r + 1.0f;
  const I power = (n + 127) << 23;
  V scale;
  std::memcpy(&scale, &power, sizeof scale);
  return y * scale + (x - x);  // what is not a number stays so
}}
static inline V tanh_(V x) {{ return 1.0f - 2.0f / (exp_(2.0f * x) + 1.0f); }}
template <class T> static inline T silu_(T x) {{ return x / (1.0f + exp_(-x)); }}
static inline V clamp_(V x, float low) {{ return x < low ? V{{}} + low : x; }}

extern "C" void run(float *state, const float *acting, const float *person, const float *w,
                    float *path, int64_t steps, int64_t people, int threads) {{
  {shared}
  #pragma omp parallel for num_threads(threads) if (threads > 1)
  for (int64_t first = 0; first < people; first += LANES) {{
    V s[{states}], p[{persons}], a[{actings}];
    for (int j = 0; j < {states}; j++) s[j] = load(state + j * people + first);
    for (int j = 0; j < {persons}; j++) p[j] = load(person + j * people + first);
    for (int64_t k = 0; k < steps; k++) {{
      for (int j = 0; j < {actings}; j++)
        a[j] = load(acting + (k * {actings} + j) * people + first);
      {body}
      store(path + k * people + first, {observed});
    }}
    for (int j = 0; j < {states}; j++) store(state + j * people + first, s[j]);
  }}
}}
"""


def native_walk() -> Walk:
    """`dynamics.walk` compiled for this machine; itself, with a line in the log, where it fails."""
    return walk if _program() is None else _native_walk


def _native_walk(
    state: State, acts: Acting, person: Person, weights: ResidualWeights | None
) -> Tensor:
    """By its name it can be sent to another process, which then makes a program of its own."""
    program = _program()
    if program is None or weights is None:
        return walk(state, acts, person, weights)
    _, path = _walked(program, state, acts, person, weights)
    return path.T


def native_step() -> Step:
    """`dynamics.step` likewise, for those who look at the state after every step."""
    program = _program()
    if program is None:
        return step

    def run(state: State, acting: Acting, person: Person, weights: ResidualWeights | None) -> State:
        if weights is None:
            return step(state, acting, person, weights)
        during = Acting(*(part.unsqueeze(0) for part in acting))
        rows, _ = _walked(program, state, during, person, weights)
        parts = rows.split([part.numel() // part.shape[-1] for part in state])
        return State(*(part.view_as(one) for part, one in zip(parts, state, strict=True)))

    return run


def _walked(
    program: Callable[..., None],
    state: State,
    acts: Acting,
    person: Person,
    weights: ResidualWeights,
) -> tuple[Tensor, Tensor]:
    """The last state's rows (S, B), and sensor glucose (H, B) after every step."""
    people = state.driven.shape[1]
    rows, who = (_rows(list(part), people) for part in (state, person))
    steps, counts = len(acts.before), [part.shape[1] for part in acts]
    acting = torch.zeros(steps, sum(counts), rows.shape[1])
    for part, end in zip(acts, accumulate(counts), strict=True):
        acting[:, end - part.shape[1] : end, :people] = part
    shared = torch.cat([part.reshape(-1) for part in weights]).contiguous()
    path = torch.empty(steps, rows.shape[1])
    pointers = [part.data_ptr() for part in (rows, acting, who, shared, path)]
    program(*pointers, steps, rows.shape[1], torch.get_num_threads())
    return rows[:, :people].contiguous(), path[:, :people]


def _rows(parts: list[Tensor], people: int) -> Tensor:
    """Parts (..., B) as rows of one tensor, the last person repeated up to whole vectors."""
    rows = torch.cat([part.reshape(-1, people) for part in parts])
    return torch.nn.functional.pad(rows, (0, -people % _LANES), mode="replicate").contiguous()


class _Writer:
    """Writes down what an ATen graph does, element by element, people in a vector."""

    def __init__(self) -> None:
        self.shared: list[str] = []
        self.body: list[str] = []
        self.vectors: set[str] = set()

    def write(self, form: str, *operands: Any) -> str:
        """A statement; its name. What no person enters is computed once, before the loops."""
        names = [one if isinstance(one, str) else f"{float(one)!r}f" for one in operands]
        name = f"v{len(self.shared) + len(self.body)}"
        if any(one in self.vectors for one in names):
            self.vectors.add(name)
            self.body.append(f"const auto {name} = {form.format(*names)};")
        else:
            self.shared.append(f"const auto {name} = {form.format(*names)};")
        return name

    def inputs(self, letter: str, shapes: Sequence[torch.Size]) -> list[Any]:
        """Arrays of names for tensors that lie behind one another; people count as one."""
        arrays, at = [], 0
        for shape in shapes:
            sizes = [1 if size == _PEOPLE else size for size in shape]
            count = int(np.prod(sizes, dtype=int))
            names = [f"{letter}[{at + k}]" for k in range(count)]
            if letter != "w":
                self.vectors.update(names)
            arrays.append(np.array(names, dtype=object).reshape(sizes))
            at += count
        return arrays

    def each(self, form: str, count: int = 1) -> Callable[..., Any]:
        """An operation of so many operands that is the same for every element."""
        return np.frompyfunc(functools.partial(self.write, form), count, 1)

    def product(self, left: Any, right: Any) -> Any:
        """A matrix product, leaving out what is zero."""
        rows = []
        for row in left:
            terms = [
                (factor, name) for factor, name in zip(row, right[:, 0], strict=True) if factor != 0
            ]
            form = " + ".join("{} * {}" for _ in terms) or "0.0f"
            rows.append([self.write(form, *(one for term in terms for one in term))])
        return np.array(rows, dtype=object)

    def total(self, rows: Any) -> Any:
        """The sum over rows."""
        form = " + ".join("{}" for _ in rows)
        return np.array([self.write(form, *column) for column in rows.T], dtype=object)

    def operations(self) -> dict[Any, Callable[..., Any]]:
        """What every operation of the graph is."""
        aten = torch.ops.aten
        return {
            aten.add.Tensor: self.each("{} + {}", 2),
            aten.sub.Tensor: self.each("{} - {}", 2),
            aten.mul.Tensor: self.each("{} * {}", 2),
            aten.div.Tensor: self.each("{} / {}", 2),
            aten.rsub.Scalar: lambda x, number: self.each("{} - {}", 2)(number, x),
            aten.neg.default: self.each("-{}"),
            aten.exp.default: self.each("exp_({})"),
            aten.sqrt.default: self.each("sqrt_({})"),
            aten.rsqrt.default: self.each("1.0f / sqrt_({})"),
            aten.reciprocal.default: self.each("1.0f / {}"),
            aten.tanh.default: self.each("tanh_({})"),
            aten.silu.default: self.each("silu_({})"),
            aten.clamp.default: self.each("clamp_({}, {})", 2),
            aten.lt.Scalar: self.each("{} < {}", 2),
            aten.where.self: self.each("{} ? {} : {}", 3),
            aten.lerp.Scalar: self.each("{0} + {2} * ({1} - {0})", 3),
            aten.pow.Tensor_Scalar: self._power,
            aten.mm.default: self.product,
            aten.sum.dim_IntList: lambda x, _: self.total(x),
            aten.unbind.int: lambda x, _=0: [np.atleast_1d(row) for row in x],
            aten.select.int: lambda x, _, row: np.atleast_1d(x[row]),
            aten.slice.Tensor: lambda x, _, begin, end: x[begin : min(end, len(x))],
            aten.stack.default: lambda rows: np.stack(rows),
        }

    def _power(self, x: Any, exponent: float) -> Any:
        if exponent != 2:
            raise NotImplementedError(f"a power of {exponent}")
        return self.each("{0} * {0}")(x)


def _example() -> tuple[State, Acting, Person, ResidualWeights]:
    """Tensors of the right shapes, from a model of the default shape."""
    from hybridtwin.hybrid import ModelShape
    from hybridtwin.neural.residual import Residual
    from hybridtwin.physiology.body import DRIVEN, INPUTS, Readings
    from hybridtwin.physiology.glucose import Constants, Core

    shape = ModelShape()
    residual = Residual(shape.embedding, shape.latent, shape.residual_hidden, shape.flux_hidden)

    def rows(*count: int) -> Tensor:
        return torch.ones(*count, _PEOPLE)

    latent, drawn_to = rows(shape.latent), rows(shape.latent)  # the tracer tells them by identity
    state = State(rows(len(DRIVEN)), rows(len(Core._fields)), rows(), rows(), latent, drawn_to)
    acting = Acting(rows(len(INPUTS)), rows(3), rows(3), rows(5))
    fixed = rows(shape.residual_hidden + shape.flux_hidden)
    person = Person(
        rows(len(DRIVEN)),
        rows(len(Readings._fields)),
        rows(len(Constants._fields)),
        rows(),
        fixed,
        rows(),
    )
    return state, acting, person, residual.weights()


def _source() -> str:
    """The program."""
    example = _example()
    with torch.no_grad():
        graph = make_fx(step)(*example)
    writer = _Writer()
    operations = writer.operations()
    inputs = [
        writer.inputs(letter, [part.shape for part in parts])
        for letter, parts in zip("sapw", example, strict=True)
    ]
    waiting = [array for arrays in inputs for array in arrays]
    known: dict[torch.fx.Node, Any] = {}
    results: list[Any] = []
    for node in graph.graph.nodes:
        arguments = torch.fx.map_arg(node.args, lambda one: known[one])
        if node.op == "placeholder":
            known[node] = waiting.pop(0)
        elif node.op == "get_attr":
            known[node] = getattr(graph, str(node.target)).numpy().astype(object)
        elif node.op == "output":
            results = list(arguments[0])
        elif "getitem" in str(node.target):
            known[node] = arguments[0][arguments[1]]
        else:
            known[node] = operations[node.target](*arguments, **node.kwargs)
    sizes = [sum(array.size for array in arrays) for arrays in inputs]
    flat = [name for result in results for name in np.asarray(result).reshape(-1)]
    body = [*writer.body, *(f"s[{k}] = {name};" for k, name in enumerate(flat))]
    interstitial = State._fields.index("interstitial_mg_dl")
    before = sum(np.asarray(result).size for result in results[:interstitial])
    return _PROGRAM.format(
        lanes=_LANES,
        shared="\n  ".join(writer.shared),
        states=sizes[0],
        actings=sizes[1],
        persons=sizes[2],
        body="\n      ".join(body),
        observed=f"s[{before}]",
    )


def _program() -> Callable[..., None] | None:
    """The compiled program; None where it cannot be made."""
    with _MAKING:
        return _compiled()


@functools.cache
def _compiled() -> Callable[..., None] | None:
    library = machine_code(_source(), _FLAGS, "forecasts are computed by torch, which is slower")
    if library is None:
        return None
    program: Any = library.run
    program.argtypes = [*[ctypes.c_void_p] * 5, ctypes.c_int64, ctypes.c_int64, ctypes.c_int]
    program.restype = None
    made: Callable[..., None] = program
    return made
