"""The body on one page: parameters, covariates and compartments, in Markdown, made from the code.

What inputs drive is drawn from the cascades' flows. What acts on glucose, and what glucose acts on,
is drawn from the signs of the equations' derivatives, so that no arrow stands for something that
the code does not do.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import torch
from torch import Tensor

from hybridtwin.physiology import counterregulation, exercise, gut, insulin
from hybridtwin.physiology.body import COMPARTMENTS, DRIVEN, OUTSIDE, readings, signals
from hybridtwin.physiology.clock import Rhythm
from hybridtwin.physiology.covariates import EFFECTS
from hybridtwin.physiology.glucose import Core, Signals, concentration, constants, core_rates
from hybridtwin.physiology.parameters import (
    DEFAULT_WEIGHT_KG,
    GLUCOSE_VOLUME_DL_KG,
    PARAMETERS,
    BodyParameters,
    Parameter,
    values,
)
from hybridtwin.physiology.sensor import interstitial_rate
from hybridtwin.physiology.steady import steady_state

_CLOCK: Final = tuple(f"clock_{name}" for name in Rhythm._fields)
_SIGNALS: Final = tuple(f"signal_{name}" for name in Signals._fields)
_FEEDBACK: Final = (*Core._fields, *OUTSIDE)

_ORGANS: Final = {
    "Insulin": insulin.CASCADE,
    "Stomach and gut": gut.CASCADE,
    "Rescue glucagon": counterregulation.CASCADE,
    "Exercise": exercise.CASCADE,
}
_CORE: Final = {
    "Glucose": ("plasma_mg_kg", "tissue_mg_kg", "interstitial_mg_dl"),
    "Against lows": ("glucagon_pg_ml", "adrenaline", "low_memory"),
    "The pancreas": (
        "own_secretion_mu_l_min",
        "own_insulin_mu_l",
        "own_uptake_mu_l",
        "own_liver_mu_l",
    ),
}
_WORDS: Final = {
    "nph_u": "crystals, NPH",
    "detemir_u": "detemir",
    "glargine_u100_u": "glargine U100",
    "glargine_u300_u": "glargine U300",
    "degludec_u": "degludec",
    "hexamer_u": "hexamers",
    "depot_1_u": "dimers",
    "depot_2_u": "monomers",
    "plasma_insulin_u": "insulin in plasma",
    "uptake_effect_u": "its action on uptake",
    "liver_effect_u": "its action on the liver",
    "stomach_g": "carbohydrate held back",
    "gut_1_g": "carbohydrate, first",
    "gut_2_g": "carbohydrate, second",
    "protein_1_g": "protein, first",
    "protein_2_g": "protein, second",
    "fat_1_g": "fat, first",
    "fat_2_g": "fat, second",
    "alcohol_1_g": "alcohol in the gut",
    "alcohol_2_g": "alcohol in the body",
    "glucagon_depot_ug": "glucagon under the skin",
    "glucagon_plasma_ug": "injected glucagon in plasma",
    "exertion": "working muscle",
    "recovery_1": "recovery, first",
    "recovery_2": "recovery, second",
    "sprint_1": "sprint, first",
    "sprint_2": "sprint, second",
    "plasma_mg_kg": "glucose in plasma",
    "tissue_mg_kg": "glucose in tissue",
    "interstitial_mg_dl": "glucose at the sensor",
    "glucagon_pg_ml": "own glucagon",
    "adrenaline": "adrenaline",
    "low_memory": "memory of lows",
    "own_secretion_mu_l_min": "secretion",
    "own_insulin_mu_l": "own insulin in plasma",
    "own_uptake_mu_l": "its action on uptake",
    "own_liver_mu_l": "its action on the liver",
    "clock_sensitivity": "insulin's action by hour",
    "clock_liver": "the liver at dawn",
    "clock_muscle": "muscle by hour",
    "signal_appearance": "glucose from food",
    "signal_sprint": "output in sprints",
    "signal_muscle": "demand of muscle",
    "signal_uptake_per_insulin": "uptake for each mU/L",
    "signal_uptake_insulin": "insulin that acts on uptake",
    "signal_restraint_per_insulin": "restraint for each mU/L",
    "signal_liver_insulin": "insulin that acts on the liver",
    "signal_liver": "the liver's drive",
    "signal_glucagon_pg_ml": "injected glucagon",
}

_STATES: Final = ((45.0, 0.1), (65.0, 0.5), (120.0, 2.0), (250.0, 8.0))
"""Plasma glucose in mg/dL, and what every driven compartment holds."""
_SOME_BETA_CELLS: Final = 0.5  # so that own insulin has something to show

Arrow = tuple[str, str, str]
"""From, to, and the sign of the effect."""


def page() -> str:
    """The whole page, in Markdown."""
    return f"""# The body

