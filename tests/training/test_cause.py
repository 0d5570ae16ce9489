from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from hybridtwin.config import read_config
from hybridtwin.events import Dose, InsulinKind, Meal
from hybridtwin.plan import Plan
from hybridtwin.registry import load_twin, save_twin, untrained_twin
from hybridtwin.twin import Twin
from hybridtwin.units import STEP_MIN
from hybridtwin.virtual.drawn import draw_patients
from hybridtwin.virtual.life import VirtualPerson
from training.batch import Participants, learning_part
from training.black_box import BlackBoxSettings, fit_black_box
from training.cause import CauseProtocol, ask, asked, evaluate_cause, scored_people, strangers
from training.cause_scores import rows, scores
from training.metrics import MEAN, ROW
from training.personalise import PersonalSettings
from training.virtual_futures import AS_IT_WAS, Futures
from training.virtual_pairs import load_pairs, make_pairs, save_pairs

PROTOCOL = CauseProtocol(
    people=3,
    days=3,
    days_after=2,
    moments=4,
    black_box=BlackBoxSettings(hidden=8, batches=2, batch_size=16),
    bootstrap_samples=20,
)
QUICK = PersonalSettings(windows=8, rounds=1, horizon_min=30)


@pytest.fixture(scope="module")
def people() -> list[VirtualPerson]:
    return scored_people(PROTOCOL)


@pytest.fixture(scope="module")
def futures(people: list[VirtualPerson]) -> Futures:
    return ask(PROTOCOL, people)


@pytest.fixture(scope="module")
def learnt(people: list[VirtualPerson]) -> Participants:
    return learning_part([one.record for one in people], 0.6)


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Twin:
    return load_twin(save_twin(untrained_twin(seed=0), tmp_path_factory.mktemp("twin")))


def _found(futures: Futures, expected: torch.Tensor) -> pd.Series:
    """The metrics of everybody, by metric and horizon."""
    table = scores(futures, expected.double().numpy(), (60, 240), 2)
    found = rows("model", table, [f"p{i}" for i in range(PROTOCOL.people)], "cause", 20, 0)
    means = found[(found["participant"] == MEAN) & (found["cohort"] == "virtual")]
    return means.set_index(["metric", "horizon_min"])["value"]


def _base(futures: Futures) -> torch.Tensor:
    """(F, H) what happened, for each future of its moment."""
    return futures.glucose_mg_dl[futures.happened][futures.moment]


@pytest.mark.parametrize(
    ("gain", "expected"),
    [
        (1.0, {"sign_right": 1, "difference_error": 0, "ranking_error": 0}),
        (1.5, {"sign_right": 1, "difference_error": 0.5, "ranking_error": 0}),
        (0.0, {"sign_right": 0, "difference_error": 1, "ranking_error": 1}),
        (-1.0, {"sign_right": 0, "difference_error": 2, "ranking_error": 1}),
    ],
)
def test_scores_of_effects_that_are_a_multiple_of_the_true_ones(
    futures: Futures, gain: float, expected: dict[str, float]
) -> None:
    base = _base(futures)
    found = _found(futures, base + gain * (futures.glucose_mg_dl - base))
    for metric, value in expected.items():
        for horizon in (60, 240):
            assert found[metric, horizon] == pytest.approx(value, abs=1e-4)
    for kind in set(futures.kind) - {AS_IT_WAS}:
        assert found[f"difference_error_{kind}", 240] == pytest.approx(
            expected["difference_error"], abs=1e-4
        )
    assert found["rmse", 240] == pytest.approx(0, abs=1e-4)


def test_an_error_that_all_futures_share_is_no_error_of_a_difference(futures: Futures) -> None:
    found = _found(futures, futures.glucose_mg_dl + 25)
    assert found["rmse", 60] == pytest.approx(25, rel=1e-4)
    assert found["difference_error", 60] == pytest.approx(0, abs=1e-3)
    assert found["ranking_error", 60] == 0


