"""Who reads a page: their language, unit and clock, and how values are written for them."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Final, Literal, get_args
from zoneinfo import ZoneInfo

from babel.dates import format_date, format_skeleton
from fastapi import Depends, Request
from starlette.requests import HTTPConnection

from hybridtwin.units import GlucoseUnit, from_mg_dl
from serving.text.catalogue import LANGUAGES, negotiated, translations

Clock = Literal["24 h", "12 h"]
COOKIE: Final = "hybridtwin-reading"
UNITS: Final[tuple[GlucoseUnit, ...]] = get_args(GlucoseUnit)
CLOCKS: Final[tuple[Clock, ...]] = get_args(Clock)
_DIGITS: Final[dict[GlucoseUnit, int]] = {"mg/dL": 0, "mmol/L": 1}


@dataclass(frozen=True)
class Reader:
    """Who reads, and what they chose.

    Attributes:
        language: One of `LANGUAGES`.
        unit: Of every glucose value.
        clock: Of every time of day.
    """

    language: str = next(iter(LANGUAGES))
    unit: GlucoseUnit = UNITS[0]
    clock: Clock = CLOCKS[0]

    def text(self, message: str) -> str:
        """A message of the catalogue in their language."""
        return translations(self.language).gettext(message)

    def number(self, value: float, digits: int = 0) -> str:
        """A number with so many decimals."""
        return f"{value:.{digits}f}".replace(".", self.point)

    @property
    def point(self) -> str:
        """What stands before decimals."""
        return str(LANGUAGES[self.language].number_symbols["latn"]["decimal"])

    def glucose(self, mg_dl: float) -> str:
        """A glucose value, without its unit."""
        return self.number(from_mg_dl(mg_dl, self.unit), _DIGITS[self.unit])

    def percent(self, probability: float) -> str:
        """A probability: never quite 0 or 100 %."""
        if probability < 0.01:
            return "< 1\N{NO-BREAK SPACE}%"
        if probability > 0.99:
            return "> 99\N{NO-BREAK SPACE}%"
        return f"{100 * probability:.0f}\N{NO-BREAK SPACE}%"

    def share(self, count: int, total: int) -> str:
        """What was counted, as a share: 0 and 100 % are as true as any; a dash of none."""
        return f"{100 * count / total:.0f}\N{NO-BREAK SPACE}%" if total else "–"

    def time(self, time: datetime, zone: str) -> str:
        """An instant as the clock in a zone shows it."""
        return self._clock(time.astimezone(ZoneInfo(zone)))

    def o_clock(self, hour: int, minute: int = 0) -> str:
        """A time of day, wherever that is."""
        return self._clock(datetime(2000, 1, 1, hour, minute, tzinfo=UTC))

    def _clock(self, local: datetime) -> str:
        if self.clock == "24 h":
            return f"{local:%H:%M}"
        half = "am" if local.hour < 12 else "pm"
        named = LANGUAGES[self.language].day_periods["format"]["abbreviated"][half]
        return f"{local.hour % 12 or 12}:{local:%M}\N{NO-BREAK SPACE}{named}"

    def day(self, time: datetime, zone: str) -> str:
        """Its weekday and date, in full."""
        locale = LANGUAGES[self.language]
        return format_date(time.astimezone(ZoneInfo(zone)), "full", locale)

    def short_day(self, time: datetime, zone: str) -> str:
        """Its weekday, day and month, such as Sat 31 Jan."""
        local = time.astimezone(ZoneInfo(zone))
        return format_skeleton("MMMEd", local, locale=LANGUAGES[self.language])

    def date(self, day: date) -> str:
        """A day and its month, such as 31 Jan."""
        return format_skeleton("MMMd", day, locale=LANGUAGES[self.language])

    def span(self, minutes: float) -> str:
        """How long, such as 2 h 55 min."""
        whole = int(minutes)
        if whole < 60:
            return f"{whole}\N{NO-BREAK SPACE}min"
        hours, rest = divmod(whole, 60)
        if hours < 24:
            return f"{hours}\N{NO-BREAK SPACE}h {rest}\N{NO-BREAK SPACE}min"
        return f"{hours // 24}\N{NO-BREAK SPACE}d {hours % 24}\N{NO-BREAK SPACE}h"

    def as_cookie(self) -> str:
        """What they chose, as a cookie's value."""
        numbers = (UNITS.index(self.unit), CLOCKS.index(self.clock))
        return f"{self.language}.{numbers[0]}.{numbers[1]}"


def reader_of(request: HTTPConnection) -> Reader:
    """What who sends a request chose, or else what their browser says."""
    match request.cookies.get(COOKIE, "").split("."):
        case [language, ("0" | "1") as unit, ("0" | "1") as clock] if language in LANGUAGES:
            return Reader(language, UNITS[int(unit)], CLOCKS[int(clock)])
    return Reader(negotiated(request.headers.get("accept-language", "")))


def _reader(request: Request) -> Reader:
    return reader_of(request)


TheReader = Annotated[Reader, Depends(_reader)]
