"""The recurrent peer: an LSTM over six hours of glucose, insulin, carbs, heart rate and the clock.

It predicts the change from the last reading at all horizons at once, its mean and its quantiles,
and knows people by an embedding. It learns from windows drawn at random, every person's as often as
the square root of their number, and keeps the weights that are best on everyone's latest windows.
"""

import copy
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from hybridtwin.units import steps
from training.features import HISTORY_MIN, sequence
from training.windows import HELD_OUT, LEVELS, Forecaster, Prediction, Windows

_LENGTH: Final = steps(HISTORY_MIN)
_NOBODY: Final = 0
"""The embedding's row of people who were not learnt from."""


@dataclass(frozen=True)
class Settings:
    """Sizes, and how it learns."""

    hidden: int = 96
    embedding: int = 8
    dropout: float = 0.2
    steps_at_once: int = 6
    nameless_share: float = 0.2
    learning_rate: float = 3e-3
    weight_decay: float = 0.05
    batch: int = 512
    epochs: int = 8
    batches_per_epoch: int = 100
    averaged_over: float = 0.99
    scored_at_most: int = 20_000
    seed: int = 0


SETTINGS: Final = Settings()


class Network(nn.Module):
    """From sequences and whose they are to scaled changes."""

    def __init__(self, features: int, people: int, horizons: int, settings: Settings) -> None:
        super().__init__()
        self.at_once = settings.steps_at_once
        width = settings.hidden
        self.person = nn.Embedding(people, settings.embedding)
        self.inlet = nn.Sequential(nn.Linear((features + 1) * self.at_once, width), nn.SiLU())
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self.outlet = nn.Sequential(
            nn.LayerNorm(2 * width + settings.embedding),
            nn.Linear(2 * width + settings.embedding, width),
            nn.SiLU(),
            nn.Dropout(settings.dropout),
            nn.Linear(width, horizons * (1 + len(LEVELS))),
        )
        nn.init.normal_(self.person.weight, std=0.1)

    def forward(self, read: Tensor, person: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (B, H) and rising quantiles (B, H, Q) of scaled changes.

        Args:
            read: (B, K, F) the last steps, the latest last; of features, glucose is the first.
            person: (B,) row of the embedding.
        """
        read = torch.cat([read, 2 * (read[..., :1] - read[:, -1:, :1])], dim=-1)
        together = self.inlet(read.unflatten(1, (-1, self.at_once)).flatten(2))
        latest = self.lstm(together)[0][:, -1]
        seen = torch.cat([latest, together[:, -1], self.person(person)], dim=-1)
        raw = self.outlet(seen).unflatten(1, (-1, 1 + len(LEVELS)))
        lowest, steps_up = raw[..., 1:2], nn.functional.softplus(raw[..., 2:] - 2)
        return raw[..., 0], torch.cat([lowest, lowest + steps_up.cumsum(-1)], dim=-1)


@dataclass(frozen=True)
class _Sequences:
    """Windows as the network reads them: cut from one long table (N, F), at (W,) last rows."""

    table: Tensor
    last: Tensor
    person: Tensor

    def batch(self, at: Tensor) -> tuple[Tensor, Tensor]:
        rows = self.last[at].unsqueeze(1) + torch.arange(1 - _LENGTH, 1)
        return self.table[rows], self.person[at]


def _read(windows: Windows, rows: dict[str, int]) -> _Sequences:
    tables = [torch.from_numpy(sequence(timeline)) for timeline in windows.timelines]
    first = torch.tensor([0, *(len(table) for table in tables[:-1])]).cumsum(0)
    person = torch.tensor([rows.get(name, _NOBODY) for name in windows.names])
    return _Sequences(torch.cat(tables), first[windows.person] + windows.anchor, person)


def lstm(windows: Windows) -> Forecaster:
    """The LSTM that learnt from windows, by `SETTINGS`."""
    settings = SETTINGS
    torch.manual_seed(settings.seed)
    rows = {name: row + 1 for row, name in enumerate(np.unique(windows.names))}
    read = _read(windows, rows)
    change = windows.targets_mg_dl - windows.last_mg_dl.unsqueeze(1)
    scale = change.square().nanmean(0).sqrt()
    target = change / scale
    network = Network(read.table.shape[1], len(rows) + 1, len(scale), settings)
    best = _learn(network, read, target, torch.from_numpy(windows.latest(HELD_OUT)), settings)

    def forecast(asked: Windows) -> Prediction:
        mean, quantiles = _apply(best, _read(asked, rows), torch.arange(len(asked)))
        now = asked.last_mg_dl.unsqueeze(1)
        return Prediction(
            now + mean * scale, now.unsqueeze(2) + quantiles * scale.unsqueeze(1), LEVELS
        )

    return forecast


def _learn(
    network: Network, read: _Sequences, target: Tensor, held_out: Tensor, settings: Settings
) -> nn.Module:
    """The averaged network of the epoch that was best on what is held out."""
    early, late = torch.nonzero(~held_out).flatten(), torch.nonzero(held_out).flatten()
    late = late[torch.randperm(len(late))[: settings.scored_at_most]]
    counts = torch.bincount(read.person[early])
    weight = counts[read.person[early]].float().rsqrt()
    optimiser = torch.optim.AdamW(
        network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.learning_rate, settings.epochs * settings.batches_per_epoch
    )
    averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(settings.averaged_over))
    best: nn.Module = network
    lowest = float("inf")
    for _ in range(settings.epochs):
        network.train()
        for _ in range(settings.batches_per_epoch):
            at = early[torch.multinomial(weight, settings.batch, replacement=True)]
            sequences, person = read.batch(at)
            nameless = torch.rand(len(at)) < settings.nameless_share
            said = network(sequences, person.masked_fill(nameless, _NOBODY))
            optimiser.zero_grad()
            _loss(said, target[at]).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            averaged.update_parameters(network)
        loss = float(_loss(_apply(averaged.module, read, late), target[late]))
        if loss < lowest:
            best, lowest = copy.deepcopy(averaged.module), loss
    return best


def _loss(said: tuple[Tensor, Tensor], target: Tensor) -> Tensor:
    """Mean squared error and, for the quantiles, the pinball loss, where there is a target."""
    mean, quantiles = said
    known = ~target.isnan()
    target = target.nan_to_num()
    miss = target.unsqueeze(-1) - quantiles
    pinball = torch.maximum(LEVELS * miss, (LEVELS - 1) * miss).mean(-1)
    each = (target - mean).square() + 2 * pinball
    return torch.where(known, each, 0).sum() / known.sum().clamp(min=1)


def _apply(network: nn.Module, read: _Sequences, at: Tensor) -> tuple[Tensor, Tensor]:
    network.eval()
    with torch.inference_mode():
        parts = [network(*read.batch(chunk)) for chunk in at.split(4096)]
    means, quantiles = zip(*parts, strict=True)
    return torch.cat(means), torch.cat(quantiles)
