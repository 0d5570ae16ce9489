"""One patient's page: what it says, in whose words, and of whom it says nothing is known."""

import re
from datetime import timedelta

import pytest


def _words(page: str) -> str:
    main = page[page.index("<main") : page.index("</main>")]
    return re.sub(r"<[^>]+>|\s+", " ", re.sub(r"<svg.*?</svg>\s*(?!<text)", " ", main, flags=re.S))


def test_the_page_tells_the_night_and_the_weeks(ward):
    page = ward.page("Zoë")
    view = ward.view("Zoë")
    said = re.sub(r"\s+", " ", _words(page))
    assert view.forecast
    assert view.forecast.issued == view.row.night.issued
    assert "−31" in said
    assert "A snack of 15 g" in said
    assert re.search("1[345] of 2[78] nights", said)  # at whatever hour the tests run
    assert "Experimental" in said
    assert "style=" not in page  # the pages' policy would not let it act
    assert "<script" not in page


def test_what_would_help_is_told_while_it_is_fresh(ward):
    assert ward.view("Zoë", timedelta(minutes=50)).advice.suggestions
    assert ward.view("Zoë", timedelta(minutes=70)).advice is None


def test_the_page_reads_as_its_reader_wants(ward):
    said = _words(ward.page("Zoë", "de.1.1"))
    view = ward.view("Zoë")
    mean = view.weeks.glycemia.mean_mg_dl / 18.0156
    assert f"{mean:.1f}".replace(".", ",") in said
    assert "mmol/L" in said
    assert "mg/dL" not in said
    assert "12:00" in said
    assert re.search(r"\d:\d\d.(AM|PM)", said)


@pytest.mark.parametrize("kind", ["refused", "silent", "stale"])
def test_who_cannot_be_forecast_is_never_shown_as_safe(ward, kind):
    page = ward.page(kind)
    said = _words(page)
    assert ward.view(kind).row.group == "missing"
    assert "The data allow no forecast tonight." in said
    assert "not the same as safe" in said
    assert 'class="fan"' not in page
    assert "Less than a day of readings is known" in said
    assert "Not looked for yet" in said
