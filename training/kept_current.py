"""The twin that is kept current, as one of the models of an evaluation."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from hybridtwin.assimilation.hindcasts import missed
from hybridtwin.assimilation.misses import Misses, nothing_missed
from hybridtwin.assimilation.settings import MissesSettings
from hybridtwin.climatology import CLIMATOLOGY_DAYS
from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.hybrid import People
from hybridtwin.twin import Twin
from hybridtwin.units import steps
from training.forecasters import as_it_is, own_persons, predict, same
from training.personalise import PersonalSettings
from training.windows import FitFunction, Forecaster, Prediction, Windows

_DAY: Final = steps(MINUTES_PER_DAY)


def current(
    twin: Twin,
    settings: MissesSettings,
    days: int = CLIMATOLOGY_DAYS,
    own: PersonalSettings | None = None,
) -> FitFunction:
    """The twin with what its forecasts of each person missed before the window's day.

    Args:
        twin: Of whom.
        settings: How misses are learnt.
        days: See `population`.
        own: How it is fitted to each person on the windows to learn from; None leaves it as it is.
    """

    def fit(learn: Windows) -> Forecaster:
        who = partial(same, twin) if own is None else own_persons(twin, own, learn)

        def said(windows: Windows) -> Prediction:
            persons = who(windows)
            kept = replace(twin, misses=misses_of(twin, persons, windows, settings))
            return predict(kept, persons, windows, as_it_is, days)

        return said

    return fit


def misses_of(
    twin: Twin, persons: Sequence[People], windows: Windows, settings: MissesSettings
) -> Misses:
    """Of each window (W,): what was missed when its day began, as a service learns it once a day.

    Args:
        twin: Who forecasts.
        persons: One row for each person of the windows.
        windows: From where.
        settings: How it is learnt.
    """
    found = nothing_missed(len(windows))
    for person, timeline in enumerate(windows.timelines):
        at = windows.of(person)
        if not len(at):
            continue
        days, row = (windows.anchor[at] // _DAY).unique(return_inverse=True)
        name = windows.participants[person]
        learnt = missed(twin, timeline, persons[person], name, days * _DAY, settings).rows(row)
        found.coefficients_mg_dl[at] = learnt.coefficients_mg_dl
        found.widening[at] = learnt.widening
    return found
