import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hybridtwin.glycemia.agp import LEAST_DAYS, PERCENTILES, glucose_profile
from tests.hybridtwin.traces import trace_of, wave


def test_days_that_are_alike_have_no_spread():
    profile = glucose_profile(trace_of(wave(14)))
    spread = profile.mg_dl[-1] - profile.mg_dl[0]
    assert spread.max() < 8  # what a wave of 60 mg/dL changes by itself in half an hour
    np.testing.assert_allclose(profile.mg_dl[2], wave(1), atol=1.5)


def test_percentiles_of_steady_days_are_those_of_their_levels():
    levels = 100.0 + 2 * np.arange(21)
    profile = glucose_profile(trace_of(np.repeat(levels, 288)))
    expected = np.percentile(levels, PERCENTILES)
    np.testing.assert_allclose(profile.mg_dl[:, 100], expected, atol=1e-9)
    assert (profile.days == 21).all()


def test_curves_join_at_midnight():
    trace = trace_of(wave(14) + np.random.default_rng(0).normal(0, 5, 14 * 288))
    profile = glucose_profile(trace)
    across = profile.mg_dl[:, 0] - profile.mg_dl[:, -1]
    assert np.abs(across).max() <= np.abs(np.diff(profile.mg_dl, axis=1)).max()


def test_times_with_few_days_are_left_out():
    values = wave(LEAST_DAYS)
    values[:12] = np.nan  # the first hour of one day
    profile = glucose_profile(trace_of(values))
    assert np.isnan(profile.mg_dl[:, :10]).all()
    assert not np.isnan(profile.mg_dl[:, 14:]).any()


@settings(max_examples=20, deadline=None)
@given(arrays(float, (6, 24), elements=st.floats(40, 400)), st.integers(0, 200))
def test_curves_do_not_cross_and_stay_within_the_readings(hours, gap):
    values = np.repeat(hours, 12, axis=1).ravel()
    values[gap : gap + 30] = np.nan
    curves = glucose_profile(trace_of(values)).mg_dl
    known = ~np.isnan(curves[0])
    assert (np.diff(curves[:, known], axis=0) >= -1e-9).all()
    assert (curves[:, known] >= np.nanmin(values) - 1e-3).all()
    assert (curves[:, known] <= np.nanmax(values) + 1e-3).all()
