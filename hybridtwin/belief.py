"""Belief: what the twin holds true right now."""

from dataclasses import dataclass

import pandas as pd
from torch import Tensor

from hybridtwin.events import Profile
from hybridtwin.hybrid import Present
from hybridtwin.output_statistics import Correction
from hybridtwin.plan import Plan
from hybridtwin.timeline import Timeline
from hybridtwin.trust import Trust


@dataclass(frozen=True)
class Belief:
    """An ensemble over body state, slow parameters and latent state, stamped with its time.

    Attributes:
        time: Grid time of the last reading, from which forecasts start.
        now: When it was formed; doses and meals up to here are known.
        timeline: What was known up to the last reading, its last grid point.
        profile: Whose it is.
        present: M members; the first is the central one.
        usual_basal_u_min: (M,) pump basal that goes on unless a plan says otherwise, U/min.
        predictors: (1, F) what statistics read of history and person.
        correction: Of open forecasts from here, one row.
        since: What has happened between the last reading and now.
        last_reading_mg_dl: The last reading.
        last_reading_time: When it was measured, to the second.
        trust: What was missing, stale or assumed.
    """

    time: pd.Timestamp
    now: pd.Timestamp
    timeline: Timeline
    profile: Profile
    present: Present
    usual_basal_u_min: Tensor
    predictors: Tensor
    correction: Correction
    since: Plan
    last_reading_mg_dl: float
    last_reading_time: pd.Timestamp
    trust: Trust
