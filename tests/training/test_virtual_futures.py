import numpy as np
import pandas as pd
import pytest
import torch

from hybridtwin.timeline import CHANNEL
from hybridtwin.units import STEP_MIN, steps
from hybridtwin.virtual.changes import SOON_MIN, Change, ChangeKind
from hybridtwin.virtual.life import VirtualPerson, live
from hybridtwin.virtual.patients import load_patients
from training.virtual_futures import AS_IT_WAS, Futures, Moments, draw_moments, make_futures

HORIZON_MIN, FIRST_DAY = 180, 1.0
CHANGES = [
    Change(ChangeKind.BOLUS, 1.5),
    Change(ChangeKind.BASAL, 0.5),
    Change(ChangeKind.MEAL_SIZE, 0.5),
]


@pytest.fixture(scope="module")
def people() -> list[VirtualPerson]:
    start = pd.Timestamp("2024-03-04", tz="UTC")
    return live(load_patients(["adult-01", "child-02"]), 3, start, seed=3)


@pytest.fixture(scope="module")
def moments(people: list[VirtualPerson]) -> Moments:
    return draw_moments(people, 12, FIRST_DAY, HORIZON_MIN, seed=0)


@pytest.fixture(scope="module")
def futures(people: list[VirtualPerson], moments: Moments) -> Futures:
    return make_futures(people, moments, lambda: CHANGES, HORIZON_MIN)


def test_moments_lie_after_the_first_day_and_their_futures_were_lived(
    people: list[VirtualPerson], moments: Moments
) -> None:
    assert (moments.step >= steps(FIRST_DAY * 24 * 60)).all()
    assert (moments.step + steps(HORIZON_MIN) <= len(people[0].truth)).all()
    assert len(set(zip(moments.person, moments.step, strict=True))) == 24


def test_what_happened_is_what_the_truth_says(
    people: list[VirtualPerson], moments: Moments, futures: Futures
) -> None:
    happened = [row for row, kind in enumerate(futures.kind) if kind == AS_IT_WAS]
    assert len(happened) == len(moments.step)
    for row in happened:
        moment = int(futures.moment[row])
        truth, step = people[moments.person[moment]].truth, moments.step[moment]
        after = truth.glucose_mg_dl[step + 1 : step + 1 + steps(HORIZON_MIN)]
        known = min(len(after), steps(HORIZON_MIN))
        np.testing.assert_allclose(futures.glucose_mg_dl[row, :known], after, rtol=1e-5)
        carbs, insulin = truth.inputs(step, HORIZON_MIN)
        per_step = futures.inputs[row].numpy()
        eaten = carbs.reshape(-1, STEP_MIN).sum(1)
        np.testing.assert_allclose(per_step[:, 2], eaten, atol=1e-4)
        np.testing.assert_allclose(per_step[:, :2].sum(), insulin.sum(), rtol=1e-5)


def test_histories_end_at_the_moment_with_what_was_logged(
    people: list[VirtualPerson], moments: Moments, futures: Futures
) -> None:
    batch = futures.batch(torch.arange(len(futures)))
    for row in range(len(futures)):
        moment = int(futures.moment[row])
        one = people[moments.person[moment]]
        time = one.truth.start + int(moments.step[moment]) * np.timedelta64(STEP_MIN, "m")
        readings = one.record.glucose.set_index("time")["mg_dl"]
        assert batch.history.glucose_mg_dl[row, -1] == readings[time]
        day = one.record.meals["time"].between(time - np.timedelta64(24, "h"), time, "left")
        logged = one.record.meals.loc[day, "carbs_g"].sum()
        shown = batch.history.channel("carbs_g")[row, -steps(24 * 60) :].sum()
        assert float(shown) == pytest.approx(logged, abs=1e-3)
        local = time.tz_convert(one.record.profile.time_zone)
        assert batch.minute_of_day[row, 0] == local.hour * 60 + local.minute


def test_a_change_acts_only_after_it_begins_and_in_the_right_direction(futures: Futures) -> None:
    base = 0
    for row, kind in enumerate(futures.kind):
        if kind == AS_IT_WAS:
            base = row
            continue
        gap = futures.glucose_mg_dl[row] - futures.glucose_mg_dl[base]
        differs = (futures.inputs[row] - futures.inputs[base]).abs().sum(1) > 0
        first = int(torch.nonzero(differs)[0])
        assert first < steps(SOON_MIN)
        assert gap[:first].abs().max() < 1e-3 if first else True
        assert (gap[-1] > 0) == (kind == ChangeKind.BASAL)


def test_a_batch_holds_each_future_in_its_channels(futures: Futures) -> None:
    chosen = torch.tensor([3, 0, 3])
    batch = futures.batch(chosen)
    for column, name in enumerate(("bolus_u", "basal_u", "carbs_g")):
        torch.testing.assert_close(
            batch.events[..., CHANNEL[name]], futures.inputs[chosen][..., column]
        )
    torch.testing.assert_close(batch.events.sum(-1), futures.inputs[chosen].sum(-1))
    torch.testing.assert_close(batch.target_mg_dl, futures.glucose_mg_dl[chosen])
