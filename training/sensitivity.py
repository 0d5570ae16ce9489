"""How what is expected of windows moves with what is personal, by finite differences.

A forecast as machine code costs a hundredth of one that keeps gradients, so that a roll for each
direction is cheaper than one backward pass. What the encoder reads is held where it is.
"""

from typing import Final

import torch
from torch import Tensor

from hybridtwin.hybrid import (
    People,
    anchor_of,
    past_inputs,
    resting_inputs,
    settled,
    usual_basal_u_min,
)
from hybridtwin.neural.encoder import Start
from hybridtwin.neural.features import features
from hybridtwin.physiology.body import rates_of_emptying
from hybridtwin.physiology.parameters import FITTED_COLUMNS
from hybridtwin.physiology.warmup import driven_now
from hybridtwin.twin import Twin
from training.batch import Batch
from training.module import what_followed

_STEP: Final = 0.1  # standard scores, and as much of an embedding: far above rounding, yet straight


class Sensitivity:
    """Some windows as a twin sees them, to ask what would be expected with other people.

    Args:
        twin: Whose weights, and how it takes steps.
        batch: B windows.
        people: N distinct people, whom the batch's `person` counts.
        is_open: Whether future doses and meals are hidden.
    """

    def __init__(self, twin: Twin, batch: Batch, people: People, is_open: bool) -> None:
        self.twin, self.batch, self.people = twin, batch, people
        rows = people.rows(batch.person)
        own = rows.values()
        self.anchor = anchor_of(batch.history)
        self.past = past_inputs(batch.history, own)
        self.rest = resting_inputs(self.past, batch.history, own)
        self.driven = self._driven(people)
        self.read = features(batch.history, self.driven)
        self.start = twin.model.encoder(self.read, rows.embedding)
        self.is_open = torch.full((len(batch.person),), is_open)
        usual = usual_basal_u_min(batch.history, own)
        self.future = what_followed(batch, self.is_open, usual)
        self.present = settled(self.anchor, rows, self.driven, self.start)
        self.trajectory = twin.model.roll(self.present, self.future, twin.walk)

    def by_scores(self) -> Tensor:
        """(B, H, K) mg/dL per standard score of the parameters `FITTED`."""
        rates = rates_of_emptying(self.people.values())
        slopes = []
        for column in FITTED_COLUMNS:
            scores = self.people.scores.clone()
            scores[:, column] += _STEP
            people = People(
                self.people.embedding, scores, self.people.weight_kg, self.people.beta_cells
            )
            moved = not torch.equal(rates_of_emptying(people.values()), rates)
            driven = self._driven(people) if moved else self.driven
            slopes.append(self._slope(people, driven, self.start))
        return torch.stack(slopes, dim=-1)

    def by_embedding(self) -> Tensor:
        """(B, H, E) mg/dL per unit of the embedding."""
        slopes = []
        for column in range(self.people.embedding.shape[1]):
            embedding = self.people.embedding.clone()
            embedding[:, column] += _STEP
            people = People(
                embedding, self.people.scores, self.people.weight_kg, self.people.beta_cells
            )
            start = self.twin.model.encoder(self.read, embedding[self.batch.person])
            slopes.append(self._slope(people, self.driven, start))
        return torch.stack(slopes, dim=-1)

    def _driven(self, people: People) -> Tensor:
        return driven_now(self.past, self.rest, people.values(), self.batch.person)

    def _slope(self, people: People, driven: Tensor, start: Start) -> Tensor:
        present = settled(self.anchor, people.rows(self.batch.person), driven, start)
        moved = self.twin.model.roll(present, self.future, self.twin.walk)
        return (moved - self.trajectory) / _STEP
