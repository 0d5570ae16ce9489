"""Values as they are written for whoever reads them."""

from datetime import UTC, datetime
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import HTTPConnection

from serving.reader import CLOCKS, COOKIE, UNITS, Reader, reader_of
from serving.text.catalogue import LANGUAGES

DAY = "Saturday, 31 January 2026"
EVENING = datetime(2026, 1, 31, 20, 5, tzinfo=UTC)


def _sent(cookie="", language=""):
    headers = [(b"cookie", cookie.encode("latin-1", "replace")), (b"accept-language", language)]
    return HTTPConnection({"type": "http", "headers": headers})


@pytest.mark.parametrize(
    ("reader", "expected"),
    [
        (Reader("en", "mg/dL", "24 h"), ("71", "21:05", DAY, "06:00")),
        (
            Reader("en", "mmol/L", "12 h"),
            ("3.9", "9:05\xa0pm", DAY, "6:00\xa0am"),
        ),
        (Reader("de", "mmol/L", "24 h"), ("3,9", "21:05", "Samstag, 31. Januar 2026", "06:00")),
    ],
)
def test_values_are_written_as_their_reader_is_used_to(reader, expected):
    found = (
        reader.glucose(70.6),
        reader.time(EVENING, "Europe/Berlin"),
        reader.day(EVENING, "Europe/Berlin"),
        reader.o_clock(6),
    )
    assert found == expected


def test_a_probability_is_never_certain():
    assert [Reader().share(*each) for each in ((0, 10), (10, 10), (0, 0))] == [
        "0\N{NO-BREAK SPACE}%",
        "100\N{NO-BREAK SPACE}%",
        "–",
    ]
    found = [Reader().percent(p).replace("\N{NO-BREAK SPACE}", " ") for p in (0, 0.005, 0.204, 1)]
    assert found == ["< 1 %", "< 1 %", "20 %", "> 99 %"]


def test_a_choice_is_kept():
    for choice in product(LANGUAGES, UNITS, CLOCKS):
        reader = Reader(*choice)
        assert reader_of(_sent(f"{COOKIE}={reader.as_cookie()}", b"de")) == reader


def test_without_a_choice_the_browser_s_language_counts():
    assert reader_of(_sent(language=b"de-CH,en;q=0.5")) == Reader("de")


@given(st.text(alphabet=st.characters(max_codepoint=255), max_size=40))
def test_a_broken_cookie_counts_as_none(value):
    found = reader_of(_sent(f"{COOKIE}={value}", b"en"))
    assert found.language in LANGUAGES
