"""Where forecasts start, from what is held true of a person."""

from dataclasses import replace

import pandas as pd
import torch

from hybridtwin.assimilation.misses import Misses, open_forecasts
from hybridtwin.belief import Belief
from hybridtwin.output_statistics import Correction
from hybridtwin.record import Record
from hybridtwin.twin import MEMBERS, Twin


def believe(
    twin: Twin,
    misses: Misses,
    record: Record,
    now: pd.Timestamp | None = None,
    members: int = MEMBERS,
) -> Belief:
    """A belief to forecast from: the twin's own, with what its forecasts of this person miss.

    Body and latent state are the encoder's. The filter's, and its slow parameters beside the
    encoder's, forecast worse: the encoder has read the same hours, and would be told twice.

    Args:
        twin: Whose weights.
        misses: Learnt from the person's record, with the same twin.
        record: History, as `Twin.believe` takes it.
        now: The present; the last reading's time if None.
        members: Size of the ensemble.

    Raises:
        HistoryError: The history cannot carry a forecast.
    """
    belief = twin.believe(record, now, members)
    with torch.inference_mode():
        central = belief.present.rows(torch.tensor([0]))
        local = belief.time.tz_convert(belief.profile.time_zone)
        minute = torch.tensor([float(local.hour * 60 + local.minute)])
        last = torch.tensor([belief.last_reading_mg_dl])
        usual = open_forecasts(twin, central, belief.predictors, belief.correction, last, minute)
        own = misses.correction(usual)
    both = Correction(
        belief.correction.shift_mg_dl + own.shift_mg_dl,
        belief.correction.widening * own.widening,
    )
    return replace(belief, correction=both)
