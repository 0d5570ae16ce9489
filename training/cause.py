"""Cause: how right what-if answers are, on virtual people whose truth can be lived again.

Every scored person lives some days with all that people misjudge and forget; models are fitted to
those logged days. From moments in the days after, futures are asked for: what happened, and the
same with one dose or meal changed. Complete plans, true doses and meals; truth from the virtual
people's own equations, which no model shares.
"""

from collections.abc import Callable, Mapping
from typing import Final, Literal

import pandas as pd
import torch
from pydantic import BaseModel, ConfigDict, Field
from rich.progress import Progress
from torch import Tensor

from hybridtwin.hybrid import People, usual_basal_u_min
from hybridtwin.rows import stacked
from hybridtwin.twin import Twin
from hybridtwin.virtual.changes import Change, ChangeKind
from hybridtwin.virtual.life import VirtualPerson, live
from hybridtwin.virtual.patients import load_patients
from training.batch import Batch, Participants, learning_part
from training.black_box import BlackBoxSettings, fit_black_box
from training.cause_scores import rows, scores
from training.module import what_followed, with_own
from training.personalise import PersonalSettings, fit_people
from training.virtual_futures import Futures, draw_moments, make_futures

Answer = Callable[[Batch], Tensor]
"""What a model expects of windows whose future doses and meals are known: (B, H) mg/dL."""

_CHUNK = 512
START = pd.Timestamp("2024-01-15", tz="UTC")
_CHANGES: Final = {
    ChangeKind.BOLUS: (0.5, 1.5),
    ChangeKind.LEFT_OUT_BOLUS: (0.0,),
    ChangeKind.BASAL: (0.5, 1.5),
    ChangeKind.MEAL_SIZE: (0.5, 1.5),
    ChangeKind.MEAL_TIME: (-45.0, 30.0, 60.0),
}


class CauseProtocol(BaseModel):
    """Who is asked what, and how it is scored; see configs/protocols/cause.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["cause"] = "cause"
    name: str = "cause"
    split: str = Field("cause", description="The rows' word for what was learnt from and scored.")
    people: int = Field(30, ge=1, le=30, description="Published patients, of all ages in turn.")
    days: float = Field(14, gt=2, description="Logged days that models are fitted to.")
    days_after: float = Field(7, gt=0, description="Days in which the moments lie.")
    moments: int = Field(24, ge=1, description="Of each person.")
    horizons_min: tuple[int, ...] = Field((60, 120, 240), min_length=1)
    changes: dict[ChangeKind, tuple[float, ...]] = Field(
        _CHANGES, description="Factors of doses and meals; minutes for the time of a meal."
    )
    least_effect_mg_dl: float = Field(2, gt=0, description="Smaller true effects are not scored.")
    black_box: BlackBoxSettings = BlackBoxSettings()
    bootstrap_samples: int = Field(1000, ge=1)
    seed: int = 0


def evaluate_cause(
    protocol: CauseProtocol,
    twin: Twin,
    settings: PersonalSettings,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Tidy rows of the population twin, the personal ones and a black box.

    Args:
        protocol: Who is asked what.
        twin: The population twin.
        settings: How to fit it to the scored people.
        progress: Where to show how far it is.
    """
    progress = progress or Progress(disable=True)
    task = progress.add_task("cause: living", total=4)

    def next_is(what: str) -> None:
        progress.update(task, advance=1, description=f"cause: {what}")

    people = scored_people(protocol)
    futures = ask(protocol, people)
    border = START + pd.Timedelta(days=protocol.days)
    learnt = learning_part([one.record.before(border) for one in people], 1.0)
    next_is("fitting the twin")
    answers: dict[str, Answer] = {
        "twin": asked(twin, strangers(twin, learnt)),
        "twin-personal": asked(twin, fitted(twin, learnt, settings)),
    }
    next_is("fitting the black box")
    answers["lstm"] = fit_black_box(learnt, max(protocol.horizons_min), protocol.black_box)
    next_is("asking")
    found = cause_rows(protocol, futures, learnt.names, answers)
    progress.update(task, advance=1)
    return found


def scored_people(protocol: CauseProtocol) -> list[VirtualPerson]:
    """The people of a protocol, and their days."""
    return published_people(protocol.people, protocol.days + protocol.days_after, protocol.seed)


def published_people(count: int, days: float, seed: int) -> list[VirtualPerson]:
    """Some of the published patients, whom no training may see, and their days from `START` on."""
    patients = load_patients()
    # Of all ages, however few.
    order = [first + 10 * group for first in range(10) for group in range(3)]
    return live(patients.take(order[:count]), days, START, seed)


def ask(protocol: CauseProtocol, people: list[VirtualPerson]) -> Futures:
    """All futures of all moments after the days that are learnt from."""
    horizon = max(protocol.horizons_min)
    moments = draw_moments(people, protocol.moments, protocol.days, horizon, protocol.seed)
    changes = [
        Change(kind, amount) for kind, amounts in protocol.changes.items() for amount in amounts
    ]
    return make_futures(people, moments, lambda: changes, horizon)


def strangers(twin: Twin, people: Participants) -> People:
    """What the population twin knows of people: their weight and covariates."""
    count = len(people.names)
    embedding = torch.zeros(count, twin.person.embedding.shape[1])
    known = with_own(twin.person, people, embedding, torch.zeros_like(people.prior_scores))
    return known.rows(torch.arange(1, count + 1))


def fitted(twin: Twin, learnt: Participants, settings: PersonalSettings) -> People:
    """The twin fitted to each person, where that helped."""
    unfitted = strangers(twin, learnt)
    fits = fit_people(twin, learnt, settings)
    own = [
        fit.twin.person if fit.kept else unfitted.rows(torch.tensor([person]))
        for person, fit in enumerate(fits)
    ]
    return stacked(own)


def asked(twin: Twin, people: People) -> Answer:
    """A twin of these people as one who answers."""

    def answer(batch: Batch) -> Tensor:
        present = twin.model.begin(batch.history, people, batch.person)
        usual = usual_basal_u_min(batch.history, people.rows(batch.person).values())
        complete = torch.zeros(len(batch.person), dtype=torch.bool)
        return twin.model.roll(present, what_followed(batch, complete, usual), twin.walk)

    return answer


def cause_rows(
    protocol: CauseProtocol, futures: Futures, names: list[str], answers: Mapping[str, Answer]
) -> pd.DataFrame:
    """Ask every model for every future, and score it; see `cause_scores`."""
    tables = []
    for model, answer in answers.items():
        with torch.inference_mode():
            parts = torch.arange(len(futures)).split(_CHUNK)
            expected = torch.cat([answer(futures.batch(part)) for part in parts])
        table = scores(
            futures,
            expected.double().numpy(),
            protocol.horizons_min,
            protocol.least_effect_mg_dl,
        )
        tables.append(
            rows(model, table, names, protocol.split, protocol.bootstrap_samples, protocol.seed)
        )
    return pd.concat(tables, ignore_index=True)
