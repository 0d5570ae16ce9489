"""The parts that need no server."""

from concurrent.futures import Future

import pytest

from hybridtwin.errors import ModelError, RecordError, TwinError
from hybridtwin.forecast import EventProbabilities
from hybridtwin.review.review import NightRisk
from hybridtwin.trust import Trust
from serving.cli import serve
from serving.page import html
from serving.reader import Reader
from serving.settings import Settings, from_environment
from serving.tonight import group_of
from serving.tonight_page import state_of


def _risk(below_70, trust="full"):
    events = EventProbabilities(below_70=below_70, below_54=0, above_180=0, above_250=0)
    return NightRisk(participant="p1", status="forecast", events=events, trust=Trust(level=trust))


@pytest.mark.parametrize(
    ("risk", "group"),
    [
        (_risk(0.5), "low"),
        (_risk(0.49), "watch"),
        (_risk(0.2), "watch"),
        (_risk(0.19), "quiet"),
        (_risk(0.01, trust="low"), "watch"),
        (NightRisk(participant="p1", status="refused"), "refused"),
    ],
)
def test_nobody_is_called_quiet_whose_data_do_not_allow_it(risk, group):
    assert group_of(risk, Settings()) == group


def _page(review):
    template, said = state_of(review, Settings())
    return html(template, Reader(), **said)


def test_without_a_clinic_the_page_says_how_to_get_one():
    assert "make demo" in _page(None)


def test_while_the_review_runs_the_page_comes_back_by_itself():
    page = _page(Future())
    assert 'http-equiv="refresh"' in page
    assert "being reviewed" in page


def test_a_review_that_failed_is_no_empty_list():
    review = Future()
    review.set_exception(RecordError.of("the clinic", "holds no readings", "Import again."))
    page = _page(review)
    assert "holds no readings" in page
    assert "not an empty list" in page


def test_settings_go_through_the_environment_and_back(monkeypatch):
    settings = Settings.model_validate(
        {"clinic": "demo", "now": "2026-01-31T21:30:00+01:00", "watch": 0.3}
    )
    for name, value in settings.as_environment().items():
        monkeypatch.setenv(name, value)
    assert from_environment() == settings


def test_an_impossible_setting_is_named(monkeypatch):
    monkeypatch.setenv("HYBRIDTWIN_WATCH", "often")
    with pytest.raises(ModelError, match="HYBRIDTWIN_WATCH"):
        from_environment()


@pytest.mark.parametrize("now", ["tonight", "2026-01-31T21:30:00"])
def test_an_evening_needs_a_time_and_a_zone(now):
    with pytest.raises(TwinError, match="--now"):
        serve(now=now)


def test_a_port_in_use_is_said(url):
    port = int(url.rsplit(":", 1)[1])
    with pytest.raises(TwinError, match=f":{port}: cannot be listened on"):
        serve(port=port)


def test_a_model_that_is_not_there_is_said(tmp_path):
    with pytest.raises(ModelError, match="no twin can be read here"):
        serve(model=str(tmp_path), port=0)
