"""Peers see what was taken, not how the body model parts it."""

from dataclasses import replace

import numpy as np
import pytest

from hybridtwin.timeline import BOLUS, CARBS, CHANNEL
from training.features import linear_features, tree_features
from training.windows import WindowRule, Windows, split_by_time


@pytest.mark.parametrize(
    ("table", "changes", "parted"),
    [
        ("insulin", {"kind": "faster_aspart"}, BOLUS),
        ("insulin", {"kind": "regular"}, BOLUS),
        ("meals", {"glycaemic_index": 30.0, "fibre_g": 9.0}, CARBS),
        ("meals", {"liquid": True}, CARBS),
    ],
)
def test_a_dose_or_meal_is_one_amount_whatever_its_way(make_record, table, changes, parted):
    record = make_record()
    other = replace(record, **{table: getattr(record, table).assign(**changes)})
    plain, changed = (split_by_time([one], WindowRule()).score for one in (record, other))
    first = CHANNEL[parted[0]]
    assert _column(plain, first).sum() != pytest.approx(_column(changed, first).sum())
    for features in (linear_features, tree_features):
        np.testing.assert_allclose(features(plain), features(changed), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", ["degludec", "nph", "glargine_u300"])
def test_a_long_acting_dose_is_one_amount_whatever_its_kind(make_record, kind):
    record = make_record()
    insulin = record.insulin.assign(purpose="basal", kind="glargine_u100")
    usual, other = (
        split_by_time([replace(record, insulin=rows)], WindowRule()).score
        for rows in (insulin, insulin.assign(kind=kind))
    )
    for features in (linear_features, tree_features):
        np.testing.assert_array_equal(features(usual), features(other))
    without = split_by_time([replace(record, insulin=insulin[:0])], WindowRule()).score
    assert not np.array_equal(linear_features(usual), linear_features(without))


def _column(windows: Windows, column: int) -> np.ndarray:
    return windows.timelines[0].values[:, column].numpy()
