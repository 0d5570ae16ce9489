import numpy as np
import pytest

from hybridtwin.virtual.drawn import draw_patients
from hybridtwin.virtual.native import run
from hybridtwin.virtual.patients import Patients, load_patients
from hybridtwin.virtual.uva_padova import basal_state, basal_u_min, eaten


@pytest.fixture(scope="module")
def drawn() -> Patients:
    return draw_patients(60, seed=1)


def test_drawn_patients_rest_at_their_basal_insulin(drawn: Patients) -> None:
    insulin = np.tile(basal_u_min(drawn), (24 * 60, 1))
    glucose, _ = run(basal_state(drawn), np.zeros_like(insulin), insulin, drawn)
    np.testing.assert_allclose(glucose, np.broadcast_to(glucose[0], glucose.shape), rtol=1e-6)


def test_they_follow_the_relations_between_published_parameters(drawn: Patients) -> None:
    published = load_patients()
    for clearance in ("m4 m2", "m30 m1"):
        one, other = clearance.split()
        ratio = getattr(published, one) / getattr(published, other)
        np.testing.assert_allclose(getattr(drawn, one) / getattr(drawn, other), ratio.mean())


def test_groups_have_the_published_sizes(drawn: Patients) -> None:
    published = load_patients()
    for group in ("adolescent", "adult", "child"):
        for name in ("bw", "vi", "kp3", "p2u", "ib"):
            logs = [
                np.log(getattr(patients, name)[np.array(patients.group) == group])
                for patients in (drawn, published)
            ]
            off = logs[0].mean() - logs[1].mean()
            error = np.sqrt(sum(each.var(ddof=1) / len(each) for each in logs))
            assert abs(off) < 4 * error


def test_nobody_drawn_is_published_or_drawn_twice(drawn: Patients) -> None:
    published = load_patients()
    table = np.concatenate([drawn.table, published.table], axis=1)
    assert len(np.unique(table.round(9), axis=1).T) == len(drawn) + len(published)
    assert not set(drawn.name) & set(published.name)


def test_a_patient_does_not_depend_on_how_many_are_drawn(drawn: Patients) -> None:
    np.testing.assert_allclose(draw_patients(5, seed=1).table, drawn.table[:, :5])
    assert not np.allclose(draw_patients(5, seed=2).table, drawn.table[:, :5])


def test_stronger_boluses_than_the_stated_ratio_bring_a_meal_below_basal(drawn: Patients) -> None:
    """And none leave it above: ratios are near, on the strong side of, what settles the meal."""
    meal = np.zeros((300, len(drawn)))
    meal[0] = 50
    after = []
    for share in (1.0, 0.5):
        insulin = np.tile(basal_u_min(drawn), (300, 1))
        insulin[0] += share * 50 / drawn.cr
        glucose, _ = run(basal_state(drawn), eaten(meal), insulin, drawn)
        after.append(glucose[-1] - glucose[0])
    assert (after[0] < 1).all()
    assert (after[1] > -1).all()
