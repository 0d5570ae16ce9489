"""Peers see what was taken, not how the body model parts it."""

from dataclasses import replace

import numpy as np
import pytest

from hybridtwin.timeline import BOLUS, CARBS, CHANNEL
from training.features import linear_features, sequence, tree_features
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
        np.testing.assert_allclose(features(usual), features(other), rtol=1e-5, atol=1e-5)
    without = split_by_time([replace(record, insulin=insulin[:0])], WindowRule()).score
    assert not np.array_equal(linear_features(usual), linear_features(without))


def _column(windows: Windows, column: int) -> np.ndarray:
    return windows.timelines[0].values[:, column].numpy()


def test_a_sequence_reads_of_a_step_only_once_it_has_ended(make_record):
    """A meal or dose of step k is known at k + 1; nothing but the meal's columns changes."""
    timeline = split_by_time([make_record()], WindowRule()).score.timelines[0]
    values = timeline.values.clone()
    values[400, CHANNEL["carbs_g"]] += 50
    before, after = sequence(timeline), sequence(replace(timeline, values=values))
    rows, columns = np.nonzero(before != after)
    assert set(rows) == {401}
    assert len(columns) == 1
    assert after[401, columns[0]] - before[401, columns[0]] == pytest.approx(50 / 20)
