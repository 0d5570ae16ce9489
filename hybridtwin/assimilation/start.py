"""Where forecasts start, from what is held true of a person."""

from dataclasses import replace

import pandas as pd
import torch
from torch import Tensor

from hybridtwin.assimilation.assimilated import Assimilated, check_same
from hybridtwin.assimilation.settings import AssimilationSettings
from hybridtwin.assimilation.state import SLOW, present_of, with_slow
from hybridtwin.belief import Belief
from hybridtwin.errors import HistoryError
from hybridtwin.hybrid import Present
from hybridtwin.record import Record
from hybridtwin.twin import Twin


def believe(
    twin: Twin,
    held: Assimilated,
    record: Record,
    settings: AssimilationSettings,
    now: pd.Timestamp | None = None,
) -> Belief:
    """A belief to forecast from: the record's, with what was learnt of the person on the way.

    Its first member is the central one, and the others are the filter's.

    Args:
        twin: The one that `held` belongs to.
        held: Up to the record's last reading.
        record: History, as `Twin.believe` takes it; statistics and spread read it.
        settings: `start` says where the body starts.
        now: The present; the last reading's time if None.

    Raises:
        HistoryError: The history cannot carry a forecast, or was not assimilated up to its end.
        ModelError: What is held belongs to another twin.
        RecordError: The record belongs to another person.
    """
    check_same(twin, held, record)
    with torch.inference_mode():
        members = held.checkpoints[-1].equally_likely()
        members = torch.cat([members.mean(0, keepdim=True), members])
        slow = members[:, SLOW]
        learnt = replace(twin, person=with_slow(twin.person, slow[:1]))
        belief = learnt.believe(record, now, members=1)
        if belief.time != held.time:
            raise HistoryError.of(
                "the assimilated state",
                f"it stands at {held.time.isoformat()}, the history's last reading at "
                f"{belief.time.isoformat()}",
                "Assimilate the rest of the history first.",
            )
        present = belief.present.rows(torch.zeros(len(members), dtype=torch.long))
        if settings.start == "encoder":
            present = replace(present, people=with_slow(present.people, slow - slow[:1]))
        else:
            present = _own(twin, record, present, members)
        basal = belief.usual_basal_u_min.expand(len(members))
        return replace(belief, present=present, usual_basal_u_min=basal)


def _own(twin: Twin, record: Record, present: Present, members: Tensor) -> Present:
    """The filter's own body, latent state and slow parameters."""
    body, latent = present_of(members)
    people = twin.person_for(record.profile).rows(torch.zeros(len(members), dtype=torch.long))
    return Present(body, latent, present.context, with_slow(people, members[:, SLOW]))
