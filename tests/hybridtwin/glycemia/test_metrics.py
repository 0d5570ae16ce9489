import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridtwin.glycemia.metrics import cv_percent, glycemia_risk, gmi_percent, mean, sd
from hybridtwin.glycemia.ranges import GOALS, PREGNANCY_RANGES, RANGES, TIGHT
from hybridtwin.units import MG_DL_PER_MMOL_L

glucose = st.lists(st.integers(40, 400), min_size=2, max_size=200).map(
    lambda values: np.array(values, dtype=float)
)


@pytest.mark.parametrize(
    ("mean_mg_dl", "percent"),
    # Bergenstal et al. 2018, Diabetes Care 41:2275.
    [(100, 5.7), (125, 6.3), (150, 6.9), (175, 7.5), (200, 8.1), (250, 9.3), (300, 10.5)],
)
def test_gmi_is_that_of_its_paper(mean_mg_dl, percent):
    assert round(gmi_percent(mean_mg_dl), 1) == percent


@pytest.mark.parametrize(
    ("very_low", "low", "high", "very_high", "index", "zone"),
    # The index is 3.0 VLow + 2.4 Low + 1.6 VHigh + 0.8 High (Klonoff et al. 2023, equation 1), its
    # zones are fifths; the second line's times are those of the example profile in the American
    # Diabetes Association's Standards of Care (section 6, figure 1).
    [
        (0, 0, 0, 0, 0.0, "A"),
        (5, 5, 24, 20, 78.2, "D"),
        (0, 0, 25, 0, 20.0, "A"),
        (1, 3, 20, 5, 34.2, "B"),
        (10, 10, 30, 30, 100.0, "E"),
    ],
)
def test_the_risk_index_is_that_of_its_paper(very_low, low, high, very_high, index, zone):
    risk = glycemia_risk({"very_low": very_low, "low": low, "high": high, "very_high": very_high})
    assert risk.index == pytest.approx(index)
    assert risk.zone == zone


def test_the_components_of_the_risk_index_add_up_to_it():
    risk = glycemia_risk({"very_low": 2, "low": 3, "high": 12, "very_high": 4})
    assert risk.hypoglycemia == pytest.approx(2 + 0.8 * 3)
    assert risk.hyperglycemia == pytest.approx(4 + 0.5 * 12)
    assert risk.index == pytest.approx(3.0 * risk.hypoglycemia + 1.6 * risk.hyperglycemia)


@pytest.mark.parametrize(
    ("mmol_l", "name"),
    # Battelino et al. 2019, table 2: <3.0, 3.0-3.8, 3.9-10.0, 10.1-13.9, >13.9 mmol/L.
    [
        *[(2.9, "very_low"), (3.0, "low"), (3.8, "low"), (3.9, "target"), (10.0, "target")],
        *[(10.1, "high"), (13.9, "high"), (14.0, "very_high")],
    ],
)
def test_values_in_mmol_l_stay_in_their_range(mmol_l, name):
    value = np.array([mmol_l * MG_DL_PER_MMOL_L])
    assert [each.name for each in RANGES if each.percent(value) == 100] == [name]


@pytest.mark.parametrize(
    ("mmol_l", "name"),
    [
        *[(2.9, "very_low"), (3.0, "low"), (3.4, "low"), (3.5, "target"), (7.8, "target")],
        (7.9, "high"),
    ],
)
def test_values_in_mmol_l_stay_in_their_range_of_pregnancy(mmol_l, name):
    value = np.array([mmol_l * MG_DL_PER_MMOL_L])
    assert [each.name for each in PREGNANCY_RANGES if each.percent(value) == 100] == [name]


@given(glucose)
def test_ranges_share_all_time_among_them(mg_dl):
    for ranges in (RANGES, PREGNANCY_RANGES):
        assert sum(each.percent(mg_dl) for each in ranges) == pytest.approx(100)
    target = next(each for each in RANGES if each.name == "target")
    assert TIGHT.percent(mg_dl) <= target.percent(mg_dl)


@given(glucose, st.randoms(use_true_random=False))
def test_order_and_gaps_do_not_matter(mg_dl, chance):
    shuffled = list(mg_dl)
    chance.shuffle(shuffled)
    with_gaps = np.concatenate([[np.nan], shuffled, [np.nan] * 3])
    for figure in (mean, sd, cv_percent):
        assert figure(with_gaps) == pytest.approx(figure(mg_dl), abs=1e-9)
    for each in RANGES:
        assert each.percent(with_gaps) == each.percent(mg_dl)


@given(glucose)
def test_variation_has_no_unit(mg_dl):
    assert cv_percent(mg_dl / MG_DL_PER_MMOL_L) == pytest.approx(cv_percent(mg_dl), abs=1e-9)


@given(glucose, st.floats(1.0, 3.0))
def test_higher_glucose_is_a_higher_mean_and_gmi(mg_dl, factor):
    assert mean(factor * mg_dl) >= mean(mg_dl)
    assert gmi_percent(mean(factor * mg_dl)) >= gmi_percent(mean(mg_dl))


def test_goals_are_met_or_not():
    percents = {"very_low": 0.5, "low": 3.6, "target": 71.0, "high": 20.0, "very_high": 4.9}
    assert [goal.met(percents) for goal in GOALS] == [True, False, True, True, True]
