"""The panel as a table that other programs read."""

import csv
from dataclasses import replace
from datetime import datetime
from io import StringIO

import pytest

from serving.clinic.panel import grouped
from serving.clinic.sheet import sheet
from serving.reader import Reader


def _read(rows, reader=None):
    written = sheet(grouped(rows), reader or Reader()).decode("utf-8-sig")
    return list(csv.DictReader(StringIO(written)))


def test_every_patient_has_a_line_with_plain_numbers_and_instants(ward):
    rows = [ward.view(name).row for name in ward.people]
    lines = {line["Patient"]: line for line in _read(rows)}
    assert len(lines) == len(rows)
    zoe, row = lines["Zoë Page"], ward.view("Zoë").row
    assert float(zoe["Probability of a low tonight"]) == row.chance
    assert float(zoe["Last reading"]) == pytest.approx(row.last.mg_dl, abs=0.01)
    read_at = datetime.fromisoformat(zoe["Read at"])
    assert abs((read_at - row.last.time).total_seconds()) < 60
    unknown = [line for line in lines.values() if line["Group"] == "Cannot be judged"]
    assert len(unknown) == 3
    assert {line["Probability of a low tonight"] for line in unknown} == {""}


def test_units_and_words_are_the_reader_s(ward):
    row = ward.view("Zoë").row
    (line,) = _read([row], Reader("de", "mmol/L"))
    assert line["Einheit"] == "mmol/L"
    assert float(line["Letzter Messwert"]) == pytest.approx(row.last.mg_dl / 18.0156, abs=0.01)
    assert line["Gruppe"] == "Jetzt oder nachts niedrig"


@pytest.mark.parametrize("name", ["=1+1", "+49", "-x", "@sum", '"a", b\nc', "Zoë; Müller"])
def test_no_name_is_computed_and_none_breaks_the_table(ward, name):
    (line,) = _read([replace(ward.view("Zoë").row, name=name)])
    assert line["Patient"].removeprefix("'") == name
    assert line["Patient"][0] not in "=+-@"
