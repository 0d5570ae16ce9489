import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridtwin.virtual.changes import Change, ChangeKind, Inputs, changed

BOLUS_AT, MEAL_AT = 10, 18
BOLUS_U, MEAL_G, BASAL_U_MIN = 4.0, 43.0, 0.02
factors = st.floats(0, 2)


def _inputs(meal_at: int = MEAL_AT) -> Inputs:
    carbs, insulin = np.zeros(240), np.full(240, BASAL_U_MIN)
    insulin[BOLUS_AT] += BOLUS_U
    carbs[meal_at : meal_at + 8], carbs[meal_at + 8] = 5, 3
    carbs[150:153] = 5
    return Inputs(carbs, insulin)


def _applied(kind: ChangeKind, amount: float) -> Inputs:
    found = changed(_inputs(), Change(kind, amount))
    assert found is not None
    return found


@given(factor=factors)
def test_a_bolus_changes_by_its_factor_and_nothing_else_does(factor: float) -> None:
    before, after = _inputs(), _applied(ChangeKind.BOLUS, factor)
    gap = after.insulin_u_min - before.insulin_u_min
    assert gap[BOLUS_AT] == pytest.approx((factor - 1) * BOLUS_U)
    assert not np.delete(gap, BOLUS_AT).any()
    np.testing.assert_array_equal(after.carbs_g_min, before.carbs_g_min)


def test_a_bolus_left_out_leaves_the_basal() -> None:
    after = _applied(ChangeKind.LEFT_OUT_BOLUS, 0)
    np.testing.assert_allclose(after.insulin_u_min, BASAL_U_MIN)


@given(factor=factors)
def test_basal_changes_throughout_and_boluses_stay(factor: float) -> None:
    after = _applied(ChangeKind.BASAL, factor)
    np.testing.assert_allclose(after.basal_u_min(), factor * BASAL_U_MIN)
    np.testing.assert_allclose(after.bolus_u(), _inputs().bolus_u(), atol=1e-12)


@given(factor=factors)
def test_the_next_meal_changes_by_its_factor_and_later_ones_stay(factor: float) -> None:
    after = _applied(ChangeKind.MEAL_SIZE, factor)
    assert after.carbs_g_min[:150].sum() == pytest.approx(factor * MEAL_G)
    np.testing.assert_array_equal(after.carbs_g_min[150:], _inputs().carbs_g_min[150:])


@given(later=st.integers(-MEAL_AT, 60))
def test_a_meal_is_moved_whole(later: int) -> None:
    after = _applied(ChangeKind.MEAL_TIME, later)
    meal = slice(MEAL_AT + later, MEAL_AT + later + 9)
    np.testing.assert_allclose(after.carbs_g_min[meal], _inputs().carbs_g_min[MEAL_AT:][:9])
    assert after.carbs_g_min.sum() == pytest.approx(_inputs().carbs_g_min.sum())
    np.testing.assert_array_equal(after.insulin_u_min, _inputs().insulin_u_min)


@pytest.mark.parametrize("kind", [kind for kind in ChangeKind if kind is not ChangeKind.BASAL])
def test_without_a_meal_or_bolus_soon_there_is_nothing_to_change(kind: ChangeKind) -> None:
    carbs, insulin = np.zeros(240), np.full(240, BASAL_U_MIN)
    carbs[70:75], insulin[65] = 5, 2
    assert changed(Inputs(carbs, insulin), Change(kind, 0.5)) is None


def test_a_meal_cannot_be_moved_into_the_past_nor_one_that_is_being_eaten() -> None:
    assert changed(_inputs(), Change(ChangeKind.MEAL_TIME, -MEAL_AT - 1)) is None
    assert changed(_inputs(meal_at=0), Change(ChangeKind.MEAL_SIZE, 0.5)) is None
