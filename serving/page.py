"""The page of tonight's list, made on the server: no script, nothing from elsewhere."""

from concurrent.futures import Future
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hybridtwin.errors import TwinError
from hybridtwin.glycemia.episodes import LOW_MG_DL, VERY_LOW_MG_DL
from hybridtwin.review.review import NightRisk
from hybridtwin.units import GlucoseUnit, from_mg_dl
from serving.access.caller import Caller
from serving.settings import Settings
from serving.tonight import UNITS, Group, Patient, Tonight, words

HERE: Final = Path(__file__).parent
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",  # no-referrer would take the Origin from forms
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class Section:
    """One group of the list."""

    group: Group
    mark: str
    title: str
    counted: str
    meaning: str
    patients: list[Patient]


def percent(probability: float) -> str:
    """A probability as people read it: never quite 0 or 100 %."""
    if probability < 0.01:
        return "< 1 %"
    if probability > 0.99:
        return "> 99 %"
    return f"{100 * probability:.0f} %"


def clock(time: pd.Timestamp, time_zone: str) -> str:
    """An instant as the patient's clock shows it."""
    return f"{pd.Timestamp(time).tz_convert(time_zone):%H:%M}"


def age(time: pd.Timestamp, now: pd.Timestamp) -> str:
    """How long before now."""
    minutes = int((now - time) / pd.Timedelta(minutes=1))
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"


_PAGES: Final = Environment(
    loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined
)
_PAGES.filters |= {"percent": percent, "in_unit": NightRisk.in_unit, "words": words}
_PAGES.globals |= {"clock": clock, "age": age, "units": UNITS, "guest": None, "root": ""}
_REFUSALS: Final[dict[int, tuple[str, str]]] = {
    HTTPStatus.FORBIDDEN: (
        "Not with your role",
        "Your account does not open this page. Ask whoever runs the service for the role it needs.",
    ),
    HTTPStatus.NOT_FOUND: ("Nothing here", "There is nothing here that your account may see."),
    HTTPStatus.SERVICE_UNAVAILABLE: ("Not ready yet", "Open the page again in a few seconds."),
}


def plain(template: str, guest: Caller | None = None, **said: Any) -> str:
    """A page that shows no patient."""
    return _PAGES.get_template(template).render(guest=guest, **said)


def refusal(status: int, guest: Caller, path: str) -> str:
    """The page in place of one that somebody who is signed in cannot have."""
    title, words = _REFUSALS.get(status, ("This did not work", HTTPStatus(status).phrase + "."))
    root = "../" * (path.count("/") - 1)
    return plain("refused.html", guest, title=title, words=words, root=root)


def render(
    review: Future[Tonight] | None,
    settings: Settings,
    unit: GlucoseUnit,
    guest: Caller | None = None,
) -> str:
    """Tonight's page for whom the door let in, in whatever state the review is."""
    if review is None:
        return plain("none.html", guest)
    if not review.done():
        return plain("reviewing.html", guest)
    try:
        tonight = review.result()
    except TwinError as error:
        return plain("failed.html", guest, problems=error.problems)
    zones = {patient.time_zone for patient in tonight.patients}
    zone = zones.pop() if len(zones) == 1 else "UTC"
    return _PAGES.get_template("tonight.html").render(
        guest=guest,
        sections=_sections(tonight, settings),
        total=len(tonight.patients),
        now=tonight.now,
        local=tonight.now.tz_convert(zone),
        zone=zone,
        unit=unit,
        low=words(from_mg_dl(LOW_MG_DL, unit), unit),
        very_low=words(from_mg_dl(VERY_LOW_MG_DL, unit), unit),
    )


def _sections(tonight: Tonight, settings: Settings) -> list[Section]:
    likely, watch = percent(settings.likely_low), percent(settings.watch)
    heads: tuple[tuple[Group, str, str, str, str], ...] = (
        (
            "refused",
            "?",
            "Cannot be forecast",
            "cannot be forecast",
            "Not the same as safe: the data allow no forecast. Look at these patients yourself.",
        ),
        (
            "low",
            "▼",
            "Likely low tonight",
            "likely low tonight",
            f"At {likely} or more: 15 minutes or longer below 70 mg/dL (3.9 mmol/L).",
        ),
        (
            "watch",
            "◆",
            "Watch",
            "to watch",
            f"A probability of {watch} or more, or data too thin to call the night quiet.",
        ),
        ("quiet", "●", "Quiet night", "quiet", f"A low is unlikely: a probability below {watch}."),
    )
    return [Section(*head, [p for p in tonight.patients if p.group == head[0]]) for head in heads]
