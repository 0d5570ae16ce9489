"""A black box asked what if: an LSTM that reads history and knows the doses and meals to come.

It gets what a personal twin gets: the same people's logged days, past glucose, insulin and
carbohydrate, the doses and meals to come, the clock, and an embedding for each person.
"""

from typing import Final

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from hybridtwin.events import MINUTES_PER_DAY
from hybridtwin.history import join
from hybridtwin.neural.features import interpolated
from hybridtwin.timeline import CHANNEL
from hybridtwin.units import STEP_MIN, steps
from training.batch import Batch, Participants, cut_batch, usable_anchors
from training.virtual_futures import INPUT_CHANNELS

_COLUMNS: Final = [CHANNEL[name] for name in INPUT_CHANNELS]
_USUAL: Final = (2.0, 0.1, 20.0)
"""About a usual amount of each per step: U, U, g."""
_GLUCOSE_SCALE_MG_DL: Final = 60.0
_GLUCOSE_MIDDLE_MG_DL: Final = 140.0


class BlackBoxSettings(BaseModel):
    """Size of the LSTM and how it learns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hidden: int = Field(64, ge=1)
    embedding: int = Field(8, ge=1)
    history_min: int = Field(360, ge=STEP_MIN)
    batches: int = Field(1200, ge=1)
    batch_size: int = Field(128, ge=1)
    learning_rate: float = Field(3e-3, gt=0)
    seed: int = 0


class BlackBox(nn.Module):
    """Encoder and decoder; the decoder adds a change of glucose at every step."""

    def __init__(self, people: int, settings: BlackBoxSettings) -> None:
        super().__init__()
        self.history_steps = steps(settings.history_min)
        self.embedding = nn.Embedding(people, settings.embedding)
        acts = len(INPUT_CHANNELS) + 2 + settings.embedding
        self.encoder = nn.LSTM(acts + 2, settings.hidden, batch_first=True)
        self.decoder = nn.LSTM(acts, settings.hidden, batch_first=True)
        self.change = nn.Linear(settings.hidden, 1)

    def forward(self, batch: Batch) -> Tensor:
        """(B, H) glucose in mg/dL."""
        past = slice(-self.history_steps, None)
        history = batch.history
        glucose, _ = interpolated(history.glucose_mg_dl, history.glucose_known)
        scaled = (glucose[:, past] - _GLUCOSE_MIDDLE_MG_DL) / _GLUCOSE_SCALE_MG_DL
        seen = torch.stack([scaled, history.glucose_known[:, past].float()], dim=-1)
        back = STEP_MIN * torch.arange(-self.history_steps, 0)
        minute = history.minute_of_day.unsqueeze(-1) + back
        _, state = self.encoder(
            torch.cat([seen, self._acts(history.events[:, past], minute, batch.person)], dim=-1)
        )
        read, _ = self.decoder(self._acts(batch.events, batch.minute_of_day, batch.person), state)
        change = self.change(read).squeeze(-1).cumsum(1)
        found: Tensor = glucose[:, -1:] + _GLUCOSE_SCALE_MG_DL * change
        return found

    def _acts(self, events: Tensor, minute_of_day: Tensor, person: Tensor) -> Tensor:
        """(B, T, A) doses and meals, the clock and who it is."""
        amounts = events[..., _COLUMNS] / events.new_tensor(_USUAL)
        turn = 2 * torch.pi * minute_of_day / MINUTES_PER_DAY
        who = self.embedding(person).unsqueeze(1).expand(-1, events.shape[1], -1)
        return torch.cat([amounts, turn.sin().unsqueeze(-1), turn.cos().unsqueeze(-1), who], -1)


def fit_black_box(
    participants: Participants, horizon_min: int, settings: BlackBoxSettings
) -> BlackBox:
    """Learn from people's timelines, with what came after each window known as it was logged.

    Args:
        participants: Whose.
        horizon_min: How far to forecast.
        settings: How.
    """
    horizon = steps(horizon_min)
    grid = join(participants.timelines)
    usable = usable_anchors(grid)
    rows, persons = [], []
    for person, (first, timeline) in enumerate(
        zip(grid.offsets, participants.timelines, strict=True)
    ):
        inside = torch.arange(first, first + len(timeline) - horizon)
        rows.append(inside[usable[inside]])
        persons.append(torch.full((len(rows[-1]),), person))
    anchors, person_of = torch.cat(rows), torch.cat(persons)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        box = BlackBox(len(participants.names), settings)
        optimiser = torch.optim.AdamW(box.parameters(), lr=settings.learning_rate)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, settings.learning_rate, total_steps=settings.batches, pct_start=0.1
        )
        for _ in range(settings.batches):
            drawn = torch.randint(len(anchors), (settings.batch_size,))
            batch = cut_batch(grid, anchors[drawn], person_of[drawn], horizon)
            error = (box(batch) - batch.target_mg_dl) / _GLUCOSE_SCALE_MG_DL
            loss = (error.square() * batch.target_known).sum() / batch.target_known.sum()
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(box.parameters(), 1.0)
            optimiser.step()
            schedule.step()
    return box.eval()
