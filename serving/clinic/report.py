"""One patient on one page of paper: glucose profile, night, patterns, and what the twin knows."""

import textwrap
from collections.abc import Sequence
from io import BytesIO
from typing import Any, Final

from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hybridtwin.glycemia.episodes import LOW_MG_DL, VERY_LOW_MG_DL
from hybridtwin.glycemia.metrics import STABLE_CV_PERCENT
from hybridtwin.glycemia.summary import LEAST_WORN_PERCENT
from hybridtwin.plot_agp import COLORS
from serving import page
from serving.clinic import charts, pictures
from serving.clinic.patient import View
from serving.clinic.weeks import DAYS as PATTERN_DAYS
from serving.reader import Reader
from serving.text.catalogue import N_

rcParams["pdf.fonttype"] = 42  # so that text can be searched and copied

_A4_IN: Final = (8.27, 11.69)
_TEXT: Final[dict[str, Any]] = {"color": pictures.INK, "parse_math": False}
_PATTERNS: Final = 6
_REASONS: Final = 4
_LEFT: Final = 0.07
_PLACES: Final = {
    "head": (_LEFT, 0.9, 0.88, 0.07),
    "figures": (_LEFT, 0.735, 0.42, 0.125),
    "ranges": (0.53, 0.735, 0.42, 0.125),
    "profile": (_LEFT, 0.545, 0.88, 0.145),
    "days": (_LEFT, 0.465, 0.88, 0.045),
    "fan": (_LEFT, 0.26, 0.5, 0.15),
    "night": (0.61, 0.26, 0.34, 0.15),
    "patterns": (_LEFT, 0.06, 0.5, 0.14),
    "sensitivity": (0.64, 0.08, 0.31, 0.12),
}
"""Left, bottom, width and height, of the whole page."""
_WIDE, _NARROW = 70, 50
"""Letters in a line of the two columns of text."""
_FOOT: Final = N_(
    "Decision support for research; not a certified medical device. A forecast never replaces a "
    "look at the patient."
)


def report(view: View, reader: Reader) -> bytes:
    """The page, as PDF."""
    drawn = BytesIO()
    about = {"Title": f"{view.row.name}, {view.now:%Y-%m-%d}", "Creator": "hybridtwin"}
    drawing(view, reader).savefig(drawn, format="pdf", metadata=about)
    return drawn.getvalue()


def drawing(view: View, reader: Reader) -> Figure:
    """The page."""
    figure = Figure(figsize=_A4_IN)
    paper = _Paper(view, reader)
    on = {name: figure.add_axes(place) for name, place in _PLACES.items()}
    paper.head(_blank(on["head"]))
    paper.glycemia(_blank(on["figures"]))
    paper.ranges(_blank(on["ranges"]))
    paper.profile(on["profile"], on["days"])
    paper.fan(on["fan"])
    paper.night(_blank(on["night"]))
    paper.patterns(_blank(on["patterns"]))
    paper.sensitivity(on["sensitivity"])
    figure.text(_LEFT, 0.025, paper.text(_FOOT), fontsize=6.5, color=pictures.FAINT)
    return figure