def test_the_twin_is_asked_what_its_forecast_of_a_complete_plan_says(
    people: list[VirtualPerson], futures: Futures, learnt: Participants, twin: Twin
) -> None:
    chosen = torch.arange(0, len(futures), 17)
    with torch.inference_mode():
        answered = asked(twin, strangers(twin, learnt))(futures.batch(chosen))
    for row, future in enumerate(chosen.tolist()):
        moment = int(futures.moment[future])
        record = people[int(futures.person[moment])].record
        offset = futures.grid.offsets[int(futures.person[moment])]
        first = record.glucose["time"].iloc[0].floor("5min")
        now = first + (int(futures.anchor[moment]) - offset) * pd.Timedelta(minutes=STEP_MIN)
        belief = twin.believe(record, now, members=2)
        plan = _plan(futures.inputs[future], now)
        forecast = twin.forecast(belief, plan, horizon_min=240)
        torch.testing.assert_close(forecast.expected_mg_dl, answered[row], rtol=1e-3, atol=0.1)


def _plan(inputs: torch.Tensor, now: pd.Timestamp) -> Plan:
    insulin, meals = [], []
    for step, (bolus, basal, carbs) in enumerate(inputs.tolist()):
        time = (now + step * pd.Timedelta(minutes=STEP_MIN)).to_pydatetime()
        rapid = {"time": time, "kind": InsulinKind.RAPID}
        insulin.append(Dose(**rapid, purpose="basal", dose_u=basal, duration_min=STEP_MIN))
        if bolus > 0:
            insulin.append(Dose(**rapid, purpose="bolus", dose_u=bolus))
        if carbs > 0:
            meals.append(Meal(time=time, carbs_g=carbs))
    return Plan(mode="complete", insulin=insulin, meals=meals)


def test_the_protocol_gives_rows_of_every_model_and_person(twin: Twin) -> None:
    found = evaluate_cause(PROTOCOL, twin, QUICK)
    assert list(found.columns) == list(ROW)
    assert set(found["model"]) == {"twin", "twin-personal", "lstm"}
    assert found["participant"].nunique() == PROTOCOL.people + 1
    means = found[found["participant"] == MEAN]
    assert (means["ci_low"] <= means["ci_high"]).all()
    assert np.isfinite(found[["value", "ci_low", "ci_high"]]).all(axis=None)
    asked = found[(found["metric"] == "rmse") & (found["participant"] == MEAN)]
    assert (asked["windows"] == PROTOCOL.people * PROTOCOL.moments).all()


def test_the_black_box_learns_from_the_logged_days(futures: Futures, learnt: Participants) -> None:
    batch = futures.batch(torch.arange(len(futures)))
    errors = []
    for batches in (1, 60):
        settings = BlackBoxSettings(hidden=16, batches=batches, batch_size=64, learning_rate=0.01)
        box = fit_black_box(learnt, 60, settings)
        with torch.inference_mode():
            errors.append(float((box(batch) - batch.target_mg_dl)[:, :12].square().mean()))
    assert errors[1] < errors[0]


def test_pairs_share_a_history_and_differ_in_what_comes(tmp_path: Path) -> None:
    pairs = make_pairs(people=3, days=4, moments=4, horizon_min=120, seed=1)
    save_pairs(pairs, tmp_path / "pairs.pt")
    for one in (pairs, load_pairs(tmp_path / "pairs.pt")):
        happened, changed = one.draw(16, torch.Generator().manual_seed(0))
        torch.testing.assert_close(happened.history.events, changed.history.events)
        torch.testing.assert_close(happened.person, changed.person)
        differs = (happened.events - changed.events).abs().flatten(1).sum(1)
        assert (differs > 0).all()
        assert one.participants.weights_kg[happened.person].shape == (16,)
    torch.testing.assert_close(
        load_pairs(tmp_path / "pairs.pt")
        .draw(16, torch.Generator().manual_seed(0))[1]
        .target_mg_dl,
        changed.target_mg_dl,
    )


def test_nobody_who_is_scored_is_drawn_for_training(people: list[VirtualPerson]) -> None:
    scored = np.concatenate([one.truth.patient.table for one in people], axis=1)
    drawn = draw_patients(30, seed=0).table
    assert not np.isclose(scored[:, :, None], drawn[:, None]).all(axis=0).any()


def test_the_configured_protocol_asks_at_hundreds_of_moments_after_two_weeks() -> None:
    protocol = read_config(Path("configs/protocols/cause.yaml"), CauseProtocol)
    assert protocol.people * protocol.moments >= 500
    assert protocol.days == 14
