"""Every text of the pages stands in the catalogue, and in every language."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment, nodes

import serving
from serving.text.catalogue import LANGUAGES, negotiated, translations

HOME = Path(serving.__file__).parent
TEMPLATES = sorted((HOME / "templates").rglob("*.html"))
METHODS = [("**.py", "python"), ("**.html", "jinja2")]
READ_ALOUD = ("alt", "aria-label", "placeholder", "title", "aria-description")
NAMES = {"hybridtwin"}
"""What is called so in every language."""
_FIELD = re.compile(r"%\(\w+\)s")


@pytest.fixture(scope="module")
def written():
    options = {"**.html": {"trimmed": "true", "silent": "false"}}
    found = extract_from_dir(HOME, METHODS, options)
    return {message for _, _, message, _, _ in found}


@pytest.mark.parametrize("language", list(LANGUAGES)[1:])
def test_every_text_is_in_the_catalogue_and_nothing_else(written, language):
    with (HOME / "text" / f"{language}.po").open("rb") as file:
        catalogue = read_po(file)
    entries = {entry.id: entry for entry in catalogue if entry.id}
    assert len(written) > 50
    assert set(entries) == written, "run: make text"
    for message, entry in entries.items():
        assert not entry.fuzzy
        forms = [entry.string] if isinstance(entry.string, str) else entry.string
        assert all(forms), message
        original = [message] if isinstance(message, str) else message
        for form in forms:
            assert set(_FIELD.findall(form)) <= set(_FIELD.findall("".join(original))), message
        if isinstance(message, str):
            assert set(_FIELD.findall(entry.string)) == set(_FIELD.findall(message)), message
            assert translations(language).gettext(message) == entry.string


class _Said(HTMLParser):
    """What a page says outside of the catalogue."""

    def __init__(self):
        super().__init__()
        self.words, self.untranslatable = [], []

    def handle_starttag(self, tag, attrs):
        if self.untranslatable and tag == self.untranslatable[-1]:
            self.untranslatable.append(tag)
        if ("translate", "no") in attrs:
            self.untranslatable.append(tag)
        self.words += [value for name, value in attrs if name in READ_ALOUD and value]

    def handle_endtag(self, tag):
        if self.untranslatable and tag == self.untranslatable[-1]:
            self.untranslatable.pop()

    def handle_data(self, data):
        if not self.untranslatable:
            self.words += [data]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_template_says_anything_by_itself(template):
    parsed = Environment(extensions=["jinja2.ext.i18n"], autoescape=True).parse(
        template.read_text()
    )
    page = _Said()
    page.feed("".join(piece.data for piece in parsed.find_all(nodes.TemplateData)))
    loose = {word for text in page.words for word in re.findall(r"[^\W\d_]{2,}", text)}
    assert loose <= NAMES


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-AT,de;q=0.9,en;q=0.8", "de"),
        ("fr,en;q=0.3,de;q=0.7", "de"),
        ("en-GB,en;q=0.9,de;q=0.8", "en"),
        ("fr-FR,fr;q=0.9", "en"),
        ("de;q=0", "en"),
        ("DE", "de"),
    ],
)
def test_a_browser_s_language_is_found(header, language):
    assert negotiated(header) == language


@given(st.text(alphabet="den-,;q=0.9 *x", max_size=30))
def test_no_header_is_too_odd(header):
    assert negotiated(header) in LANGUAGES
