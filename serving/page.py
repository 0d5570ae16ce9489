"""What every page has: templates, the reader's language, and headers that let nothing in."""

from collections.abc import Callable
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from serving.access.caller import Caller
from serving.reader import CLOCKS, UNITS, Reader, reader_of
from serving.state import guest_of
from serving.text.catalogue import LANGUAGES, N_, translations

HERE: Final = Path(__file__).parent
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; "
    "script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",  # no-referrer would take the Origin from forms
    "X-Content-Type-Options": "nosniff",
}
_REFUSALS: Final[dict[int, tuple[str, str]]] = {
    HTTPStatus.FORBIDDEN: (
        N_("Not with your role"),
        N_(
            "Your account does not open this page. Ask whoever runs the service for the role it "
            "needs."
        ),
    ),
    HTTPStatus.NOT_FOUND: (
        N_("Nothing here"),
        N_("There is nothing here that your account may see."),
    ),
    HTTPStatus.SERVICE_UNAVAILABLE: (
        N_("Not ready yet"),
        N_("Open the page again in a few seconds."),
    ),
}
_OTHERWISE: Final = (N_("This did not work"), N_("Go back and try it again."))


@cache
def _templates(language: str) -> Environment:
    found = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        extensions=["jinja2.ext.i18n"],
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.policies["ext.i18n.trimmed"] = True
    found.install_gettext_translations(translations(language), newstyle=True)  # type: ignore[attr-defined]
    found.globals |= {
        "languages": {code: locale.get_language_name(code) for code, locale in LANGUAGES.items()},
        "units": UNITS,
        "clocks": CLOCKS,
    }
    return found


def html(
    template: str, reader: Reader, guest: Caller | None = None, here: str = "/", **said: Any
) -> str:
    """A page.

    Args:
        template: Its file in serving/templates.
        reader: For whom.
        guest: Whom the door let in; nobody where there is no door.
        here: Its path and query, to which forms that change how it reads come back.
        said: What the template needs.
    """
    root = "../" * (here.split("?")[0].count("/") - 1)
    found = _templates(reader.language).get_template(template)
    return found.render(reader=reader, guest=guest, here=here, root=root, **said)


def words(template: str, reader: Reader) -> Callable[..., str]:
    """What a template's macros say, without markup, for what is no page: name, then arguments."""
    said = _templates(reader.language).get_template(template).make_module({"reader": reader})

    def say(macro: str, *about: object) -> str:
        found: Markup = getattr(said, macro)(*about)
        return found.striptags()

    return say


def answer(
    request: Request, template: str, status: int = HTTPStatus.OK, **said: Any
) -> HTMLResponse:
    """A page in answer to a request."""
    query = f"?{request.url.query}" if request.url.query else ""
    here = request.scope["path"] + query if request.method == "GET" else "/"
    found = html(template, reader_of(request), guest_of(request), here, **said)
    return HTMLResponse(found, status, HEADERS)


def refusal(request: Request, status: int) -> HTMLResponse:
    """The page in place of one that somebody who is signed in cannot have."""
    title, words = _REFUSALS.get(status, _OTHERWISE)
    reader = reader_of(request)
    said = {"title": reader.text(title), "words": reader.text(words)}
    return answer(request, "refused.html", status, **said)
