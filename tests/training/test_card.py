import json

import pytest

from hybridtwin.errors import ModelError
from hybridtwin.twin_config import TwinConfig
from training.card import write_card

TWIN = TwinConfig(version="v2")


def _row(value, **more):
    row = {"cohort": "toy", "split": "s", "participant": "mean", "model": "twin"}
    row |= {"horizon_min": 30, "metric": "rmse", "value": value, "participants": 7, "windows": 9}
    return row | {"ci_low": value - 1, "ci_high": value + 1} | more


def _write(path, *rows, protocol="p", fingerprint="abc"):
    content = {
        "protocol": {"name": protocol},
        "data_fingerprint": fingerprint,
        "code_version": path.stem,
        "created": "2026-01-01T00:00:00+00:00",
        "skipped": [{"participant": "short", "cohort": "toy", "reason": "2 windows"}],
        "rows": list(rows),
    }
    path.write_text(json.dumps(content))
    return path


def _card(tmp_path, reports, before=()):
    return write_card(TWIN, reports, tmp_path / "card.md", before).read_text()


def test_figures_stand_under_their_model_and_horizon(tmp_path):
    """A horizon that one model lacks leaves a gap and moves nothing."""
    rows = [
        _row(20.0, horizon_min=60),
        _row(10.0),
        _row(30.0, horizon_min=60, model="ridge"),
        _row(0.80, metric="coverage_80", ci_low=0.7, ci_high=0.9),
        _row(1.0, participant="one"),
    ]
    card = _card(tmp_path, [_write(tmp_path / "now.json", *rows)])
    assert "Version v2." in card
    assert "toy, 7 participants" in card
    assert "| RMSE, mg/dL | 30 min | 60 min |" in card
    assert "| twin | 10.00 (9.00 to 11.00) | 20.00 (19.00 to 21.00) |" in card
    assert "| ridge |  | 30.00 (29.00 to 31.00) |" in card
    assert "| twin | 0.800 (0.700 to 0.900) |" in card
    assert "Not scored for lack of windows: short." in card
    assert "1.00 (0.00" not in card


def test_all_of_one_cohort_are_not_shown_twice(tmp_path):
    alone = [_row(10.0), _row(10.0, cohort="all")]
    card = _card(tmp_path, [_write(tmp_path / "one.json", *alone)])
    assert ("toy, 7 participants" in card, "all, 7 participants" in card) == (True, False)
    several = [*alone, _row(12.0, cohort="other")]
    assert "all, 7" in _card(tmp_path, [_write(tmp_path / "two.json", *several)])


def test_what_is_of_now_has_no_horizon(tmp_path):
    told = _row(0.8, metric="meal_told", horizon_min=0)
    card = _card(tmp_path, [_write(tmp_path / "now.json", told)])
    assert "| share of meals without a log that are told | now |" in card


def test_every_protocol_and_split_has_its_own_tables(tmp_path):
    first = _write(tmp_path / "a.json", _row(30.0), protocol="last-fifth")
    second = _write(
        tmp_path / "b.json",
        _row(40.0, split="after 1 day"),
        _row(50.0, split="after 3 days"),
        _row(0.84, split="after 3 days", metric="auroc_below_70"),
        protocol="cold-start",
    )
    card = _card(tmp_path, [first, second])
    order = ["### last-fifth", "30.00", "### cold-start", "after 1 day", "40.00", "after 3 days"]
    found = [card.index(words) for words in [*order, "50.00", "AUROC", "0.840"]]
    assert found == sorted(found)


def test_the_version_before_is_a_ratio_of_errors(tmp_path):
    night = _row(0.1, metric="brier_below_70")
    before = _write(tmp_path / "old.json", _row(20.0), night, _row(0.5, metric="auroc_below_70"))
    now = _write(tmp_path / "now.json", _row(15.0), night, _row(0.6, metric="auroc_below_70"))
    card = _card(tmp_path, [now], [before])
    assert "| s, toy, twin, rmse | 0.750 |" in card
    assert "| s, toy, twin, brier_below_70 | 1.000 |" in card
    assert "1.200" not in card  # an AUROC is no error


def test_only_the_same_windows_are_compared(tmp_path):
    """A horizon that was added since has nothing to be held against."""
    rows = [_row(20.0), _row(10.0, horizon_min=60, windows=8)]
    before = _write(tmp_path / "old.json", *rows)
    now = [_row(15.0), _row(9.0, horizon_min=60), _row(30.0, horizon_min=240)]
    card = _card(tmp_path, [_write(tmp_path / "now.json", *now)], [before])
    assert "| s, toy, twin, rmse | 0.750 |" in card


def test_a_version_before_scored_otherwise_is_refused(tmp_path):
    now = _write(tmp_path / "now.json", _row(15.0))
    for more in ({"fingerprint": "def"}, {"protocol": "q"}):
        before = _write(tmp_path / "old.json", _row(20.0), **more)
        with pytest.raises(ModelError, match=r"old\.json: it was scored on other records"):
            _card(tmp_path, [now], [before])
