"""The report, read back: one page, everything on it, in the reader's words."""

from dataclasses import replace
from io import BytesIO

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from pypdf import PdfReader

from hybridtwin.patterns.pattern import Pattern
from serving.clinic.report import drawing, report
from serving.reader import Reader


def _read(view, reader):
    (page,) = PdfReader(BytesIO(report(view, reader))).pages
    assert (page.mediabox.width, page.mediabox.height) == pytest.approx((595, 842), abs=1)  # A4
    return " ".join(page.extract_text().split())


def test_it_tells_profile_night_patterns_and_twin_on_one_page(ward):
    view = ward.view("Zoë")
    said = _read(view, Reader())
    found = view.weeks.glycemia
    for words in (
        "Zoë Page",
        "north",
        "Low tonight",
        f"{found.gmi_percent:.1f} %",
        f"{found.mean_mg_dl:.0f} mg/dL",
        "70–180 mg/dL",
        "goal > 70 %",
        "Exercise: −31 mg/dL",
        "A snack of 15 g",
        "Lows between 00:00 and 03:00",
        "cannot be told from what was recorded",
        "Sensitivity to insulin",
        "Experimental",
        "Decision support for research",
    ):
        assert words in said, said


def test_it_reads_as_its_reader_wants(ward):
    view = ward.view("Zoë")
    said = _read(view, Reader("de", "mmol/L", "12 h"))
    assert "3,9–10,0 mmol/L" in said
    assert "Zeit in den Bereichen" in said
    assert "mg/dL" not in said
    assert "12:00 AM" in said.replace("\N{NO-BREAK SPACE}", " ")
    mean = f"{view.weeks.glycemia.mean_mg_dl / 18.0156:.1f} mmol/L".replace(".", ",")
    assert mean in said


@pytest.mark.parametrize("kind", ["refused", "silent", "stale"])
def test_who_cannot_be_forecast_is_never_shown_as_safe(ward, kind):
    said = _read(ward.view(kind), Reader())
    assert "Cannot be judged" in said
    assert "That is not the same as safe" in said


@pytest.mark.parametrize("reader", [Reader(), Reader("de", "mmol/L", "12 h")], ids=["en", "de"])
def test_no_text_leaves_the_paper(ward, reader):
    view = ward.view("Zoë")
    one = Pattern(kind="site problems", status="found", count=7, looked_at=9, counted="stretches")
    many = view.weeks.model_copy(update={"patterns": [one] * 20})
    figure = drawing(replace(view, weeks=many), reader)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    for text in figure.findobj(Text):
        if text.get_text() and text.get_visible():
            place = text.get_window_extent(canvas.get_renderer())
            assert figure.bbox.x0 <= place.x0, text
            assert place.x1 <= figure.bbox.x1, text
            assert figure.bbox.y0 <= place.y0, text


def test_many_patterns_and_odd_names_stay_on_the_page(ward):
    view = ward.view("Zoë")
    one = Pattern(kind="rebound highs", status="found", count=7, looked_at=9, counted="lows")
    many = view.weeks.model_copy(update={"patterns": [one] * 20})
    row = replace(view.row, name="$x_1$ & <b>{}% " * 3)
    said = _read(replace(view, row=row, weeks=many), Reader())
    assert "$x_1$ & <b>{}%" in said
    assert said.count("7 of 9 lows") == 6
    assert "and 14 more" in said
