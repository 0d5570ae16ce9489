"""All text of the pages: English in the templates, other languages in a catalogue beside this."""

import gettext
import re
from collections.abc import Mapping
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Final

from babel import Locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LANGUAGES: Final[Mapping[str, Locale]] = {"en": Locale("en", "GB"), "de": Locale("de", "DE")}
"""By their codes; the first is the source, and for who reads none of them."""
_SOURCE: Final = next(iter(LANGUAGES))
_HOME: Final = Path(__file__).parent
_PREFERENCE: Final = re.compile(
    r"\s*([a-zA-Z]{1,8})[a-zA-Z0-9-]*\s*(?:;\s*q=([01](?:\.\d{0,3})?))?\s*"
)


def N_(text: str) -> str:  # noqa: N802
    """Text that is shown elsewhere, noted here for the catalogue."""
    return text


OF_THE_LIBRARY: Final = frozenset(
    {
        # How far a forecast is to be trusted, and what sort of reason there is for caution.
        N_("full"),
        N_("reduced"),
        N_("low"),
        N_("missing"),
        N_("stale"),
        N_("mended"),
        N_("assumed"),
        N_("urgent"),
        N_("fault"),
    }
)
"""Words that the library says and pages show."""


@cache
def translations(language: str) -> gettext.NullTranslations:
    """The text in a language of `LANGUAGES`."""
    if language == _SOURCE:
        return gettext.NullTranslations()
    compiled = BytesIO()
    with (_HOME / f"{language}.po").open("rb") as written:
        write_mo(compiled, read_po(written, locale=language))
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)


def negotiated(accept_language: str) -> str:
    """The language of `LANGUAGES` that a browser likes best (RFC 9110, section 12.5.4)."""
    liked = []
    for entry in accept_language.split(","):
        found = _PREFERENCE.fullmatch(entry)
        if found and found[1].lower() in LANGUAGES and float(found[2] or 1) > 0:
            liked.append((float(found[2] or 1), found[1].lower()))
    return max(liked, key=lambda pair: pair[0], default=(1.0, _SOURCE))[1]