class _Paper:
    """One report's parts, each into its own place."""

    def __init__(self, view: View, reader: Reader) -> None:
        self.view, self.reader, self.zone = view, reader, view.row.zone
        self.clinic = page.words("clinic_words.html", reader)
        self.own = page.words("patient_words.html", reader)

    def text(self, message: str, **values: object) -> str:
        """A message of the catalogue."""
        return self.reader.text(message) % values if values else self.reader.text(message)

    def head(self, axes: Axes) -> None:
        """Who, when, and how they stand."""
        row, reader, profile = self.view.row, self.reader, self.view.profile
        axes.text(0, 1, row.name, va="top", fontsize=17, fontweight="bold", **_TEXT)
        about = [row.clinic, self.own("diabetes_text", profile), self.own("therapy_text", profile)]
        when = f"{reader.day(self.view.now, self.zone)}, {reader.time(self.view.now, self.zone)}"
        lines = "\n".join([" · ".join(about), f"{when} ({self.zone})"])
        axes.text(0, 0.5, lines, va="top", fontsize=8.5, **_TEXT)
        whys = [self.clinic("why_text", why) for why in row.whys[:3]]
        stand = "\n".join([self.clinic("group_title", row.group), *whys])
        axes.text(1, 1, stand, va="top", ha="right", fontsize=9, **_TEXT)

    def glycemia(self, axes: Axes) -> None:
        """The consensus' figures."""
        reader, found = self.reader, self.view.weeks and self.view.weeks.glycemia
        _title(axes, self.text(N_("Glucose profile of 14 days")))
        if not found:
            too_little = N_("Less than a day of readings is known: too little for a profile.")
            _paragraph(axes, [self.text(too_little)], _NARROW)
            return
        begin, end = (reader.short_day(at, self.zone) for at in (found.begin, found.end))
        rows = {
            f"{begin} – {end}": "",
            self.text(N_("Sensor worn")): f"{reader.number(found.worn_percent)} %",
            self.text(N_("Mean glucose")): f"{reader.glucose(found.mean_mg_dl)} {reader.unit}",
            self.text(N_("GMI")): f"{reader.number(found.gmi_percent, 1)} %",
            self.text(N_("Coefficient of variation")): f"{reader.number(found.cv_percent)} % "
            f"({self.own('at_most', STABLE_CV_PERCENT)})",
            self.text(N_("GRI")): f"{reader.number(found.risk_index)}, "
            + self.text(N_("zone %(zone)s"), zone=found.risk_zone),
            self.text(N_("Lows, 15 minutes or longer")): f"{found.episodes['below_70']}, "
            + self.text(N_("very low: %(count)s"), count=found.episodes["below_54"]),
        }
        for at, column in ((0, rows), (0.58, rows.values())):
            axes.text(at, 1, "\n".join(column), va="top", fontsize=8, linespacing=1.5, **_TEXT)
        if found.lacking:
            said = self.own("lacking", found, LEAST_WORN_PERCENT)
            axes.text(0, 0, textwrap.fill(said, _WIDE), va="top", fontsize=7.5, color=pictures.LOW)

    def ranges(self, axes: Axes) -> None:
        """Time in ranges, the highest on top."""
        reader, weeks = self.reader, self.view.weeks
        if not weeks or not weeks.glycemia:
            return
        _title(axes, self.text(N_("Time in ranges")))
        shares = charts.range_shares(weeks.glycemia, self.view.profile.pregnancy_week is not None)
        for line, share in enumerate(shares):
            name = share.range.name
            bottom = 100 - share.from_top - share.percent
            axes.bar(0, share.percent, 0.9, bottom, color=COLORS[name], edgecolor="white")
            at = 90 - 80 * line / (len(shares) - 1)
            axes.plot(0.75, at, "s", color=COLORS[name], markersize=6)
            limits = f"{self.own('limits', share.range)} {reader.unit}"
            percent = f"{reader.number(share.percent, 1 if share.percent < 10 else 0)} %"
            goals = "; ".join(self.own("goal_text", goal) for goal in share.goals)
            bold: Any = {"fontweight": "bold" if name == "target" else "normal"} | _TEXT
            said = f"{self.own('range_name', name)}  {limits}"
            axes.text(1, at, said, va="bottom", fontsize=8, **bold)
            axes.text(1, at, goals, va="top", fontsize=6.5, color=pictures.FAINT)
            axes.text(8, at, percent, va="center", ha="right", fontsize=9, **bold)
        axes.set_xlim(-0.5, 8)
        axes.set_ylim(0, 100)

    def profile(self, axes: Axes, days: Axes) -> None:
        """The ambulatory glucose profile, and each day."""
        weeks = self.view.weeks
        if not weeks or not weeks.glycemia:
            _blank(axes)
            _blank(days)
            return
        pictures.profile(axes, weeks, self.reader)
        words = self.text(N_("Median, middle half and middle nine tenths of all days"))
        axes.set_title(words, loc="left", fontsize=7.5, color=pictures.FAINT, pad=3)
        pictures.days(days, weeks, self.reader)

    def fan(self, axes: Axes) -> None:
        """The night to come, and the hours before."""
        risk = self.view.risk
        _title(axes, self.text(N_("The night")))
        if self.view.forecast and risk and risk.begin and risk.end:
            night = risk.begin, risk.end
            weeks = self.view.weeks
            pictures.fan(axes, self.view.forecast, night, weeks, self.reader, self.zone)
        else:
            _blank(axes)

    def night(self, axes: Axes) -> None:
        """Why it is as it is, and what would help."""
        _paragraph(axes, self._of_night(), _NARROW)

    def _of_night(self) -> list[str]:
        reader, risk = self.reader, self.view.risk
        if not risk:
            return [
                self.text(N_("No night has been reviewed yet: nothing is known of the coming one."))
            ]
        if not risk.events or not risk.nadir or not risk.trust:
            refused = self.text(N_("The data allow no forecast tonight."))
            not_safe = N_("That is not the same as safe: look at this patient yourself.")
            return [refused, self.text(not_safe)]
        said = [
            f"{self.own('below', LOW_MG_DL)}: {reader.percent(risk.events.below_70)}; "
            f"{self.own('below', VERY_LOW_MG_DL)}: {reader.percent(risk.events.below_54)}",
            self.own("nadir_text", risk.nadir, self.zone),
            self.own("trust_text", risk.trust.level),
        ]
        reasons = risk.explanation.reasons if risk.explanation else []
        lowering = [reason for reason in reasons if reason.nadir <= -1][:_REASONS]
        said += [
            f"– {self.clinic('driver_text', reason.driver)}: "
            f"{self.own('change', reason.nadir)} {reader.unit}"
            for reason in lowering
        ]
        advice = self.view.advice.suggestions if self.view.advice else []
        if advice:
            said.append(self.text(N_("What would help")) + ":")
            said += [f"– {self.own('suggestion_text', one, self.zone)}" for one in advice]
            said.append(self.own("material"))
        return said

    def patterns(self, axes: Axes) -> None:
        """What was found between visits."""
        weeks = self.view.weeks
        found = [one for one in weeks.patterns if one.status == "found"] if weeks else []
        _title(axes, self.own("patterns_title", PATTERN_DAYS))
        said = [
            f"– {self.own('pattern_name', one)}: {self.own('pattern_evidence', one)}"
            for one in found[:_PATTERNS]
        ]
        if len(found) > _PATTERNS:
            said.append(self.text(N_("and %(count)s more"), count=len(found) - _PATTERNS))
        not_yet = N_("Not looked for yet: the evening's review does it.")
        said = said or [self.text(N_("None found.") if weeks else not_yet)]
        unknown = [self.own("unknown_text", weeks.patterns)] if weeks else []
        _paragraph(axes, said + unknown, _WIDE)

    def sensitivity(self, axes: Axes) -> None:
        """How strongly insulin acted over the weeks."""
        found = self.view.sensitivity
        _title(axes, self.text(N_("Sensitivity to insulin")))
        if not found:
            _paragraph(_blank(axes), [self.text(N_("Too few days of readings yet."))], _NARROW)
            return
        pictures.levels(axes, found.days, self.reader)
        about = N_("Per cent of the person's median. Experimental: inferred, never measured.")
        axes.set_xlabel(textwrap.fill(self.text(about), _NARROW), fontsize=7, color=pictures.FAINT)


def _blank(axes: Axes) -> Axes:
    axes.set_axis_off()
    return axes


def _title(axes: Axes, words: str) -> None:
    axes.set_title(words, loc="left", fontsize=10, fontweight="bold", **_TEXT)


def _paragraph(axes: Axes, lines: Sequence[str], letters: int) -> None:
    wrapped = [textwrap.fill(line, letters, subsequent_indent="  ") for line in lines]
    axes.text(0, 1, "\n".join(wrapped), va="top", fontsize=8, linespacing=1.35, **_TEXT)
