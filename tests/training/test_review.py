"""Reviews asked about virtual people of whom it is known what made the low and what prevents it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.progress import Progress

from hybridtwin.config import read_config
from hybridtwin.registry import load_twin
from hybridtwin.review.settings import ReviewSettings
from hybridtwin.review.suggestions import Chances, Measure, Suggestion
from hybridtwin.virtual.planted import Evening
from training.cause import published_people
from training.evaluate import Protocol
from training.metrics import ROW
from training.personalise import PersonalSettings
from training.review_evenings import EveningsRule, draw_evenings
from training.review_reasons import ReviewReasonsProtocol, evaluate_reasons
from training.review_suggestions import (
    ReviewSuggestionsProtocol,
    evaluate_suggestions,
    followed,
)

QUICK = PersonalSettings(windows=8, rounds=1, horizon_min=30)
SMALL = {"people": 2, "days": 6, "evenings": 1, "bootstrap_samples": 20}
NOTHING = Chances(below_70=0, below_54=0, above_250=0, long_above_180=0)


@pytest.fixture(scope="module")
def evening() -> Evening:
    rule = ReviewReasonsProtocol(**SMALL)
    people = published_people(1, rule.days + 2, rule.seed)
    return next(draw_evenings(rule, people)).untouched


def _suggested(evening: Evening, **said: object) -> Suggestion:
    rest = {"without": NOTHING, "following": NOTHING, "rise": 0, "rise_low": 0, "rise_high": 0}
    return Suggestion.model_validate({"begin": evening.now} | said | rest)


def test_a_snack_is_eaten_whole_and_later(evening: Evening) -> None:
    begin = evening.now + pd.Timedelta(minutes=10)
    snack = _suggested(evening, measure=Measure.SNACK, carbs_g=20, begin=begin)
    more = followed(evening, snack).carbs_g_min - evening.inputs.carbs_g_min
    assert more.sum() == pytest.approx(20)
    assert np.flatnonzero(more)[0] == evening.now_min + 10


def test_less_basal_is_held_back_while_it_is_said(evening: Evening) -> None:
    end = evening.now + pd.Timedelta(hours=2)
    less = _suggested(evening, measure=Measure.BASAL, less_percent=50, end=end)
    held_back = evening.inputs.insulin_u_min - followed(evening, less).insulin_u_min
    span = slice(evening.now_min, evening.now_min + 120)
    np.testing.assert_allclose(held_back[span], 0.5 * evening.inputs.basal_u_min()[span])
    assert held_back.sum() == pytest.approx(held_back[span].sum())


def test_both_protocols_give_tidy_rows() -> None:
    twin = load_twin()
    reasons = evaluate_reasons(
        ReviewReasonsProtocol(**SMALL, least_mg_dl=1), twin, QUICK, Progress(disable=True)
    )
    review = ReviewSettings(explain_from=0, prevents_at_least=0.4, very_high_at_most=1)
    suggestions = evaluate_suggestions(
        ReviewSuggestionsProtocol(**SMALL, review=review.model_copy(update={"snacks_g": (30,)})),
        twin,
        QUICK,
        Progress(disable=True),
    )
    for found in (reasons, suggestions):
        assert list(found.columns) == list(ROW)
        assert found["value"].between(0, 1).all()
    assert {"reason_first", "reason_first_untouched"} <= set(reasons["metric"])
    assert {"low_suggested", "needless"} & set(suggestions["metric"])


@pytest.mark.parametrize("name", ["review-reasons", "review-suggestions"])
def test_the_configured_protocols_ask_all_published_patients(name: str) -> None:
    protocol = read_config(Path(f"configs/protocols/{name}.yaml"), Protocol).root
    assert protocol.name == name
    assert isinstance(protocol, EveningsRule)
    assert protocol.people == 30
