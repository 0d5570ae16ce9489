"""The page about the body is what the code says, and its arrows are what the dynamics do."""

import re
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from hybridtwin import cli
from hybridtwin.dynamics import Acting, body_of, person_of, state_of, step
from hybridtwin.events import InsulinKind
from hybridtwin.physiology import describe
from hybridtwin.physiology.body import COMPARTMENTS, DRIVEN, INPUTS, ROW
from hybridtwin.physiology.covariates import EFFECTS
from hybridtwin.physiology.glucose import GLUCOSE_VOLUME_DL_KG, Signals
from hybridtwin.physiology.parameters import PARAMETERS, values
from hybridtwin.physiology.steady import steady_state

COMMITTED = Path(describe.__file__).with_name("BODY.md")


def test_the_committed_page_is_what_the_code_says() -> None:
    made = CliRunner().invoke(cli.app, ["body"], catch_exceptions=False).output
    assert COMMITTED.read_text() == made, (
        "make it anew: hybridtwin body --out hybridtwin/physiology/BODY.md"
    )


def test_the_command_writes_what_it_shows(tmp_path: Path) -> None:
    shown = CliRunner().invoke(cli.app, ["body"], catch_exceptions=False).output
    CliRunner().invoke(cli.app, ["body", "--out", str(tmp_path / "b.md")], catch_exceptions=False)
    assert (tmp_path / "b.md").read_text() == shown


def test_nothing_is_left_out() -> None:
    page = describe.page()
    tables, _, insulins = page.partition("## Compartments")[0], *page.rpartition("## Where")[1:]
    for parameter in PARAMETERS:
        assert f"| `{parameter.name}` | {parameter.symbol} |" in tables
        assert f"| {parameter.source} |" in tables
    for effect in EFFECTS:
        assert f"| {effect.covariate} | `{effect.parameter}` |" in tables
    for kind in InsulinKind:
        assert f"| {kind.replace('_', ' ')} | " in insulins
    driven, feedback = re.findall(r"```mermaid\n(.*?)\n```", page, re.DOTALL)
    for name in DRIVEN:
        assert f"\n    {name}[" in driven
    for name in INPUTS:
        assert f"\n    in_{name}([" in driven
        assert f"\n  in_{name} --> " in driven
    for name in COMPARTMENTS[len(DRIVEN) :]:
        assert f"\n    {name}[" in feedback
    for name in Signals._fields:
        assert f"\n  signal_{name}{{" in driven
        assert f"\n  signal_{name} -->" in feedback


def test_only_what_is_drawn_as_a_box_is_joined() -> None:
    for diagram in re.findall(r"```mermaid\n(.*?)\n```", describe.page(), re.DOTALL):
        nodes = set(re.findall(r"^ +(\w+)[\[({]", diagram, re.MULTILINE))
        joined = re.findall(r"^ +(\w+) -\.?->(?:\|.\|)? (\w+)$", diagram, re.MULTILINE)
        assert nodes == {end for ends in joined for end in ends}
        assert diagram.count("subgraph") == len(re.findall(r"^  end$", diagram, re.MULTILINE))


def test_what_physiology_demands_is_drawn() -> None:
    signals, feedback = set(describe.signal_arrows()), set(describe.feedback_arrows())
    assert {
        ("uptake_effect_u", "signal_uptake_insulin", "+"),
        ("gut_2_g", "signal_appearance", "+"),
        ("alcohol_2_g", "signal_liver", "−"),
        ("exertion", "signal_muscle", "+"),
    } <= signals
    assert {
        ("signal_uptake_insulin", "tissue_mg_kg", "−"),
        ("signal_liver_insulin", "plasma_mg_kg", "−"),
        ("signal_appearance", "plasma_mg_kg", "+"),
        ("plasma_mg_kg", "adrenaline", "−"),
        ("adrenaline", "plasma_mg_kg", "+"),
        ("low_memory", "glucagon_pg_ml", "−"),
        ("plasma_mg_kg", "own_secretion_mu_l_min", "+"),
    } <= feedback
    assert not any(target.startswith("signal_") for _, target, _ in feedback)
    assert all(sign in "+−" for _, _, sign in signals | feedback), "an effect has two signs"


@pytest.mark.parametrize("glucose_mg_dl", [55.0, 180.0])
def test_every_arrow_between_compartments_is_seen_in_a_step(glucose_mg_dl: float) -> None:
    one = torch.ones(1, dtype=torch.float64)
    p = values(torch.zeros(1, len(PARAMETERS), dtype=torch.float64), 70 * one, 0.5 * one)
    body = steady_state(p, p.basal_need_u_h)
    body[ROW["plasma_mg_kg"]] = GLUCOSE_VOLUME_DL_KG * glucose_mg_dl
    body[ROW["glucagon_pg_ml"]], body[ROW["adrenaline"]] = 10.0, 0.5
    neutral = torch.ones(3, 1, dtype=torch.float64)
    acting = Acting(
        torch.zeros(len(INPUTS), 1, dtype=torch.float64), neutral, neutral, one.expand(5, 1)
    )
    person = person_of(p, body.new_zeros(0, 1), one)

    def after(start: torch.Tensor) -> torch.Tensor:
        state = state_of(start, body.new_zeros(0, 1), acting, person, None)
        return body_of(step(state, acting, person, None))

    usual = after(body)
    for source, target, sign in describe.feedback_arrows():
        if source in ROW:
            more = body.clone()
            more[ROW[source]] *= 1.01
            change = float(after(more)[ROW[target]] - usual[ROW[target]])
            assert (change > 0) == (sign == "+"), (source, target)
            assert change != 0, (source, target)
