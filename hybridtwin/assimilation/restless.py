"""How restless one person's glucose is: how far hindcasts of them lie off, beside those of others.

What the equations miss differs from person to person, in its size more than in its shape. From
hindcasts of the days before follows by how much the variance of the drift in `supposed` is larger
or smaller for this person: their changes over an hour are set beside those that it leads to
expect. A high quantile is held against the normal law's: it hears of hours in which much was
missed, and is deaf to a meal now and then that nobody logged.
"""

from typing import Final

import torch
from scipy.stats import chi2
from torch import Tensor

from hybridtwin.assimilation.hindcasts import starts
from hybridtwin.assimilation.hours import hours_after, trusted
from hybridtwin.assimilation.settings import HindcastNoise, UnloggedSettings
from hybridtwin.assimilation.supposed import hindcast, usual_errors
from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.hybrid import People
from hybridtwin.physiology.steady import MIN_PER_H
from hybridtwin.timeline import Timeline
from hybridtwin.twin import Twin
from hybridtwin.units import steps

_CHANGE: Final = steps(60)
_EVERY: Final = steps(30)
"""Between changes that are counted: neighbours say the same."""
_CHUNK: Final = 256


def restless(
    twin: Twin, person: People, timeline: Timeline, now: Tensor, settings: UnloggedSettings
) -> Tensor:
    """(B,) by how much the variance of this person's drift is larger, as known at grid points (B,).

    1 where too few hindcasts are known.

    Args:
        twin: Who hindcasts.
        person: Who it is, one row.
        timeline: Theirs.
        now: (B,) of the timeline.
        settings: What is expected, and from how many days it is learnt.
    """
    own, count = settings.own, steps(settings.hours * MIN_PER_H)
    reach = round(own.days * steps(MINUTES_PER_DAY))
    at = starts(timeline, own.every_min)
    at = at[(at >= int(now.min()) - reach) & (at + count <= int(now.max()))]
    found = torch.ones(len(now)).double()
    if len(at) < own.least:
        return found
    parts = [_missed(twin, person, timeline, part, count) for part in at.split(_CHUNK)]
    beside = beside_expected(torch.cat(parts), settings.noise)
    normal = float(chi2.ppf(own.quantile, 1))
    for row, moment in enumerate(now.tolist()):
        known = (at >= moment - reach) & (at + count <= moment)
        if known.sum() >= own.least:
            found[row] = own.share * beside[known].nanquantile(own.quantile) / normal
    return found.nan_to_num(1.0).clamp(*own.within)


def _missed(twin: Twin, person: People, timeline: Timeline, at: Tensor, count: int) -> Tensor:
    """(B, H) readings less hindcasts from grid points (B,) on, mg/dL; NaN without a reading."""
    hours, _ = trusted(hours_after(timeline, at, count))
    return hours.read_mg_dl.double() - hindcast(twin, hours, person)


def beside_expected(missed_mg_dl: Tensor, noise: HindcastNoise) -> Tensor:
    """(B, J) squares of changes over an hour, over those that drift and sensor lead to expect.

    Args:
        missed_mg_dl: (B, H) readings less hindcasts; NaN where nothing was read.
        noise: What is expected of everybody.
    """
    count = missed_mg_dl.shape[1]
    begin = torch.arange(0, count - _CHANGE, _EVERY)
    end = begin + _CHANGE
    change = missed_mg_dl[:, end] - missed_mg_dl[:, begin]
    expected = usual_errors(count, noise)
    variance = expected[end, end] + expected[begin, begin] - 2 * expected[end, begin]
    return change.square() / variance
