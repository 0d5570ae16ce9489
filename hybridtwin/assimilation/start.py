"""Where forecasts start, from what is held true of a person."""

from dataclasses import replace

import pandas as pd
import torch

from hybridtwin.assimilation.misses import Misses, said
from hybridtwin.belief import Belief
from hybridtwin.inputs import as_usual
from hybridtwin.neural.spread import KNOTS_MIN
from hybridtwin.output_statistics import Correction
from hybridtwin.record import Record
from hybridtwin.twin import MEMBERS, Twin
from hybridtwin.units import steps


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
        minutes = torch.tensor(KNOTS_MIN, dtype=torch.float32)
        central = belief.present.rows(torch.tensor([0]))
        zone = belief.profile.time_zone
        local = belief.time.tz_convert(zone)
        minute = torch.tensor([float(local.hour * 60 + local.minute)])
        future = as_usual(belief.usual_basal_u_min[:1], minute, steps(KNOTS_MIN[-1]))
        columns = [steps(ahead) - 1 for ahead in KNOTS_MIN]
        rolled = twin.model.roll(central, future, twin.walk)[:, columns]
        expected = belief.correction.moved(rolled, minutes)
        spread = twin.model.log_quantiles(central, future.is_open, minutes)
        last = torch.tensor([belief.last_reading_mg_dl])
        own = misses.correction(said(expected, spread, last, minute))
    both = Correction(
        belief.correction.shift_mg_dl + own.shift_mg_dl,
        belief.correction.widening * own.widening,
    )
    return replace(belief, correction=both)