Generated from the code by `hybridtwin body`; not edited by hand. Units stand in the names.

## Parameters

Over people a parameter is log-normal (×÷) or normal (±), within its bounds. Weight and the share of
beta cells that still work are given besides.

{_table(("parameter", "symbol", "unit", "median", "spread", "bounds", "source"), _parameters())}

## Covariates

What is known of a person multiplies the medians; what is not known changes nothing.

{_table(("what is known", "parameter", "factor", "source"), _covariates())}

## Compartments

Doses, meals and exercise fill compartments, each of which empties into the next at its own rate; a
dashed one only follows and takes nothing. With the clock they make the signals that act on glucose
(hexagons). Where an arrow has a sign it stands for a derivative of the equations that is not zero:
`+` raises, `−` lowers.

{_mermaid("LR", _driven())}

Glucose answers the signals, and the body answers glucose; what is raised or lowered here is the
rate at which the other changes.

{_mermaid("TD", _answering())}

## Where each insulin enters

{_table(("insulin", "enters as"), _entries())}"""


def signal_arrows() -> list[Arrow]:
    """What the driven compartments and the clock do to the signals."""

    def derivatives(p: BodyParameters, body: Tensor, clock: Tensor) -> Tensor:
        def field(driven: Tensor, clock: Tensor) -> Tensor:
            return torch.cat(signals(driven, Rhythm(*clock), readings(p)))

        return _jacobian(field, body[: len(DRIVEN)], clock)

    return _arrows(derivatives, (*DRIVEN, *_CLOCK), _SIGNALS)


def feedback_arrows() -> list[Arrow]:
    """What the signals and glucose do to glucose, and what glucose does to the rest of the body."""

    def derivatives(p: BodyParameters, body: Tensor, clock: Tensor) -> Tensor:
        acting = signals(body[: len(DRIVEN)], Rhythm(*clock), readings(p))
        sensor_rate = p.sensor_delay_min.reciprocal()

        def field(acting: Tensor, rest: Tensor) -> Tensor:
            core = Core(*rest[: -len(OUTSIDE)])
            interstitial, memory = rest[-len(OUTSIDE) :]
            plasma = concentration(core.plasma_mg_kg)
            heed = counterregulation.heed(memory)
            return torch.cat(
                [
                    *core_rates(core, Signals(*acting), heed, constants(p), None),
                    interstitial_rate(interstitial, plasma, sensor_rate),
                    counterregulation.low_memory_after(memory, plasma) - memory,
                ]
            )

        return _jacobian(field, torch.stack(acting), body[len(DRIVEN) :])

    return _arrows(derivatives, (*_SIGNALS, *_FEEDBACK), _FEEDBACK)


def _jacobian(field: Callable[..., Tensor], *at: Tensor) -> Tensor:
    """(rows of the result, rows of all arguments)."""
    parts = torch.autograd.functional.jacobian(field, at)
    return torch.cat(parts, dim=1).squeeze(-1)


def _arrows(
    derivatives: Callable[[BodyParameters, Tensor, Tensor], Tensor],
    sources: Sequence[str],
    targets: Sequence[str],
) -> list[Arrow]:
    found = torch.stack([derivatives(*_state(*each)) for each in _STATES])
    raises, lowers = (found > 0).any(0), (found < 0).any(0)
    sign = {(True, False): "+", (False, True): "−", (True, True): "±"}
    return [
        (source, target, sign[raised, lowered])
        for row, target in enumerate(targets)
        for source, raised, lowered in zip(
            sources, raises[row].tolist(), lowers[row].tolist(), strict=True
        )
        if (raised or lowered) and source != target
    ]


def _state(glucose_mg_dl: float, held: float) -> tuple[BodyParameters, Tensor, Tensor]:
    """The median person, a body (S, 1) of theirs, and a neutral clock (3, 1)."""
    one = torch.ones(1, dtype=torch.float64)
    scores = torch.zeros(1, len(PARAMETERS), dtype=torch.float64)
    p = values(scores, DEFAULT_WEIGHT_KG * one, _SOME_BETA_CELLS * one)
    body = steady_state(p, p.basal_need_u_h)
    body[: len(DRIVEN)] = held
    body[COMPARTMENTS.index("plasma_mg_kg")] = GLUCOSE_VOLUME_DL_KG * glucose_mg_dl
    return p, body, one.expand(len(_CLOCK), 1)


def _parameters() -> Iterator[Sequence[str]]:
    for p in PARAMETERS:
        bounds = f"{p.low:g} to {p.high:g}"
        yield f"`{p.name}`", p.symbol, p.unit, f"{p.median:g}", _spread(p), bounds, p.source


def _spread(p: Parameter) -> str:
    return f"×÷ {math.exp(p.sd):.2f}" if p.logarithmic else f"± {p.sd:g}"


def _covariates() -> Iterator[Sequence[str]]:
    for effect in EFFECTS:
        yield effect.covariate, f"`{effect.parameter}`", f"× {effect.factor:g}", effect.source


def _entries() -> Iterator[Sequence[str]]:
    for kind, shares in insulin.ENTRIES.items():
        rungs = [
            f"{_percent(share * part)}{_WORDS[rung]}"
            for channel, share in shares.items()
            for rung, part in insulin.CASCADE.inputs[channel]
        ]
        yield kind.replace("_", " "), ", ".join(rungs)


def _percent(share: float) -> str:
    return "" if share == 1 else f"{100 * share:.0f} % "


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _mermaid(direction: str, lines: Iterable[str]) -> str:
    return "\n".join(["```mermaid", f"flowchart {direction}", *lines, "```"])


def _driven() -> Iterator[str]:
    for organ, cascade in _ORGANS.items():
        entries = [f"in_{name}([{name}])" for name in cascade.inputs]
        yield from _group(organ, [*entries, *map(_box, cascade.compartments)])
        for name, targets in cascade.inputs.items():
            yield from (f"  in_{name} --> {target}" for target, _ in targets)
        for flow in cascade.flows:
            yield f"  {flow.source} {'-.->' if flow.follows else '-->'} {flow.target}"
    yield from _group("Clock and conditions", map(_box, _CLOCK))
    yield from _acting(signal_arrows())


def _answering() -> Iterator[str]:
    for part, compartments in _CORE.items():
        yield from _group(part, map(_box, compartments))
    yield from _acting(feedback_arrows())


def _acting(arrows: Sequence[Arrow]) -> Iterator[str]:
    yield from (f"  {_label(name, '{{', '}}')}" for name in _SIGNALS)
    yield from (f"  {source} -->|{sign}| {target}" for source, target, sign in arrows)


def _group(title: str, nodes: Iterable[str]) -> Iterator[str]:
    yield f'  subgraph "{title}"'
    yield from (f"    {node}" for node in nodes)
    yield "  end"


def _box(name: str) -> str:
    return _label(name, "[", "]")


def _label(name: str, begin: str, end: str) -> str:
    code = name.removeprefix("clock_").removeprefix("signal_")
    return f'{name}{begin}"{_WORDS[name]}<br/>{code}"{end}'
